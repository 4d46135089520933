/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <zeromean/audio.h>

#include "cli/model.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "common/log.h"

zm_status zm_cli_mel_read(const char *audio, const zm_model_info *info, float **out)
{
    float *samples = NULL, *mel = NULL;
    size_t count = 0;
    zm_status status;
    if (info->whisper.encoder_positions > ZM_MEL_FRAMES / 2)
        return zm_fail(zm_cli_log(), ZM_ERROR_UNSUPPORTED,
                       "%s: windows of %u positions are longer than 30 s; check it without audio",
                       info->path, info->whisper.encoder_positions);
    status = zm_audio_read(audio, zm_cli_log(), &samples, &count);
    if (status)
        goto out;
    status = ZM_ERROR_OUT_OF_MEMORY;
    mel = zm_calloc(ZM_MEL_FRAMES, info->whisper.mel_bins * sizeof(float));
    if (!mel)
        goto out;
    status = zm_log_mel(samples, count, info->whisper.mel_bins, mel);
out:
    free(samples);
    if (status)
        free(mel);
    else
        *out = mel;
    return status;
}

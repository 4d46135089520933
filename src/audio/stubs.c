/* SPDX-License-Identifier: Apache-2.0 */
/* Audio and the spectrogram in a library that was built without libsndfile, libsamplerate and
 * kissfft. */
#include <zeromean/audio.h>

#include "common/log.h"

zm_status zm_audio_read(const char *path, const zm_log *log, float **samples, size_t *count)
{
    if (!path || !samples || !count)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_audio_read: a NULL argument");
    return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                   "%s: this library was built without audio (meson option 'audio')", path);
}

zm_status zm_log_mel(const float *samples, size_t count, uint32_t bins, float *out)
{
    (void)samples;
    (void)count;
    (void)bins;
    (void)out;
    return ZM_ERROR_UNSUPPORTED;
}

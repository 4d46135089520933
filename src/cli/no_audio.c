/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for transcribe.c and mel.c in a build without audio libraries. */
#include <stdint.h>

#include "cli/model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "common/log.h"

static const char reason[] = "this program was built without audio (meson option 'audio')";

zm_status zm_cli_mel_read(const char *audio, const zm_model_info *info, float **out)
{
    (void)info;
    (void)out;
    return zm_fail(zm_cli_log(), ZM_ERROR_UNSUPPORTED, "%s: %s", audio, reason);
}

static zm_cli_exit run(int argc, char **argv)
{
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_transcribe, NULL, 0, argc, argv, &arguments, &code))
        return code;
    zm_cli_error("%s", reason);
    return ZM_CLI_FAILED;
}

const zm_cli_command zm_cli_transcribe = {
    .name = "transcribe",
    .synopsis = "MODEL AUDIO...",
    .summary = "Write down what is said in audio files (not in this build)",
    .max_arguments = SIZE_MAX,
    .run = run,
};

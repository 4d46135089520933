/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/progress.h"

#define STEP ((uint64_t)1 << 20)

static bool tell(zm_convert_progress *progress)
{
    progress->told = progress->done;
    return !progress->call ||
           progress->call(progress->user, progress->stage, progress->done, progress->total);
}

bool zm_convert_progress_begin(zm_convert_progress *progress, const char *stage, uint64_t total)
{
    progress->stage = stage;
    progress->done = 0;
    progress->total = total;
    return tell(progress);
}

bool zm_convert_progress_advance(zm_convert_progress *progress, uint64_t bytes)
{
    progress->done += bytes;
    if (progress->done - progress->told < STEP && progress->done != progress->total)
        return true;
    return tell(progress);
}

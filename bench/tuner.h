/* SPDX-License-Identifier: Apache-2.0 */
/* Searches better numbers for the kernels of one op on one device. */
#ifndef ZM_BENCH_TUNER_H
#define ZM_BENCH_TUNER_H

#include "ops/tuning_file.h"
#include "plan.h"
#include "session.h"
#include "stats.h"

typedef struct tuner_outcome {
    char op[32];
    zm_kernel_family family; /* whose parameters they are */
    size_t tunable;          /* parameters, */
    size_t tried;            /* and those of them whose turn came before the time was over */
    size_t samples;          /* that were timed */
    size_t refused;          /* that gave wrong results, or didn't run */
    char refusal[200];       /* of the last of these */
    bool better;             /* than what the library would use otherwise, beyond the noise */
    stats_summary ratio;     /* time with that / time with what was found */
    zm_tuning_entry entry;   /* what differs from that; count 0 = nothing */
} tuner_outcome;

/* Climbs from the numbers in use, one parameter after the other, over the shapes and with the
 * kernels that the plan has for the op, for so many seconds at most and as
 * long as one kernel takes to be built: setting up, checks and the last comparison are part of
 * them. Each sample is checked against the reference before it is timed, in turns with the best so
 * far. The device has the numbers in use afterwards. ZM_ERROR_UNSUPPORTED: nothing of the op can be
 * tuned on this device; ZM_ERROR_INVALID_ARGUMENT: its kernels are of several families;
 * ZM_ERROR_CANCELLED: Ctrl-C. */
zm_status tuner_run(session *s, const char *op, const plan *p, double seconds, tuner_outcome *out);

#endif

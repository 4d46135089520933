/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernels a network launches, and how long the device takes for each. */
#ifndef ZM_BENCH_NET_PROFILE_H
#define ZM_BENCH_NET_PROFILE_H

#include "net_run.h"
#include "result.h"

/* Runs for about so many seconds, where one takes `call`, after one to warm up.
 * ZM_ERROR_UNSUPPORTED where the device tells no times, ZM_ERROR_LIMIT where a run has too many
 * launches. */
zm_status net_profile_take(net_run *run, double seconds, double call, row_profile *out);

/* From the records of so many runs. */
void net_profile_sum(const zm_records *records, uint32_t runs, row_profile *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_COMMON_CLOCK_H
#define ZM_SRC_COMMON_CLOCK_H

#include <stdint.h>

/* Nanoseconds of a monotonic clock. */
uint64_t zm_clock_ns(void);

/* Seconds since an earlier zm_clock_ns. */
double zm_clock_since(uint64_t start_ns);

#endif

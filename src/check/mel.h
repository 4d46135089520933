/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_CHECK_MEL_H
#define ZM_SRC_CHECK_MEL_H

#include <stdint.h>

/* A fixed log-mel picture [frames][bins], the same everywhere: as smooth in time and frequency and
 * in the same range (-1 .. 1.5) as speech. NULL when out of memory. Free with free(). */
float *zm_check_mel(uint32_t frames, uint32_t bins);

#endif

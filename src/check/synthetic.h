/* SPDX-License-Identifier: Apache-2.0 */
/* Input for models where none is given. NULL when out of memory. Free with free(). */
#ifndef ZM_SRC_CHECK_SYNTHETIC_H
#define ZM_SRC_CHECK_SYNTHETIC_H

#include <stdint.h>

/* A fixed log-mel picture [frames][bins], the same everywhere: as smooth in time and frequency and
 * in the same range (-1 .. 1.5) as speech. */
float *zm_check_mel(uint32_t frames, uint32_t bins);
/* Tokens of the vocabulary, the same everywhere. */
int32_t *zm_check_tokens(uint32_t count, uint32_t vocabulary);

#endif

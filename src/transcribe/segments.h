/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts the tokens of one window at its timestamps. */
#ifndef ZM_SRC_TRANSCRIBE_SEGMENTS_H
#define ZM_SRC_TRANSCRIBE_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

/* Tokens begin .. end - 1 (timestamps among them), spoken from start to stop. Times are counted in
 * timestamps of 20 ms from the beginning of the window. */
typedef struct zm_span {
    size_t begin, end;
    uint32_t start, stop;
} zm_span;

/* Cuts tokens[count], which came under the timestamp rules and ended by themselves or not, into
 * complete segments; gives their number, at most count. *advance is how far the next window
 * begins: at the last pair of timestamps where the text behind it is unfinished, otherwise length,
 * the whole window. Never 0 for length > 0. Fewer tokens of the same window give the same first
 * spans, but for the last one where nothing but the end of the window completes it. */
size_t zm_window_split(const int32_t *tokens, size_t count, int32_t first_timestamp,
                       uint32_t length, zm_span *spans, uint32_t *advance);

#endif

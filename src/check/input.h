/* SPDX-License-Identifier: Apache-2.0 */
/* What both models read, by what kind of model they are. */
#ifndef ZM_SRC_CHECK_INPUT_H
#define ZM_SRC_CHECK_INPUT_H

#include <zeromean/check.h>

typedef struct zm_check_input {
    uint32_t vocabulary;
    uint32_t positions;    /* tokens that the decoder has room for */
    bool mean_counts;      /* there never was a LayerNorm in it */
    const float *mel;      /* NULL = there is no encoder */
    const int32_t *prompt; /* what the decoder reads first */
    uint32_t prompt_count;
    /* Tokens that are never chosen, so that every check compares as many steps as were asked for,
     * and those that are not chosen first. */
    const int32_t *suppress[2], *begin_suppress;
    size_t suppress_count[2], begin_suppress_count;
    float *own_mel;
    int32_t *own_prompt;
} zm_check_input;

/* ZM_ERROR_INVALID_ARGUMENT: models of different shapes, or an input that is not theirs. The models
 * must outlive *out, which zm_check_input_finish frees, also on failure. */
zm_status zm_check_input_init(const zm_check_params *params, zm_check_input *out);
void zm_check_input_finish(zm_check_input *input);

#endif

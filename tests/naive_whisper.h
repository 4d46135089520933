/* SPDX-License-Identifier: Apache-2.0 */
/* Whisper in plain loops over float64, without the library's ops. */
#ifndef ZM_TESTS_NAIVE_WHISPER_H
#define ZM_TESTS_NAIVE_WHISPER_H

#include <zeromean/model.h>

/* Any Whisper: the encoder's output [encoder_positions][d], and the logits [vocabulary] of the
 * last token. Free with free(). */
double *naive_encode(const zm_model *model, const float *mel);
double *naive_decode(const zm_model *model, const double *encoded, const int32_t *tokens,
                     uint32_t count);

/* |a - b| / |a| */
double relative_l2(const double *a, const double *b, size_t count);
double relative_l2_f32(const double *a, const float *b, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A Whisper of a few kilobytes with seeded random weights whose means are large on purpose, in the
 * layout of a model directory; and the same function in plain loops, without the library's ops. */
#ifndef ZM_TESTS_TINY_WHISPER_H
#define ZM_TESTS_TINY_WHISPER_H

#include <zeromean/model.h>

#define TINY_MEL_BINS 8
#define TINY_D 32
#define TINY_POSITIONS 20 /* of the encoder */
#define TINY_LAYERS 2     /* of each side */
#define TINY_TOKENS 12    /* positions of the decoder */
#define TINY_VOCABULARY 100
#define TINY_FRAMES (2 * TINY_POSITIONS)

/* Zeros mean defaults. */
typedef struct tiny_params {
    uint64_t seed;
    zm_dtype type;         /* 0 = F32 */
    const char *odd_one;   /* this tensor is F32 whatever type says */
    const char *edited;    /* in this tensor */
    uint64_t edited_index; /* this element */
    double edited_value;   /* becomes this */
    const char *moved;     /* to all elements of this tensor */
    double moved_by;       /* this is added */
    uint32_t encoder_ff;   /* 0 = 64 */
    const char *norm;      /* metadata of the converter; NULL = none */
    double eps;            /* in config.json; 0 = not there */
    bool unaligned;        /* the tensors of the file begin at odd places */
} tiny_params;

/* A new directory; remove frees the path. */
char *tiny_whisper_write(const tiny_params *params);
void tiny_whisper_remove(char *path);

/* A log-mel picture [TINY_FRAMES][TINY_MEL_BINS]. Free with free(). */
float *tiny_mel(uint64_t seed);

/* Any Whisper, in float64: the encoder's output [encoder_positions][d], and the logits
 * [vocabulary] of the last token. Free with free(). */
double *naive_encode(const zm_model *model, const float *mel);
double *naive_decode(const zm_model *model, const double *encoded, const int32_t *tokens,
                     uint32_t count);

/* |a - b| / |a| */
double relative_l2(const double *a, const double *b, size_t count);
double relative_l2_f32(const double *a, const float *b, size_t count);

#endif

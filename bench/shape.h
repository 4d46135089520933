/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes in words, "m=512,n=3072,k=768,gelu", and the case of an op that they describe. */
#ifndef ZM_BENCH_SHAPE_H
#define ZM_BENCH_SHAPE_H

#include "tests/ops/op_case.h"

#define SHAPE_TEXT 96
#define SHAPE_MAX_ITEMS 12

typedef struct shape_item {
    char key[20];
    uint32_t value; /* 1 where the text has none */
    bool used;
} shape_item;

typedef struct shape {
    size_t count;
    shape_item items[SHAPE_MAX_ITEMS];
    zm_dtype weight_type;
} shape;

typedef struct shape_reason {
    char text[200];
} shape_reason;

/* ZM_ERROR_INVALID_ARGUMENT with a reason: the text is no list of KEY=NUMBER and FLAG, or has a
 * key that the op doesn't know, or sizes that don't fit together. ZM_ERROR_UNSUPPORTED: nothing is
 * known about shapes of this op. */
zm_status shape_to_case(const char *op, const char *text, zm_dtype type, zm_dtype weight_type,
                        op_case *out, shape_reason *reason);

/* The shapes that are timed when none is given; returns how many. */
size_t shape_list(const char *op, const char *const **texts);
/* The keys that an op knows, for help; NULL when nothing is known about its shapes. */
const char *shape_keys(const char *op);

/* ---- for those that build something of a shape ---- */

typedef struct shape_op {
    const char *name, *keys;
    bool (*build)(shape *s, op_case *c); /* false: sizes that don't fit together */
    const char *const *texts;            /* ends with NULL */
} shape_op;

extern const shape_op shape_matrix_ops[], shape_row_ops[];
extern const size_t shape_matrix_op_count, shape_row_op_count;

/* The items of a text; s begins zeroed. */
zm_status shape_parse(const char *text, shape *s, shape_reason *reason);
uint32_t shape_get(shape *s, const char *key, uint32_t otherwise);
bool shape_flag(shape *s, const char *key);

/* By the flag of that name; the keys for help. */
zm_activation shape_activation(shape *s);
#define SHAPE_ACTIVATIONS "gelu, gelu_tanh, silu, relu"

#endif

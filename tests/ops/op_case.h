/* SPDX-License-Identifier: Apache-2.0 */
/* One description per op, from which come both its check (checkop) and its timing (clbench).
 *
 * A description lists the tensors of the public parameter struct as operands, in the order of the
 * kernel's buffers. A case is such a struct whose tensors have a shape but no buffer yet (rank 0 =
 * absent), with a word on what fills each input and which operands are one and the same view.
 * op_run.h turns a case into buffers on a device. */
#ifndef ZM_TESTS_OPS_OP_CASE_H
#define ZM_TESTS_OPS_OP_CASE_H

#include <zeromean/ops.h>

#include "shaders/args.h"

#define OP_MAX_OPERANDS 6

/* dtype of a tensor: the real_type of the device. */
#define OP_REAL ZM_DTYPE_NONE
/* panel of a weight: the layout that the device asks for. */
#define OP_PACKED UINT32_MAX

/* Canary elements behind the last view of every buffer. */
#define OP_GUARD 19

typedef union op_params {
    zm_norm_params norm;
    zm_add_params add;
    zm_matmul_params matmul;
    zm_conv1d_params conv1d;
    zm_embedding_params embedding;
    zm_kv_store_params kv_store;
    zm_attention_params attention;
    zm_argmax_params argmax;
} op_params;

typedef union op_args {
    struct zm_norm_args norm;
    struct zm_add_args add;
    struct zm_matmul_args matmul;
    struct zm_conv1d_args conv1d;
    struct zm_embedding_args embedding;
    struct zm_kv_store_args kv_store;
    struct zm_attention_args attention;
    struct zm_argmax_args argmax;
} op_args;

typedef enum op_fill {
    OP_NORMAL = 0, /* mean 0, deviation 1 */
    OP_WEIGHT,     /* mean 0, deviation 1 / sqrt(columns) */
    OP_SCALE,      /* mean 1, deviation 1/4 */
    OP_MEAN_100,   /* mean / deviation = 100 */
    OP_MEAN_1000,
    OP_LARGE, /* magnitudes 180 .. 60000, log-uniform */
    OP_TINY,  /* 1e-6 */
    OP_ZERO,
    OP_CONSTANT,   /* one value per row */
    OP_OUTLIER,    /* normal, and one element per row at 1000 */
    OP_TIES,       /* small integers: many equal values */
    OP_NAN,        /* normal; every third row has a NaN */
    OP_INF,        /* normal; every third row has an infinity */
    OP_ALL_NAN,    /* every third row is nothing but NaN */
    OP_BAD_TOKENS, /* embedding: every third token is outside the table */
    OP_NAN_LAST,   /* attention: the last position in use holds a NaN in every head */
    OP_FILL_COUNT
} op_fill;

typedef struct op_case {
    op_params params;
    op_fill fill[OP_MAX_OPERANDS];
    uint8_t alias[OP_MAX_OPERANDS]; /* 1 + an earlier operand, whose view this one is; 0 = none */
} op_case;

typedef struct op_list {
    size_t count, capacity;
    op_case *cases;
} op_list;

typedef enum op_role {
    OP_INPUT = 0,
    OP_OUTPUT, /* holds canaries beforehand, unless it is the view of an input */
    OP_UPDATED /* filled beforehand, written in part */
} op_role;

typedef struct op_operand {
    const char *name;
    size_t offset; /* of the zm_tensor in the public parameter struct */
    op_role role;
} op_operand;

typedef struct op_run op_run;
typedef struct op_random op_random;

typedef struct op_description {
    const char *name;
    size_t operand_count;
    op_operand operands[OP_MAX_OPERANDS];

    /* Appends the cases of the check. False: out of memory. */
    bool (*cases)(op_list *list);
    /* Completes a case with what the device decides; NULL = nothing. */
    zm_status (*prepare)(const zm_device *device, op_params *params);
    /* Fills an input that isn't rows of independent values, as doubles; false = not this one.
     * NULL = none. */
    bool (*fill)(const op_params *params, size_t operand, op_fill fill, op_random *random,
                 double *values);
    /* Calls the public function. */
    zm_status (*run)(zm_stream *stream, const op_params *params);
    /* The arguments of the reference. Weights are rows of float64 there. */
    void (*args)(const op_params *params, op_args *args);

    /* Highest error of a row of an output: |got - reference| / scale, both L2 over the row. scale
     * is what the row's rounding errors are proportional to; NULL or a result that is not above 0
     * = |reference|. A tolerance of 0 asks for equality. */
    double tolerance_f32, tolerance_f64;
    double (*scale)(const op_run *run, size_t operand, size_t row);

    /* The work of one call, for the benchmark. bytes counts each operand once. */
    double (*flops)(const op_params *params);
    double (*bytes)(const op_params *params, size_t real_size);
} op_description;

extern const op_description *const op_descriptions[];
extern const size_t op_description_count;

/* Dimensions that break tails: 1 .. 67, 127 .. 129, 511 .. 513, 769. */
extern const uint32_t op_sizes[];
extern const size_t op_size_count;

/* A new case, zeroed; NULL when out of memory. */
op_case *op_list_add(op_list *list);
void op_list_finish(op_list *list);

/* Views without a buffer. pad: elements between rows. */
zm_tensor op_vector(uint32_t n, uint64_t offset);
zm_tensor op_matrix(uint32_t rows, uint32_t cols, uint64_t offset, uint32_t pad);
/* [n][k] in the layout of the device. */
zm_tensor op_weight(uint32_t n, uint32_t k, zm_dtype dtype, uint64_t offset);

/* Elements from one row to the next. */
uint64_t op_stride(const zm_tensor *tensor);
uint32_t op_rows(const zm_tensor *tensor);
uint32_t op_cols(const zm_tensor *tensor);
/* Bytes of the elements of a tensor; 0 when it is absent. */
double op_tensor_bytes(const zm_tensor *tensor, size_t real_size);
zm_tensor *op_tensor(const op_description *op, op_params *params, size_t operand);
const zm_tensor *op_view(const op_description *op, const op_params *params, size_t operand);

/* One line for people: shapes, offsets, strides, fills, aliases. */
void op_case_describe(const op_description *op, const op_case *c, char *text, size_t size);

#endif

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

#define OP_MAX_OPERANDS 12
#define OP_MAX_HEAD_DIM 2048 /* of attention */

/* dtype of a tensor: the real_type of the device, or the type of the case's activations. */
#define OP_REAL ZM_DTYPE_NONE
#define OP_ACTIVATION ZM_DTYPE_COUNT
/* panel of a weight: the layout that the device asks for; the same for the weight of a gated
 * product, whose rows are gate, up, gate, up ... here, and for the vectors along these rows. */
#define OP_PACKED UINT32_MAX
#define OP_GATED (UINT32_MAX - 1)

/* Canary elements behind the last view of every buffer. */
#define OP_GUARD 19

/* Two products, the norm between them deferred: the first writes the statistics of its dst, the
 * second reads that dst as its x, and them. */
typedef struct deferred_norm_params {
    zm_matmul_params first, second;
} deferred_norm_params;

typedef union op_params {
    zm_norm_params norm;
    zm_row_statistics_params row_statistics;
    zm_add_params add;
    zm_activate_params activate;
    zm_matmul_params matmul;
    zm_conv1d_params conv1d;
    zm_patch_embedding_params patch_embedding;
    zm_embedding_params embedding;
    zm_kv_store_params kv_store;
    zm_attention_params attention;
    zm_rope_params rope;
    zm_softmax_params softmax;
    zm_copy_params copy;
    zm_top_k_params top_k;
    zm_argmax_params argmax;
    deferred_norm_params deferred_norm;
} op_params;

typedef union op_args {
    struct zm_norm_args norm;
    struct zm_row_statistics_args row_statistics;
    struct zm_add_args add;
    struct zm_activate_args activate;
    struct zm_matmul_args matmul;
    struct zm_conv1d_args conv1d;
    struct zm_patch_embedding_args patch_embedding;
    struct zm_embedding_args embedding;
    struct zm_kv_store_args kv_store;
    struct zm_attention_args attention;
    struct zm_rope_args rope;
    struct zm_softmax_args softmax;
    struct zm_copy_args copy;
    struct zm_top_k_args top_k;
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
    OP_NAN,        /* normal; every third row has a NaN, and a row that is alone */
    OP_INF,        /* the same with an infinity */
    OP_ALL_NAN,    /* such rows are nothing but NaN */
    OP_BAD_TOKENS, /* embedding: every third token is outside the table */
    OP_NAN_LAST,   /* attention: the last position in use holds a NaN in every head */
    OP_INF_LAST,   /* the same with an infinity */
    OP_INF_BEFORE, /* attention: all positions but the last hold -Inf in every head */
    OP_FAR,        /* rope: positions up to 100000 */
    OP_FILL_COUNT
} op_fill;

typedef struct op_case {
    op_params params;
    op_fill fill[OP_MAX_OPERANDS];
    uint8_t alias[OP_MAX_OPERANDS]; /* 1 + an earlier operand, whose view this one is; 0 = none */
    zm_dtype activation;            /* type of the activations; OP_REAL, F32, F16 or BF16 */
    bool small;                     /* one of the few that slow devices run, too */
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
    const char *op; /* whose kernel candidates it checks; NULL = name */
    size_t operand_count;
    op_operand operands[OP_MAX_OPERANDS];

    /* Appends the cases of the check. False: out of memory. */
    bool (*cases)(op_list *list);
    /* Completes a case with what the device decides; NULL = nothing. */
    zm_status (*prepare)(const zm_device *device, op_params *params);
    /* Fills an input that isn't rows of independent values, as doubles, from earlier operands where
     * it likes; false = not this one. NULL = none. */
    bool (*fill)(const op_run *run, size_t operand, op_fill fill, op_random *random,
                 double *values);
    /* Calls the public function. */
    zm_status (*run)(zm_stream *stream, const op_params *params);
    /* The arguments of the reference, from run->reference. Weights are rows of float64 there. */
    void (*args)(const op_run *run, op_args *args);
    /* Runs the reference over the buffers of the operands; NULL = the one of that name, with what
     * args says. */
    void (*reference)(const op_run *run, void *const *buffers);

    /* Highest error of a row of an output: |got - reference| / scale, both L2 over the row, where
     * half a unit in the last place of what is stored counts as no error. scale is what the row's
     * rounding errors are proportional to; NULL or a result that is not above 0 = |reference|. A
     * tolerance of 0 asks for the reference rounded to the type of the output. */
    double tolerance_f32, tolerance_f64;
    double (*scale)(const op_run *run, size_t operand, size_t row);

    /* The work of one call, for the benchmark. bytes counts each operand once; real_size is that
     * of an element of OP_REAL. */
    double (*flops)(const op_params *params);
    double (*bytes)(const op_params *params, size_t real_size);

    /* What the tensors don't tell, for people; NULL = nothing. */
    void (*describe)(const op_params *params, char *text, size_t size);
} op_description;

extern const op_description *const op_descriptions[];
extern const size_t op_description_count;

/* Types of activations for cases to go through: OP_REAL, F16, BF16. */
extern const zm_dtype op_activations[3];

/* Dimensions that break tails: 1 .. 67, 127 .. 129, 511 .. 513, 769. */
extern const uint32_t op_sizes[];
extern const size_t op_size_count;

/* A new case, zeroed; NULL when out of memory. */
op_case *op_list_add(op_list *list);
void op_list_finish(op_list *list);

/* Views without a buffer: rows of activations, a vector of OP_REAL. pad: elements between rows. */
zm_tensor op_matrix(uint32_t rows, uint32_t cols, uint64_t offset, uint32_t pad);
zm_tensor op_vector(uint32_t n, uint64_t offset);
/* Activations [batch][rows][cols]; pad also between matrices. */
zm_tensor op_batch(uint32_t batch, uint32_t rows, uint32_t cols, uint64_t offset, uint32_t pad);
/* [n][k] in the layout of the device. */
zm_tensor op_weight(uint32_t n, uint32_t k, zm_dtype dtype, uint64_t offset);
/* The same tensor with elements of another type. */
zm_tensor op_typed(zm_tensor tensor, zm_dtype dtype);

/* Offsets and gaps as buffers of their own have them, where kernels may move whole vectors: every
 * row begins at a multiple of four elements. */
void op_case_align(const op_description *op, op_case *c);

/* A tensor as a matrix: all dimensions but the innermost are rows. */
uint32_t op_rows(const zm_tensor *tensor);
uint32_t op_cols(const zm_tensor *tensor);
/* Elements from one row of a matrix to the next; of a batch, within a matrix of it. */
uint64_t op_stride(const zm_tensor *tensor);
/* Elements from one matrix of a batch to the next; 0 where there is none. */
uint64_t op_batch_stride(const zm_tensor *tensor);
/* Elements from one index of a dimension to the next. */
uint64_t op_dimension_stride(const zm_tensor *tensor, uint32_t dimension);
/* The element at a row and a column, counted from the start of the buffer. */
uint64_t op_place(const zm_tensor *tensor, size_t row, size_t col);
/* Bytes of the elements of a tensor; 0 when it is absent. Activations count as OP_REAL. */
double op_tensor_bytes(const zm_tensor *tensor, size_t real_size);
zm_tensor *op_tensor(const op_description *op, op_params *params, size_t operand);
const zm_tensor *op_view(const op_description *op, const op_params *params, size_t operand);

/* One line for people: shapes, offsets, strides, types, fills, aliases. */
void op_case_describe(const op_description *op, const op_case *c, char *text, size_t size);

#endif

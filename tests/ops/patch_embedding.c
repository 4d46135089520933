/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "op_run.h"

extern const op_description op_patch_embedding;

enum { X, WEIGHT, BIAS, POSITION, DST, OPERANDS };

typedef struct patch_shape {
    uint32_t channels, down, across, patch, n; /* down, across: patches */
} patch_shape;

static op_case *add_case(op_list *list, patch_shape s, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_patch_embedding_params *p = &c->params.patch_embedding;
    uint32_t patches = s.down * s.across;
    p->x = op_batch(s.channels, s.down * s.patch, s.across * s.patch, i % 4, 0);
    p->weight = op_weight(s.n, s.channels * s.patch * s.patch, ZM_F32, 0);
    if (i % 2 == 0) {
        p->bias = op_vector(s.n, (i + 1) % 4);
    }
    if (i / 2 % 2 == 0) {
        p->position = op_typed(op_matrix(patches, s.n, (i + 3) % 4, (uint32_t)(i % 5)), OP_REAL);
    }
    p->dst = op_matrix(patches, s.n, (i + 2) % 4, (uint32_t)(i % 7));
    p->patch = s.patch;
    c->fill[WEIGHT] = OP_WEIGHT;
    return c;
}

static bool cases(op_list *list)
{
    static const zm_dtype types[] = {ZM_F16, ZM_BF16, ZM_F32};
    static const op_fill fills[] = {OP_LARGE, OP_ZERO, OP_OUTLIER, OP_NAN, OP_INF};
    static const patch_shape shapes[] = {{3, 2, 4, 16, 70}, {1, 1, 1, 1, 1},  {3, 4, 4, 4, 33},
                                         {1, 1, 8, 3, 130}, {2, 2, 8, 2, 64}, {5, 16, 1, 1, 20},
                                         {3, 7, 7, 8, 48},  {3, 1, 8, 14, 97}};
    static const size_t count = sizeof(shapes) / sizeof(shapes[0]);
    for (size_t i = 0; i < count * 6; ++i) {
        patch_shape s = shapes[i % count];
        op_case *c = add_case(list, s, i);
        if (!c) {
            return false;
        }
        c->activation = op_activations[i / count % 3];
        if (s.down * s.across == 16) {
            c->params.patch_embedding.weight.dtype = types[i / count / 2 % 3];
        }
        c->small = i % 5 == 2 && i % count != 6;
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 3; ++i) {
        op_case *c = add_case(list, shapes[i % 3], i);
        if (!c) {
            return false;
        }
        c->fill[X] = fills[i / 3];
    }
    for (size_t i = 0; i < 6; ++i) {
        op_case *c = add_case(list, shapes[i % 2 * 2], 4);
        if (!c) {
            return false;
        }
        c->fill[WEIGHT + i / 2] = i % 2 ? OP_NAN : OP_INF;
    }
    for (size_t i = 0; i < 3; ++i) {
        op_case *c = add_case(list, shapes[2 + 2 * i], i);
        if (!c) {
            return false;
        }
        c->params.patch_embedding.weight.dtype = types[(i + 1) % 3];
        c->small = i == 0;
        op_case_align(&op_patch_embedding, c);
    }
    for (size_t i = 0; i < 2; ++i) {
        op_case *c = add_case(list, shapes[2 + 2 * i], 4);
        if (!c) {
            return false;
        }
        zm_patch_embedding_params *p = &c->params.patch_embedding;
        p->bias.dtype = p->position.dtype = types[i];
        c->small = true;
    }
    for (uint32_t n = 1; n <= 67; n += 3) {
        patch_shape s = {1 + n % 3, 1 + n % 2, 8, 1 + n % 6, n};
        if (!add_case(list, s, n)) {
            return false;
        }
    }
    return true;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_patch_embedding(stream, &params->patch_embedding);
}

static void args(const op_run *r, op_args *out)
{
    const zm_patch_embedding_params *p = &r->reference.patch_embedding;
    out->patch_embedding = (struct zm_patch_embedding_args){
        .channels = p->x.shape[0],
        .height = p->x.shape[1],
        .width = p->x.shape[2],
        .patch = p->patch,
        .n = op_rows(&p->weight),
        .x_offset = (uint32_t)p->x.offset,
        .weight_type = ZM_F64,
        .bias_offset = (uint32_t)p->bias.offset,
        .position_offset = (uint32_t)p->position.offset,
        .position_stride = (uint32_t)op_stride(&p->position),
        .param_type = ZM_F64,
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = (p->bias.rank ? ZM_FLAG_BIAS : 0) | (p->position.rank ? ZM_FLAG_POSITION : 0),
    };
}

/* The same sum over absolute values. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_patch_embedding_params *p = &r->reference.patch_embedding;
    const double *x = op_run_input(r, X), *weight = op_run_input(r, WEIGHT);
    const double *bias = op_run_input(r, BIAS), *position = op_run_input(r, POSITION);
    size_t patch = p->patch, width = p->x.shape[2], height = p->x.shape[1];
    size_t top = row / (width / patch) * patch, left = row % (width / patch) * patch;
    double squares = 0;
    (void)operand;
    for (size_t o = 0; o < op_rows(&p->weight); ++o) {
        double sum = bias ? fabs(bias[o]) : 0;
        sum += position ? fabs(position[row * op_stride(&p->position) + o]) : 0;
        for (size_t line = 0; line < p->x.shape[0] * patch; ++line) {
            size_t first = (line / patch * height + top + line % patch) * width + left;
            for (size_t v = 0; v < patch; ++v, ++weight) {
                sum += fabs(*weight * x[first + v]);
            }
        }
        squares += isfinite(sum) ? sum * sum : 0;
    }
    return sqrt(squares);
}

static double flops(const op_params *params)
{
    const zm_patch_embedding_params *p = &params->patch_embedding;
    return 2.0 * op_rows(&p->dst) * op_rows(&p->weight) * op_cols(&p->weight);
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_patch_embedding_params *p = &params->patch_embedding;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->weight, real_size) +
           op_tensor_bytes(&p->bias, real_size) + op_tensor_bytes(&p->position, real_size) +
           op_tensor_bytes(&p->dst, real_size);
}

static void describe(const op_params *params, char *text, size_t size)
{
    snprintf(text, size, " patch=%" PRIu32, params->patch_embedding.patch);
}

const op_description op_patch_embedding = {
    .name = "patch_embedding",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_patch_embedding_params, x), OP_INPUT},
                 {"weight", offsetof(zm_patch_embedding_params, weight), OP_INPUT},
                 {"bias", offsetof(zm_patch_embedding_params, bias), OP_INPUT},
                 {"position", offsetof(zm_patch_embedding_params, position), OP_INPUT},
                 {"dst", offsetof(zm_patch_embedding_params, dst), OP_OUTPUT}},
    .cases = cases,
    .run = run,
    .args = args,
    .tolerance_f32 = 5e-7,
    .tolerance_f64 = 1e-15,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
    .describe = describe,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "matmul.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "ref/ref.h"
#include "statistics.h"

uint32_t matmul_outputs(const zm_matmul_params *p)
{
    return p->weight.shape[p->weight.rank - 2] / (p->gated ? 2 : 1);
}

static uint32_t rows_of(const zm_matmul_params *p)
{
    return p->x.shape[p->x.rank - 2];
}

static uint32_t batch_of(const zm_matmul_params *p)
{
    return p->x.rank == 3 ? p->x.shape[0] : 1;
}

static zm_status prepare(const zm_device *device, op_params *params)
{
    zm_matmul_params *p = &params->matmul;
    op_statistics_prepare(device, op_cols(&p->x), &p->scale.statistics);
    op_statistics_prepare(device, matmul_outputs(p), &p->statistics);
    return ZM_OK;
}

void matmul_column_sums(const double *weight, size_t rows, size_t k, double *column)
{
    for (size_t row = 0; row < rows; ++row) {
        column[row] = 0;
        for (size_t i = 0; i < k; ++i) {
            column[row] += weight[row * k + i];
        }
    }
}

/* The statistics of x and the sums of the weight are what they say they are. */
static bool fill(const op_run *r, size_t operand, op_fill how, op_random *random, double *values)
{
    const zm_matmul_params *p = &r->reference.matmul;
    (void)how, (void)random;
    if (operand == MATMUL_SCALE) {
        op_statistics_fill(op_run_input(r, MATMUL_X), op_rows(&p->x), op_cols(&p->x),
                           op_stride(&p->x), r->group, values);
    } else if (operand == MATMUL_COLUMN_SUMS) {
        matmul_column_sums(op_run_input(r, MATMUL_WEIGHT), op_rows(&p->weight), op_cols(&p->weight),
                           values);
    }
    return operand == MATMUL_SCALE || operand == MATMUL_COLUMN_SUMS;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_matmul(stream, &params->matmul);
}

struct zm_matmul_args matmul_args(const zm_matmul_params *p)
{
    const zm_tensor *other = p->factor.rank ? &p->factor : &p->residual;
    return (struct zm_matmul_args){
        .m = rows_of(p),
        .n = matmul_outputs(p),
        .k = op_cols(&p->x),
        .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F64) |
                 ZM_KIND_SET(ZM_KIND_PARAM_TYPE, ZM_F64) |
                 ZM_KIND_SET(ZM_KIND_ACTIVATION, p->activation) |
                 ZM_KIND_SET(ZM_KIND_SCALE, p->scale.kind),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .weight_offset = (uint32_t)p->weight.offset,
        .weight_stride = (uint32_t)op_stride(&p->weight),
        .bias_offset = (uint32_t)p->bias.offset,
        .residual_offset = (uint32_t)other->offset,
        .residual_stride = (uint32_t)op_stride(other),
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = (p->bias.rank ? ZM_FLAG_BIAS : 0) | (p->residual.rank ? ZM_FLAG_RESIDUAL : 0) |
                 (p->factor.rank ? ZM_FLAG_FACTOR : 0) | (p->gated ? ZM_FLAG_GATED : 0),
        .scale_offset = (uint32_t)p->scale.statistics.offset,
        .scale_stride = (uint32_t)op_stride(&p->scale.statistics),
        .scale_groups = op_cols(&p->scale.statistics) / 2,
        .scale_d = p->scale.d ? p->scale.d : op_cols(&p->x) + (p->scale.kind == ZM_ROW_SCALE_CRMS),
        .scale_eps = p->scale.eps,
        .column_sums_offset = (uint32_t)p->scale.column_sums.offset,
        .batch = batch_of(p),
        .x_batch = (uint32_t)op_batch_stride(&p->x),
        .weight_batch = (uint32_t)op_batch_stride(&p->weight),
        .residual_batch = (uint32_t)op_batch_stride(other),
        .dst_batch = (uint32_t)op_batch_stride(&p->dst),
    };
}

/* The statistics are those of dst, by the reference of row_statistics: its groups are as wide as
 * the device's. So is what is weighted. */
static void reference(const op_run *r, void *const *buffers)
{
    const zm_matmul_params *p = &r->reference.matmul;
    const zm_ref_op *matmul = zm_ref_find("matmul"), *statistics = zm_ref_find("row_statistics");
    struct zm_matmul_args args = matmul_args(p);
    void *const of_kernel[] = {
        buffers[MATMUL_X],           buffers[MATMUL_WEIGHT],
        buffers[MATMUL_BIAS],        buffers[p->factor.rank ? MATMUL_FACTOR : MATMUL_RESIDUAL],
        buffers[MATMUL_DST],         buffers[MATMUL_SCALE],
        buffers[MATMUL_COLUMN_SUMS],
    };
    op_run_items(r, matmul, &args, of_kernel);
    if (p->statistics.rank) {
        const zm_row_statistics_params of_rows = {p->dst, p->statistics, p->norm_weight,
                                                  p->weighted};
        struct zm_row_statistics_args of_dst = op_statistics_args(&of_rows, r->group);
        void *const all[] = {buffers[MATMUL_DST], buffers[MATMUL_STATISTICS],
                             buffers[MATMUL_NORM_WEIGHT], buffers[MATMUL_WEIGHTED]};
        statistics->f64(&of_dst, all, 0, statistics->items(&of_dst));
    }
}

/* The same sum over absolute values (Higham 2002, 3.1), of one row of a weight. */
static double magnitude(const op_run *r, size_t row, size_t output, const op_deferred *norm)
{
    const zm_matmul_params *p = &r->reference.matmul;
    const double *x = op_run_input(r, MATMUL_X), *weight = op_run_input(r, MATMUL_WEIGHT);
    const double *bias = op_run_input(r, MATMUL_BIAS);
    const double *sums = op_run_input(r, MATMUL_COLUMN_SUMS);
    size_t n = p->weight.shape[p->weight.rank - 2], matrix = row / rows_of(p);
    double sum = 0;
    x += op_place(&p->x, row, 0) - p->x.offset;
    weight += op_place(&p->weight, matrix % batch_of(p) * n + output, 0) - p->weight.offset;
    for (size_t i = 0; i < op_cols(&p->x); ++i) {
        sum += fabs(x[i] * weight[i]);
    }
    sum += sums ? fabs(norm->mean * sums[output]) : 0;
    return sum * norm->scale * norm->error + (bias ? fabs(bias[output]) : 0);
}

static double row_scale(const op_run *r, size_t row)
{
    const zm_matmul_params *p = &r->reference.matmul;
    const double *residual = op_run_input(r, MATMUL_RESIDUAL);
    const double *factor = op_run_input(r, MATMUL_FACTOR);
    op_deferred norm =
        op_deferred_of(&p->scale, op_run_input(r, MATMUL_SCALE), row, op_cols(&p->x));
    double squares = 0;
    for (size_t o = 0; o < matmul_outputs(p); ++o) {
        double sum = magnitude(r, row, p->gated ? 2 * o : o, &norm);
        if (p->gated) {
            sum *= 2 * magnitude(r, row, 2 * o + 1, &norm);
        }
        sum += residual ? fabs(residual[op_place(&p->residual, row, o) - p->residual.offset]) : 0;
        sum *= factor ? fabs(factor[op_place(&p->factor, row, o) - p->factor.offset]) : 1;
        squares += isfinite(sum) ? sum * sum : 0;
    }
    return sqrt(squares);
}

static double largest(const double *values, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; ++i) {
        most = fmax(most, fabs(values[i]));
    }
    return most;
}

/* What is made of 16-bit rows may be taken before or after these are rounded, and is rounded again
 * where it is weighted. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_matmul_params *p = &r->reference.matmul;
    double error = row_scale(r, row), squares = 0;
    if (operand != MATMUL_STATISTICS && operand != MATMUL_WEIGHTED) {
        return error;
    }
    const double *dst = op_run_result(r, MATMUL_DST) + op_place(&p->dst, row, 0) - p->dst.offset;
    for (size_t o = 0; o < matmul_outputs(p); ++o) {
        squares += dst[o] * dst[o];
    }
    error += op_narrow_error(r->op, r->params.matmul.dst.dtype, r->params.matmul.statistics.dtype,
                             sqrt(squares));
    if (operand == MATMUL_WEIGHTED) {
        return 2 * error * largest(op_run_input(r, MATMUL_NORM_WEIGHT), matmul_outputs(p));
    }
    return error * (2 * sqrt(squares) + sqrt(matmul_outputs(p))) + squares;
}

static double flops(const op_params *params)
{
    const zm_matmul_params *p = &params->matmul;
    return 2.0 * op_rows(&p->x) * p->weight.shape[p->weight.rank - 2] * op_cols(&p->weight);
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_matmul_params *p = &params->matmul;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->weight, real_size) +
           op_tensor_bytes(&p->bias, real_size) + op_tensor_bytes(&p->residual, real_size) +
           op_tensor_bytes(&p->factor, real_size) + op_tensor_bytes(&p->dst, real_size) +
           op_tensor_bytes(&p->statistics, real_size) +
           op_tensor_bytes(&p->scale.statistics, real_size) +
           op_tensor_bytes(&p->scale.column_sums, real_size) +
           op_tensor_bytes(&p->norm_weight, real_size) + op_tensor_bytes(&p->weighted, real_size);
}

static void describe(const op_params *params, char *text, size_t size)
{
    static const char *const activations[] = {"none", "gelu", "gelu_tanh",
                                              "silu", "relu", "quick_gelu"};
    static const char *const kinds[] = {"none", "rms", "layer", "crms"};
    const zm_matmul_params *p = &params->matmul;
    snprintf(text, size, " activation=%s%s scale=%s eps=%g d=%" PRIu32, activations[p->activation],
             p->gated ? " gated" : "", kinds[p->scale.kind], (double)p->scale.eps, p->scale.d);
}

const op_description op_matmul = {
    .name = "matmul",
    .operand_count = MATMUL_OPERANDS,
    .operands = {{"x", offsetof(zm_matmul_params, x), OP_INPUT},
                 {"weight", offsetof(zm_matmul_params, weight), OP_INPUT},
                 {"bias", offsetof(zm_matmul_params, bias), OP_INPUT},
                 {"residual", offsetof(zm_matmul_params, residual), OP_INPUT},
                 {"factor", offsetof(zm_matmul_params, factor), OP_INPUT},
                 {"dst", offsetof(zm_matmul_params, dst), OP_OUTPUT},
                 {"scale.statistics", offsetof(zm_matmul_params, scale.statistics), OP_INPUT},
                 {"scale.column_sums", offsetof(zm_matmul_params, scale.column_sums), OP_INPUT},
                 {"statistics", offsetof(zm_matmul_params, statistics), OP_OUTPUT},
                 {"norm_weight", offsetof(zm_matmul_params, norm_weight), OP_INPUT},
                 {"weighted", offsetof(zm_matmul_params, weighted), OP_OUTPUT}},
    .cases = matmul_cases,
    .prepare = prepare,
    .fill = fill,
    .run = run,
    .reference = reference,
    .tolerance_f32 = 5e-7,
    .tolerance_f64 = 1e-15,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
    .describe = describe,
};

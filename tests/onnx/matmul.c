/* SPDX-License-Identifier: Apache-2.0 */
/* MatMul and Gemm. */
#include "onnx/lab.h"

/* The last four dimensions, 1 where there are none, and the strides; 0 where a dimension of one is
 * repeated. A vector is a column where `column` says so, else a row. */
static void dimensions(const zm_model_tensor *tensor, bool column, uint32_t shape[4],
                       uint64_t stride[4])
{
    uint64_t step = 1;
    int end = column && tensor->rank == 1 ? 3 : 4;
    for (int d = 0; d < 4; ++d) {
        shape[d] = 1;
        stride[d] = 0;
    }
    for (int d = end - 1; d >= end - (int)tensor->rank; --d) {
        shape[d] = (uint32_t)tensor->shape[d - end + (int)tensor->rank];
        stride[d] = shape[d] == 1 ? 0 : step;
        step *= shape[d];
    }
}

static zm_tensor matrices(zm_buffer *buffer, zm_dtype dtype, uint32_t batch, uint32_t rows,
                          uint32_t cols)
{
    return (zm_tensor){.buffer = buffer, .dtype = dtype, .rank = 3, .shape = {batch, rows, cols}};
}

/* Products of batches take their weights as rows, single ones as the device packs them. */
void onnx_matmul(onnx_lab *lab, const onnx_case *c)
{
    const zm_model_tensor *a = c->in[0].tensor, *b = c->in[1].tensor;
    const zm_dtype dtype = onnx_activation(lab, a);
    onnx_view x = {0}, w = {0};
    uint32_t shape[4];
    uint64_t stride[4];
    if (!b) {
        onnx_refuse(lab, "no second operand");
        return;
    }
    dimensions(a, false, x.shape, x.stride);
    dimensions(b, true, shape, stride);
    const uint32_t m = x.shape[2], k = x.shape[3], n = shape[3];
    uint32_t batch = 1;
    for (int d = 0; d < 2; ++d) {
        x.shape[d] = x.shape[d] > shape[d] ? x.shape[d] : shape[d];
        batch *= x.shape[d];
    }
    w = (onnx_view){.shape = {x.shape[0], x.shape[1], n, k},
                    .stride = {stride[0], stride[1], stride[3], stride[2]}};
    const onnx_view y = onnx_rows((uint64_t)batch * m, n);
    zm_matmul_params params = {
        .x = matrices(onnx_put(lab, a, dtype, &x), dtype, batch, m, k),
        .dst = matrices(onnx_room(lab, dtype, (uint64_t)batch * m * n), dtype, batch, m, n)};
    if (a->rank > 2 || b->rank > 2) {
        params.weight = matrices(onnx_put(lab, b, dtype, &w), dtype, batch, n, k);
    } else {
        params.x = zm_tensor_2d(params.x.buffer, dtype, m, k);
        params.dst = zm_tensor_2d(params.dst.buffer, dtype, m, n);
        params.weight = onnx_put_weight(lab, b, &w);
    }
    if (lab->status == ZM_OK) {
        onnx_ran(lab, zm_matmul(lab->stream, &params));
    }
    onnx_expect(lab, &c->out[0], &params.dst, &y);
}

/* C of Gemm is our bias where its rows are one, else our residual. */
static void put_c(onnx_lab *lab, const zm_model_tensor *c, zm_dtype dtype, uint32_t m, uint32_t n,
                  zm_matmul_params *params)
{
    const zm_dtype real = lab->info->real_type;
    uint32_t shape[4];
    onnx_view view = {.shape = {1, 1, m, n}};
    dimensions(c, false, shape, view.stride);
    if (shape[2] == 1) {
        view.shape[2] = 1;
        params->bias = zm_tensor_1d(onnx_put(lab, c, real, &view), real, n);
    } else {
        params->residual = zm_tensor_2d(onnx_put(lab, c, dtype, &view), dtype, m, n);
    }
}

void onnx_gemm(onnx_lab *lab, const onnx_case *c)
{
    const zm_model_tensor *a = c->in[0].tensor, *b = c->in[1].tensor;
    if (!b || a->rank != 2 || b->rank != 2) {
        onnx_refuse(lab, "operands that aren't two matrices");
        return;
    }
    if (onnx_number(c, "alpha", 1) != 1 || (c->in[2].tensor && onnx_number(c, "beta", 1) != 1)) {
        onnx_refuse(lab, "alpha = %g, beta = %g: our matmul has no factors",
                    onnx_number(c, "alpha", 1), onnx_number(c, "beta", 1));
        return;
    }
    bool a_turned = onnx_number(c, "transA", 0) != 0, b_turned = onnx_number(c, "transB", 0) != 0;
    const uint32_t m = (uint32_t)a->shape[a_turned], k = (uint32_t)a->shape[!a_turned];
    const uint32_t n = (uint32_t)b->shape[!b_turned];
    const zm_dtype dtype = onnx_activation(lab, a);
    const onnx_view x = {.shape = {1, 1, m, k},
                         .stride = {0, 0, a_turned ? 1 : k, a_turned ? m : 1}};
    const onnx_view w = {.shape = {1, 1, n, k},
                         .stride = {0, 0, b_turned ? k : 1, b_turned ? 1 : n}};
    const onnx_view y = onnx_rows(m, n);
    zm_matmul_params params = {
        .x = zm_tensor_2d(onnx_put(lab, a, dtype, &x), dtype, m, k),
        .weight = onnx_put_weight(lab, b, &w),
        .dst = zm_tensor_2d(onnx_room(lab, dtype, (uint64_t)m * n), dtype, m, n)};
    if (c->in[2].tensor) {
        put_c(lab, c->in[2].tensor, dtype, m, n, &params);
    }
    if (lab->status == ZM_OK) {
        onnx_ran(lab, zm_matmul(lab->stream, &params));
    }
    onnx_expect(lab, &c->out[0], &params.dst, &y);
}

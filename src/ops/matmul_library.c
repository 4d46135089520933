/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/matmul_library.h"

#include <inttypes.h>

#include "device/sgemm.h"
#include "ops/matmul.h"

/* What a call asks for besides the product; NULL = nothing. */
static const char *extra_of(const zm_matmul_params *p)
{
    const struct {
        bool wanted;
        const char *name;
    } extras[] = {
        {p->bias.buffer != NULL, "a bias"},
        {p->residual.buffer != NULL, "a residual"},
        {p->activation != ZM_ACTIVATION_NONE, "an activation"},
        {p->gated, "a gate"},
        {p->scale.kind != ZM_ROW_SCALE_NONE, "a scale"},
        {p->statistics.buffer != NULL, "statistics"},
    };
    for (size_t i = 0; i < ZM_COUNT(extras); i++)
        if (extras[i].wanted)
            return extras[i].name;
    return NULL;
}

static uint64_t end_of(uint64_t offset, uint64_t batch, uint64_t step, uint64_t rows,
                       uint64_t stride, uint64_t cols)
{
    return offset + (batch - 1) * step + (rows - 1) * stride + cols;
}

/* Sides that are no more than the largest tile longer. */
static uint64_t copy_of(uint64_t rows, uint64_t cols)
{
    return (rows + 255) * (cols + 255);
}

/* CLBlast counts the elements of buffers in int, and those of the copies that it makes in one piece
 * of memory, with sides rounded up to its tiles. */
static bool fits_int(const struct zm_matmul_args *a)
{
    uint64_t copies = copy_of(a->m, a->k) + copy_of(a->n, a->k) + copy_of(a->m, a->n);
    return end_of(a->x_offset, a->batch, a->x_batch, a->m, a->x_stride, a->k) <= INT32_MAX &&
           end_of(a->weight_offset, a->batch, a->weight_batch, a->n, a->weight_stride, a->k) <=
               INT32_MAX &&
           end_of(a->dst_offset, a->batch, a->dst_batch, a->m, a->dst_stride, a->n) <= INT32_MAX &&
           copies <= INT32_MAX / a->batch;
}

zm_status zm_clblast_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    const char *extra = extra_of(p);
    const struct zm_matmul_args args = zm_matmul_args_get(device, p);
    if (device->info.backend != ZM_BACKEND_OPENCL)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "CLBlast runs on OpenCL devices");
    if (p->x.dtype != ZM_F32 || p->weight.dtype != ZM_F32)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "types other than f32");
    if (p->weight.panel)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "weights in panels of %" PRIu32,
                         p->weight.panel);
    if (extra)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "%s besides the product", extra);
    if (!fits_int(&args))
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "elements beyond the reach of an int");
    return ZM_OK;
}

zm_status zm_clblast_plan(const zm_call *call, zm_plan *plan)
{
    const zm_matmul_params *p = call->params;
    const struct zm_matmul_args m = zm_matmul_args_get(call->device, p);
    const zm_sgemm_args args = {
        .m = m.m,
        .n = m.n,
        .k = m.k,
        .batch = m.batch,
        .x_offset = m.x_offset,
        .x_stride = m.x_stride,
        .x_batch = m.x_batch,
        .weight_offset = m.weight_offset,
        .weight_stride = m.weight_stride,
        .weight_batch = m.weight_batch,
        .dst_offset = m.dst_offset,
        .dst_stride = m.dst_stride,
        .dst_batch = m.dst_batch,
    };
    const zm_launch launch = {
        .buffers = {p->x.buffer, p->weight.buffer, p->dst.buffer},
        .buffer_count = 3,
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

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
        {p->factor.buffer != NULL, "a factor"},
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

static zm_sgemm_args sgemm_args(const zm_device *device, const zm_matmul_params *p)
{
    const struct zm_matmul_args a = zm_matmul_args_get(device, p);
    return (zm_sgemm_args){
        .batch = a.batch,
        .x = {a.m, a.k, a.x_offset, a.x_stride, a.x_batch},
        .weight = {a.n, a.k, a.weight_offset, a.weight_stride, a.weight_batch},
        .dst = {a.m, a.n, a.dst_offset, a.dst_stride, a.dst_batch},
    };
}

static uint64_t end_of(const zm_sgemm_matrix *m, uint32_t batch)
{
    return m->offset + (uint64_t)(batch - 1) * m->step + (uint64_t)(m->rows - 1) * m->stride +
           m->cols;
}

/* Sides that are no more than the largest tile longer. */
static uint64_t copy_of(const zm_sgemm_matrix *m)
{
    return ((uint64_t)m->rows + 255) * ((uint64_t)m->cols + 255);
}

/* CLBlast counts the elements of buffers in int, and those of the copies that it makes in one piece
 * of memory, with sides rounded up to its tiles. */
static bool fits_int(const zm_sgemm_args *a)
{
    const zm_sgemm_matrix *const matrices[] = {&a->x, &a->weight, &a->dst};
    uint64_t copies = 0;
    for (size_t i = 0; i < ZM_COUNT(matrices); i++) {
        if (end_of(matrices[i], a->batch) > INT32_MAX)
            return false;
        copies += copy_of(matrices[i]);
    }
    return copies <= INT32_MAX / a->batch;
}

zm_status zm_clblast_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    const char *extra = extra_of(p);
    const zm_sgemm_args args = sgemm_args(device, p);
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
    const zm_sgemm_args args = sgemm_args(call->device, p);
    const zm_launch launch = {
        .buffers = {p->x.buffer, p->weight.buffer, p->dst.buffer},
        .buffer_count = 3,
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

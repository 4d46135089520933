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

zm_status zm_clblast_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    const char *extra = extra_of(p);
    if (device->info.backend != ZM_BACKEND_OPENCL)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "CLBlast runs on OpenCL devices");
    if (p->x.dtype != ZM_F32 || p->weight.dtype != ZM_F32)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "types other than f32");
    if (p->weight.panel)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "weights in panels of %" PRIu32,
                         p->weight.panel);
    if (extra)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "%s besides the product", extra);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "ops/argmax.h"
#include "ops/attention_gpu.h"
#include "ops/operand.h"
#include "ops/parts.h"
#include "ops/tuning.h"

zm_status zm_refuse(zm_refusal *refusal, zm_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(refusal->reason, sizeof(refusal->reason), format, args);
    va_end(args);
    return status;
}

/* A family goes first on the kind of device it was written for, and last on the others: there it
 * is slow, but right. */
static bool family_suits(const zm_device *device, zm_kernel_family family)
{
    return family == zm_family_get(device);
}

/* What is not ours is there to be measured against: it runs where it is forced, never unasked. */
static bool is_library(const zm_candidate *candidate)
{
    return candidate->family == ZM_FAMILY_LIBRARY;
}

static zm_status candidate_accepts(const zm_call *call, zm_refusal *refusal)
{
    const zm_candidate *candidate = call->candidate;
    bool on_host = call->device->info.backend == ZM_BACKEND_HOST;
    if (on_host != (candidate->family == ZM_FAMILY_REF))
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         on_host ? "the host device runs the reference only"
                                 : "the reference runs on the host device only");
    if (candidate->family == ZM_FAMILY_CPU && call->device->info.backend != ZM_BACKEND_OPENCL)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "the cpu family is OpenCL C");
    return candidate->accepts ? candidate->accepts(call->device, call->params, refusal) : ZM_OK;
}

static const zm_candidate *candidate_named(const zm_op *op, const char *name)
{
    for (size_t i = 0; i < op->candidate_count; i++)
        if (strcmp(op->candidates[i].name, name) == 0)
            return &op->candidates[i];
    return NULL;
}

const zm_candidate *zm_op_forced(const zm_device *device, const zm_op *op)
{
    const char *name = zm_device_forced_kernel(device, op->name);
    return name ? candidate_named(op, name) : NULL;
}

zm_kernel_family zm_layout_family(const zm_device *device, const zm_op *const *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const zm_candidate *forced = zm_op_forced(device, ops[i]);
        if (forced && !is_library(forced)) /* which has no layouts of its own */
            return forced->family;
    }
    return zm_family_get(device);
}

/* Does this say that the driver has no such kernel, so that another one may still do? */
static bool is_no_kernel(zm_status status)
{
    return status == ZM_ERROR_DEVICE || status == ZM_ERROR_UNSUPPORTED ||
           status == ZM_ERROR_LIMIT || status == ZM_ERROR_NOT_FOUND;
}

static void plan_clear(zm_plan *plan)
{
    plan->count = 0;
    plan->scratch_bytes = 0;
}

/* A kernel's own limit can be under the device's, and only the built kernel tells. */
static zm_status plan_candidate(zm_call *call, zm_plan *plan)
{
    call->most_items = call->device->info.limits.max_work_group;
    zm_status status = call->candidate->plan(call, plan);
    while (status == ZM_ERROR_LIMIT && call->most_items > ZM_LEAST_ITEMS) {
        call->most_items /= 2;
        plan_clear(plan);
        status = call->candidate->plan(call, plan);
    }
    return status;
}

static zm_status plan_forced(zm_call *call, const char *name, zm_plan *plan)
{
    const zm_log *log = &call->device->log;
    const char *op = call->op->name;
    zm_refusal refusal;
    call->candidate = candidate_named(call->op, name);
    if (!call->candidate)
        return zm_fail(log, ZM_ERROR_NOT_FOUND,
                       "%s: there is no kernel candidate '%s'; zm_op_list names those there are",
                       op, name);
    zm_status status = candidate_accepts(call, &refusal);
    if (status != ZM_OK)
        return zm_fail(log, status, "%s: the forced kernel %s can't do it: %s", op, name,
                       refusal.reason);
    status = plan_candidate(call, plan);
    if (is_no_kernel(status))
        return zm_fail(log, status, "%s: the forced kernel %s could not be built", op, name);
    return status;
}

/* Reasons why candidates weren't taken, one after the other. */
typedef struct reasons {
    char text[512];
    size_t used;
} reasons;

static void reasons_add(reasons *r, const zm_call *call, const char *reason)
{
    const char *name = call->candidate->name;
    zm_logf(&call->device->log, ZM_LOG_DEBUG, "%s: not %s: %s", call->op->name, name, reason);
    if (r->used < sizeof(r->text))
        r->used += (size_t)snprintf(r->text + r->used, sizeof(r->text) - r->used, "%s%s: %s",
                                    r->used ? "; " : "", name, reason);
}

static zm_status plan_first(zm_call *call, zm_plan *plan)
{
    const zm_op *op = call->op;
    reasons why = {"", 0};
    zm_status failed = ZM_ERROR_UNSUPPORTED;
    for (size_t i = 0; i < 2 * op->candidate_count; i++) {
        zm_refusal refusal;
        bool suited = i < op->candidate_count;
        call->candidate = &op->candidates[i % op->candidate_count];
        if (family_suits(call->device, call->candidate->family) != suited ||
            is_library(call->candidate))
            continue;
        zm_status status = candidate_accepts(call, &refusal);
        if (status == ZM_OK) {
            status = plan_candidate(call, plan);
            if (!is_no_kernel(status))
                return status;
            failed = status;
            plan_clear(plan);
            zm_refuse(&refusal, status, "it could not be built");
        }
        reasons_add(&why, call, refusal.reason);
    }
    return zm_fail(&call->device->log, failed, "%s: no kernel for device %s can do it (%s)",
                   op->name, call->device->info.spec, why.text);
}

static zm_status choose(zm_call *call, zm_plan *plan)
{
    const char *forced = zm_device_forced_kernel(call->device, call->op->name);
    plan_clear(plan);
    zm_status status = forced ? plan_forced(call, forced, plan) : plan_first(call, plan);
    plan->op = call->op;
    plan->candidate = call->candidate;
    return status;
}

uint32_t zm_op_parts(const zm_op *op, const void *params)
{
    const zm_tensor matrix = zm_parts_matrix(op, params);
    return matrix.buffer ? zm_parts_count(&matrix) : 1;
}

uint64_t zm_op_scratch(const zm_device *device, const zm_op *op, const void *params)
{
    const zm_candidate *forced = zm_op_forced(device, op);
    if ((forced ? forced->family : zm_family_get(device)) != ZM_FAMILY_GPU)
        return 0;
    if (op == &zm_op_attention)
        return zm_attention_gpu_scratch(device, params);
    return op == &zm_op_argmax ? zm_argmax_gpu_scratch(device) : 0;
}

static zm_status fail_check(const zm_device *device, const zm_op *op, zm_status status,
                            const zm_refusal *refusal)
{
    return zm_fail(&device->log, status, "%s: %s", op->name, refusal->reason);
}

zm_status zm_op_choose(zm_device *device, const zm_op *op, const void *params, uint32_t part,
                       zm_plan *plan)
{
    zm_call call = {.device = device, .op = op, .params = params};
    const zm_tensor matrix = zm_parts_matrix(op, params);
    if (!matrix.buffer || !matrix.buffer->part_bytes)
        return choose(&call, plan);
    zm_refusal refusal;
    zm_part_params own;
    const zm_part rows = zm_part_get(&matrix, part);
    memcpy(&own, params, op->params_size);
    zm_part_take(device, op, &rows, &own);
    call.params = &own;
    call.part = &rows;
    /* Its views begin elsewhere, where 32 bits may not reach. */
    zm_status status = op->check(device, &own, &refusal);
    return status == ZM_OK ? choose(&call, plan) : fail_check(device, op, status, &refusal);
}

/* The forced one, or any of ours. */
static bool may_choose(const zm_call *call)
{
    const char *forced = zm_device_forced_kernel(call->device, call->op->name);
    return forced ? strcmp(forced, call->candidate->name) == 0 : !is_library(call->candidate);
}

zm_status zm_op_accepts(zm_device *device, const zm_op *op, const void *params, zm_refusal *refusal)
{
    zm_call call = {.device = device, .op = op, .params = params};
    size_t used = 0;
    refusal->reason[0] = '\0';
    for (size_t i = 0; i < op->candidate_count; i++) {
        zm_refusal one;
        call.candidate = &op->candidates[i];
        if (!may_choose(&call))
            continue;
        if (candidate_accepts(&call, &one) == ZM_OK)
            return ZM_OK;
        if (used < sizeof(refusal->reason))
            used +=
                (size_t)snprintf(refusal->reason + used, sizeof(refusal->reason) - used, "%s%s: %s",
                                 used ? "; " : "", call.candidate->name, one.reason);
    }
    return ZM_ERROR_UNSUPPORTED;
}

static zm_status check(const zm_device *device, const zm_op *op, const void *params)
{
    zm_refusal refusal;
    if (!params)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT, "%s: no parameters", op->name);
    zm_status status = op->check(device, params, &refusal);
    return status == ZM_OK ? ZM_OK : fail_check(device, op, status, &refusal);
}

zm_status zm_op_plan(zm_device *device, const zm_op *op, const void *params, zm_plan *plan)
{
    zm_status status = check(device, op, params);
    return status == ZM_OK ? zm_op_choose(device, op, params, 0, plan) : status;
}

/* A plan is of a device; the memory between its launches is of a stream. */
static zm_status bind_scratch(zm_stream *stream, zm_plan *plan)
{
    zm_buffer *scratch = NULL;
    if (!plan->scratch_bytes)
        return ZM_OK;
    zm_status status = zm_stream_scratch(stream, plan->scratch_bytes, &scratch);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->scratch[i])
            plan->launch[i].buffers[plan->scratch[i] - 1] = scratch;
    return status;
}

zm_status zm_plan_run(zm_stream *stream, zm_plan *plan, const char *node)
{
    zm_status status = bind_scratch(stream, plan);
    zm_stream_label(stream, &(zm_label){plan->op->name, plan->candidate->name, node});
    for (size_t i = 0; status == ZM_OK && i < plan->count; i++)
        status = zm_device_dispatch(stream, &plan->launch[i], NULL);
    return status;
}

/* All of it is planned before anything is enqueued. */
static zm_status parts_run(zm_stream *stream, const zm_op *op, const void *params, uint32_t parts)
{
    zm_plan one, *plans = parts == 1 ? &one : zm_calloc(parts, sizeof(*plans));
    if (!plans)
        return zm_fail(&stream->device->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", op->name);
    zm_status status = ZM_OK;
    for (uint32_t i = 0; status == ZM_OK && i < parts; i++)
        status = zm_op_choose(stream->device, op, params, i, &plans[i]);
    for (uint32_t i = 0; status == ZM_OK && i < parts; i++)
        status = zm_plan_run(stream, &plans[i], NULL);
    if (plans != &one)
        free(plans);
    return status;
}

zm_status zm_op_run(zm_stream *stream, const zm_op *op, const void *params)
{
    if (!stream)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_status status = check(stream->device, op, params);
    return status == ZM_OK ? parts_run(stream, op, params, zm_op_parts(op, params)) : status;
}

zm_status zm_plan_add(const zm_call *call, const zm_launch *launch, zm_plan *plan)
{
    const zm_candidate *candidate = call->candidate;
    bool shared = candidate->family != ZM_FAMILY_REF;
    const zm_kernel_desc desc = {
        .name = launch->kernel      ? launch->kernel
                : candidate->kernel ? candidate->kernel
                                    : call->op->name,
        .family = candidate->family,
        .options = launch->options,
        .local = {shared ? launch->local[0] : 0, shared ? launch->local[1] : 0,
                  shared ? launch->local[2] : 0},
        .buffer_count = launch->buffer_count,
        .args_size = launch->args_size,
    };
    zm_dispatch *dispatch = &plan->launch[plan->count];
    *dispatch = (zm_dispatch){0};
    zm_status status = zm_kernel_get(call->device, &desc, &dispatch->kernel);
    if (status != ZM_OK)
        return status;
    memcpy(dispatch->buffers, launch->buffers, sizeof(dispatch->buffers));
    memcpy(dispatch->args.bytes, launch->args, launch->args_size);
    for (size_t i = 0; i < 3; i++)
        dispatch->groups[i] = shared && launch->groups[i] ? launch->groups[i] : 1;
    plan->scratch[plan->count] = launch->scratch;
    if (plan->scratch_bytes < launch->scratch_bytes)
        plan->scratch_bytes = launch->scratch_bytes;
    plan->count++;
    return ZM_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "op_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "canary.h"
#include "common/alloc.h"
#include "common/half.h"
#include "common/hash.h"
#include "device/device.h"
#include "fill.h"
#include "ops/parts.h"
#include "ops/view.h"
#include "pack.h"

const double *op_run_input(const op_run *run, size_t operand)
{
    const zm_tensor *tensor = op_view(run->op, &run->reference, operand);
    return tensor->rank ? (const double *)run->memory[run->owner[operand]].input + tensor->offset
                        : NULL;
}

const double *op_run_result(const op_run *run, size_t operand)
{
    const zm_tensor *tensor = op_view(run->op, &run->reference, operand);
    return tensor->rank ? (const double *)run->memory[run->owner[operand]].result + tensor->offset
                        : NULL;
}

/* Layout, element type and buffer size of one operand that owns memory. */
static zm_status resolve_owner(const zm_device *device, op_run *run, size_t operand)
{
    zm_tensor *tensor = op_tensor(run->op, &run->params, operand);
    zm_tensor *reference = op_tensor(run->op, &run->reference, operand);
    op_memory *memory = &run->memory[operand];
    memory->count = op_place(tensor, op_rows(tensor) - 1, op_cols(tensor) - 1) + 1;
    if (tensor->dtype == OP_ACTIVATION) {
        tensor->dtype = run->c.activation;
    }
    if (tensor->dtype == OP_REAL) {
        tensor->dtype = zm_device_get_info(device)->real_type;
    }
    if (op_is_packed(tensor)) {
        zm_status status = op_packed_resolve(device, tensor, memory);
        if (status) {
            return status;
        }
        reference->offset = 0;
        reference->panel = 0;
    }
    if (reference->dtype != ZM_I32) {
        reference->dtype = ZM_F64;
    }
    memory->dtype = tensor->dtype;
    memory->count += OP_GUARD;
    return ZM_OK;
}

static zm_status resolve(const zm_device *device, op_run *run, size_t operand)
{
    size_t owner = run->c.alias[operand] ? run->c.alias[operand] - 1u : operand;
    zm_tensor *tensor = op_tensor(run->op, &run->params, operand);
    run->owner[operand] = owner;
    if (tensor->rank == 0) {
        return ZM_OK;
    }
    if (owner == operand) {
        return resolve_owner(device, run, operand);
    }
    *tensor = *op_tensor(run->op, &run->params, owner);
    *op_tensor(run->op, &run->reference, operand) = *op_tensor(run->op, &run->reference, owner);
    return ZM_OK;
}

/* Everything but memory. */
static zm_status plan(const zm_device *device, const op_description *op, const op_case *c,
                      op_run *run)
{
    memset(run, 0, sizeof(*run));
    run->op = op;
    run->c = *c;
    run->group = zm_statistics_group(device);
    run->repeats = 2;
    run->params = c->params;
    zm_status status = op->prepare ? op->prepare(device, &run->params) : ZM_OK;
    run->reference = run->params;
    for (size_t i = 0; i < op->operand_count && status == ZM_OK; ++i) {
        status = resolve(device, run, i);
    }
    return status;
}

bool op_run_fits(const op_run *run, zm_device *device)
{
    op_run now;
    if (plan(device, run->op, &run->c, &now) || now.group != run->group) {
        return false;
    }
    for (size_t i = 0; i < run->op->operand_count; ++i) {
        zm_tensor then = *op_view(run->op, &run->params, i);
        then.buffer = NULL;
        if (memcmp(&then, op_view(run->op, &now.params, i), sizeof(then)) != 0 ||
            (run->owner[i] == i && run->memory[i].count != now.memory[i].count)) {
            return false;
        }
    }
    return true;
}

size_t op_memory_bytes(const op_memory *memory)
{
    uint32_t length = zm_dtype_block_length(memory->dtype);
    return (size_t)zm_dtype_bytes(memory->dtype, memory->count + length - 1);
}

/* In whole words. */
static size_t buffer_size(const op_memory *memory)
{
    return (op_memory_bytes(memory) + 3) / 4 * 4;
}

static zm_status allocate(zm_device *device, op_run *run, size_t operand)
{
    op_memory *memory = &run->memory[operand];
    const zm_tensor *tensor = op_view(run->op, &run->params, operand);
    size_t bytes = buffer_size(memory);
    size_t values = (size_t)op_rows(tensor) * op_cols(tensor);
    memory->reference_size = (memory->count > values ? memory->count : values) * sizeof(double);
    memory->before = malloc(bytes);
    memory->after = malloc(bytes);
    memory->first = malloc(bytes);
    memory->input = malloc(memory->reference_size);
    memory->result = malloc(memory->reference_size);
    if (!memory->before || !memory->after || !memory->first || !memory->input || !memory->result) {
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    op_canary_fill(memory->before, bytes);
    op_canary_fill(memory->input, memory->reference_size);
    zm_buffer_params params = {.size = bytes};
    return zm_buffer_create(device, &params, &memory->buffer);
}

/* Stores a value where the device has it, and for the reference what the device's type made of it.
 */
static void store(op_memory *memory, size_t i, double value)
{
    if (memory->dtype == ZM_I32) {
        ((int32_t *)memory->before)[i] = ((int32_t *)memory->input)[i] = (int32_t)value;
    } else {
        zm_store_real(memory->before, memory->dtype, i, value);
        ((double *)memory->input)[i] = zm_load_real(memory->before, memory->dtype, i);
    }
}

static zm_status fill(op_run *run, size_t operand, op_random *random)
{
    const op_description *op = run->op;
    const zm_tensor *tensor = op_view(op, &run->params, operand);
    op_memory *memory = &run->memory[operand];
    op_fill how = run->c.fill[operand];
    size_t rows = op_rows(tensor), cols = op_cols(tensor);
    double *values = zm_calloc(rows * cols, sizeof(double));
    zm_status status = ZM_OK;
    if (!values) {
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    if (!op->fill || !op->fill(run, operand, how, random, values)) {
        for (size_t row = 0; row < rows; ++row) {
            op_fill_row(random, how, rows == 1 ? 1 : row, values + row * cols, cols);
        }
    }
    const zm_tensor *wish = op_view(op, &run->c.params, operand);
    if (op_is_packed(wish)) {
        status = op_pack(tensor, wish->panel == OP_GATED, memory, values);
    } else {
        for (size_t i = 0; i < rows * cols; ++i) {
            store(memory, op_place(tensor, i / cols, i % cols), values[i]);
        }
    }
    free(values);
    return status;
}

static zm_status create_operand(zm_device *device, op_run *run, size_t operand, op_random *random)
{
    zm_tensor *tensor = op_tensor(run->op, &run->params, operand);
    if (tensor->rank == 0) {
        return ZM_OK;
    }
    if (run->owner[operand] != operand) {
        tensor->buffer = run->memory[run->owner[operand]].buffer;
        return ZM_OK;
    }
    zm_status status = allocate(device, run, operand);
    tensor->buffer = run->memory[operand].buffer;
    if (status == ZM_OK && run->op->operands[operand].role != OP_OUTPUT) {
        status = fill(run, operand, random);
    }
    return status;
}

zm_status op_run_create(zm_device *device, const op_description *op, const op_case *c,
                        uint64_t seed, op_run **out)
{
    op_random random = {seed};
    op_run *run = zm_calloc(1, sizeof(*run));
    if (!run) {
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    *out = run;
    zm_status status = plan(device, op, c, run);
    for (size_t i = 0; i < op->operand_count && status == ZM_OK; ++i) {
        status = create_operand(device, run, i, &random);
    }
    return status;
}

zm_status op_run_create_unfilled(zm_device *device, const op_description *op, const op_case *c,
                                 op_run **out)
{
    op_run *run = zm_calloc(1, sizeof(*run));
    if (!run) {
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    *out = run;
    zm_status status = plan(device, op, c, run);
    for (size_t i = 0; i < op->operand_count && status == ZM_OK; ++i) {
        zm_tensor *tensor = op_tensor(op, &run->params, i);
        op_memory *memory = &run->memory[run->owner[i]];
        zm_buffer_params params = {.size = buffer_size(memory)};
        if (tensor->rank && run->owner[i] == i) {
            status = zm_buffer_create(device, &params, &memory->buffer);
        }
        tensor->buffer = memory->buffer;
    }
    return status;
}

void op_run_destroy(op_run **run)
{
    if (!*run) {
        return;
    }
    for (size_t i = 0; i < OP_MAX_OPERANDS; ++i) {
        op_memory *memory = &(*run)->memory[i];
        zm_buffer_destroy(&memory->buffer);
        free(memory->before);
        free(memory->after);
        free(memory->first);
        free(memory->input);
        free(memory->result);
    }
    free(*run);
    *run = NULL;
}

static size_t bytes_of(const op_memory *memory)
{
    return memory->buffer ? op_memory_bytes(memory) : 0;
}

zm_status op_run_upload(op_run *run, zm_stream *stream)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < OP_MAX_OPERANDS && status == ZM_OK; ++i) {
        op_memory *memory = &run->memory[i];
        if (memory->buffer) {
            status = zm_buffer_write(stream, memory->buffer, 0, memory->before, bytes_of(memory));
        }
    }
    return status;
}

zm_status op_run_call(op_run *run, zm_stream *stream)
{
    return run->op->run(stream, &run->params);
}

zm_status op_run_download(op_run *run, zm_stream *stream)
{
    zm_status status = zm_stream_wait(stream);
    for (size_t i = 0; i < OP_MAX_OPERANDS && status == ZM_OK; ++i) {
        op_memory *memory = &run->memory[i];
        if (memory->buffer) {
            status = zm_buffer_read(stream, memory->buffer, 0, memory->after, bytes_of(memory));
        }
    }
    return status;
}

void op_run_items(const op_run *run, const zm_ref_op *ref, const void *args, void *const *buffers)
{
    size_t items = ref->items(args);
    size_t count = run->part > 0 ? (size_t)(run->part * (double)items) + 1 : 1;
    if (run->part <= 0 || count >= items) {
        ref->f64(args, buffers, 0, items);
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        size_t item = (size_t)((double)i * (double)items / (double)count);
        ref->f64(args, buffers, item, item + 1);
    }
    ref->f64(args, buffers, items - 1, items);
}

/* What came back, in place of what the reference would give. */
static void take_result(op_memory *memory)
{
    for (size_t i = 0; i < memory->count; ++i) {
        if (memory->dtype == ZM_I32) {
            ((int32_t *)memory->result)[i] = ((const int32_t *)memory->after)[i];
        } else {
            ((double *)memory->result)[i] = zm_load_real(memory->after, memory->dtype, i);
        }
    }
}

void op_run_reference(op_run *run)
{
    void *buffers[OP_MAX_OPERANDS] = {NULL};
    for (size_t i = 0; i < run->op->operand_count; ++i) {
        op_memory *memory = &run->memory[i];
        if (memory->buffer) {
            memcpy(memory->result, memory->input, memory->reference_size);
            if (run->part > 0 && run->op->operands[i].role != OP_INPUT)
                take_result(memory);
        }
        buffers[i] = run->memory[run->owner[i]].result;
    }
    if (run->op->reference) {
        run->op->reference(run, buffers);
        return;
    }
    const zm_ref_op *ref = zm_ref_find(run->op->name);
    op_args args;
    memset(&args, 0, sizeof(args));
    run->op->args(run, &args);
    op_run_items(run, ref, &args, buffers);
}

/* Keeps what came back the first time; later: is it the same? */
static bool same_as_first(op_run *run, size_t repeat)
{
    bool same = true;
    for (size_t i = 0; i < OP_MAX_OPERANDS; ++i) {
        op_memory *memory = &run->memory[i];
        if (memory->buffer && repeat == 0) {
            memcpy(memory->first, memory->after, bytes_of(memory));
        }
        same = same &&
               (!memory->buffer || memcmp(memory->first, memory->after, bytes_of(memory)) == 0);
    }
    return same;
}

/* Bytes of the smallest parts that the operand can be in; 0 = in none. */
static uint64_t part_bytes(const op_run *run, const zm_device *device, size_t operand)
{
    const zm_op *op = zm_op_find(run->op->op ? run->op->op : run->op->name);
    const zm_tensor *t = op_view(run->op, &run->params, operand);
    size_t i = 0;
    while (op && i < op->operand_count &&
           op->operands[i].offset != run->op->operands[operand].offset) {
        ++i;
    }
    if (!op || i == op->operand_count || !(op->operands[i].use & ZM_OPERAND_PARTS) ||
        t->rank != 2 || t->offset || !zm_tensor_is_packed(t)) {
        return 0;
    }
    uint32_t rows = 0;
    for (uint64_t most = 32; rows == 0; most *= 2) {
        rows = zm_part_rows(device, t->shape[0], t->panel, t->shape[1], t->dtype,
                            zm_dtype_bytes(t->dtype, most * t->shape[1]));
    }
    return rows < t->shape[0] ? zm_dtype_bytes(t->dtype, (uint64_t)rows * t->shape[1]) : 0;
}

/* Gives weights that can be in parts a buffer that is, or is not. */
static zm_status cut(op_run *run, zm_device *device, bool parts)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < run->op->operand_count && status == ZM_OK; ++i) {
        op_memory *memory = &run->memory[i];
        zm_buffer_params params = {.size = memory->buffer ? buffer_size(memory) : 0};
        params.part_bytes = memory->buffer && parts ? part_bytes(run, device, i) : 0;
        if (!memory->buffer || memory->buffer->part_bytes == params.part_bytes) {
            continue;
        }
        zm_buffer_destroy(&memory->buffer);
        status = zm_buffer_create(device, &params, &memory->buffer);
        op_tensor(run->op, &run->params, i)->buffer = memory->buffer;
    }
    return status;
}

static zm_status run_once(op_run *run, zm_stream *stream, size_t repeat)
{
    uint32_t *units = &stream->device->info.limits.compute_units, there = *units;
    zm_status status = cut(run, stream->device, repeat + 1 == run->repeats);
    if (status == ZM_OK) {
        status = op_run_upload(run, stream);
    }
    if (repeat && run->repeat_units) {
        *units = run->repeat_units;
    }
    if (status == ZM_OK) {
        status = op_run_call(run, stream);
    }
    *units = there;
    return status ? status : op_run_download(run, stream);
}

zm_status op_run_verify(op_run *run, zm_stream *stream, zm_dtype real, op_verdict *verdict)
{
    bool same = true;
    for (size_t repeat = 0; repeat < run->repeats && same; ++repeat) {
        zm_status status = run_once(run, stream, repeat);
        if (status) {
            return status;
        }
        same = same_as_first(run, repeat);
    }
    *verdict = op_run_check(run, real);
    return ZM_OK;
}

void op_run_hash(const op_run *run, char hex[65])
{
    zm_sha256 hash;
    zm_sha256_init(&hash);
    for (size_t i = 0; i < OP_MAX_OPERANDS; ++i) {
        const op_memory *memory = &run->memory[i];
        if (memory->buffer) {
            zm_sha256_update(&hash, memory->after, bytes_of(memory));
        }
    }
    zm_sha256_finish(&hash, hex);
}

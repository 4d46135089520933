/* SPDX-License-Identifier: Apache-2.0 */
#include "op_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "canary.h"
#include "common/alloc.h"
#include "common/half.h"
#include "fill.h"
#include "ref/ref.h"

const double *op_run_input(const op_run *run, size_t operand)
{
    const zm_tensor *tensor = op_view(run->op, &run->reference, operand);
    return tensor->rank ? (const double *)run->memory[run->owner[operand]].input + tensor->offset
                        : NULL;
}

static bool is_packed(const op_run *run, size_t operand)
{
    return op_view(run->op, &run->c.params, operand)->panel == OP_PACKED;
}

/* Layout, element type and buffer size of one operand that owns memory. */
static zm_status resolve(zm_device *device, op_run *run, size_t operand)
{
    zm_tensor *tensor = op_tensor(run->op, &run->params, operand);
    zm_tensor *reference = op_tensor(run->op, &run->reference, operand);
    op_memory *memory = &run->memory[operand];
    uint64_t elements = (op_rows(tensor) - 1) * op_stride(tensor) + op_cols(tensor);
    if (tensor->dtype == OP_REAL) {
        tensor->dtype = zm_device_get_info(device)->real_type;
    }
    if (is_packed(run, operand)) {
        zm_weight_layout layout;
        zm_status status = zm_weight_layout_get(device, tensor->shape[0], tensor->shape[1],
                                                tensor->dtype, &layout);
        if (status) {
            return status;
        }
        tensor->panel = layout.panel;
        elements = layout.elements;
        reference->offset = 0;
        reference->panel = 0;
    }
    if (reference->dtype != ZM_I32) {
        reference->dtype = ZM_F64;
    }
    memory->dtype = tensor->dtype;
    memory->count = tensor->offset + elements + OP_GUARD;
    return ZM_OK;
}

static zm_status allocate(zm_device *device, op_run *run, size_t operand)
{
    op_memory *memory = &run->memory[operand];
    const zm_tensor *tensor = op_view(run->op, &run->params, operand);
    size_t bytes = memory->count * zm_dtype_size(memory->dtype);
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
static void store(op_memory *memory, size_t i, size_t reference_i, double value)
{
    if (memory->dtype == ZM_I32) {
        ((int32_t *)memory->before)[i] = ((int32_t *)memory->input)[reference_i] = (int32_t)value;
    } else {
        zm_store_real(memory->before, memory->dtype, i, value);
        ((double *)memory->input)[reference_i] = zm_load_real(memory->before, memory->dtype, i);
    }
}

/* Weights: rows of float64 for the reference, and packed for the device. */
static zm_status pack(const zm_tensor *tensor, op_memory *memory, const double *values)
{
    uint32_t n = tensor->shape[0], k = tensor->shape[1];
    size_t count = (size_t)n * k, size = zm_dtype_size(memory->dtype);
    zm_weight_layout layout = {.panel = tensor->panel,
                               .elements = memory->count - OP_GUARD - tensor->offset};
    unsigned char *rows = malloc(count * size);
    if (!rows) {
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    zm_convert_reals(rows, memory->dtype, values, ZM_F64, count);
    zm_convert_reals(memory->input, ZM_F64, rows, memory->dtype, count);
    memset(memory->before + tensor->offset * size, 0, layout.elements * size);
    zm_status status = zm_weight_pack(memory->before + tensor->offset * size, memory->dtype,
                                      &layout, n, 0, rows, memory->dtype, n, k);
    free(rows);
    return status;
}

static zm_status fill(op_run *run, size_t operand, op_random *random)
{
    const op_description *op = run->op;
    const zm_tensor *tensor = op_view(run->op, &run->params, operand);
    op_memory *memory = &run->memory[operand];
    op_fill how = run->c.fill[operand];
    size_t rows = op_rows(tensor), cols = op_cols(tensor), stride = op_stride(tensor);
    double *values = zm_calloc(rows * cols, sizeof(double));
    zm_status status = ZM_OK;
    if (!values) {
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    if (!op->fill || !op->fill(&run->params, operand, how, random, values)) {
        for (size_t row = 0; row < rows; ++row) {
            op_fill_row(random, how, row, values + row * cols, cols);
        }
    }
    if (is_packed(run, operand)) {
        status = pack(tensor, memory, values);
    } else {
        for (size_t i = 0; i < rows * cols; ++i) {
            size_t place = tensor->offset + i / cols * stride + i % cols;
            store(memory, place, place, values[i]);
        }
    }
    free(values);
    return status;
}

static zm_status create_operand(zm_device *device, op_run *run, size_t operand, op_random *random)
{
    zm_tensor *tensor = op_tensor(run->op, &run->params, operand);
    zm_status status = ZM_OK;
    run->owner[operand] = operand;
    if (tensor->rank == 0) {
        return ZM_OK;
    }
    if (run->c.alias[operand]) {
        size_t owner = run->c.alias[operand] - 1u;
        run->owner[operand] = owner;
        *tensor = *op_tensor(run->op, &run->params, owner);
        *op_tensor(run->op, &run->reference, operand) = *op_tensor(run->op, &run->reference, owner);
        return ZM_OK;
    }
    if ((status = resolve(device, run, operand)) || (status = allocate(device, run, operand))) {
        return status;
    }
    tensor->buffer = run->memory[operand].buffer;
    if (run->op->operands[operand].role != OP_OUTPUT) {
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
    run->op = op;
    run->c = *c;
    run->params = c->params;
    zm_status status = op->prepare ? op->prepare(device, &run->params) : ZM_OK;
    run->reference = run->params;
    for (size_t i = 0; i < op->operand_count && status == ZM_OK; ++i) {
        status = create_operand(device, run, i, &random);
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
    return memory->buffer ? memory->count * zm_dtype_size(memory->dtype) : 0;
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

void op_run_reference(op_run *run)
{
    const zm_ref_op *ref = zm_ref_find(run->op->name);
    void *buffers[OP_MAX_OPERANDS] = {NULL};
    op_args args;
    memset(&args, 0, sizeof(args));
    for (size_t i = 0; i < run->op->operand_count; ++i) {
        op_memory *memory = &run->memory[i];
        if (memory->buffer) {
            memcpy(memory->result, memory->input, memory->reference_size);
        }
        buffers[i] = run->memory[run->owner[i]].result;
    }
    run->op->args(&run->reference, &args);
    ref->f64(&args, buffers, 0, ref->items(&args));
}

zm_status op_run_verify(op_run *run, zm_stream *stream, zm_dtype real, op_verdict *verdict)
{
    zm_status status;
    for (int repeat = 0; repeat < 2; ++repeat) {
        if ((status = op_run_upload(run, stream)) || (status = op_run_call(run, stream)) ||
            (status = op_run_download(run, stream))) {
            return status;
        }
        for (size_t i = 0; i < OP_MAX_OPERANDS && repeat == 0; ++i) {
            op_memory *memory = &run->memory[i];
            if (memory->buffer) {
                memcpy(memory->first, memory->after, bytes_of(memory));
            }
        }
    }
    *verdict = op_run_check(run, real);
    return ZM_OK;
}

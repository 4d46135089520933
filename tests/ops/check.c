/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what came back from the device with the reference, and everything an op must not touch
 * with what was there before. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary.h"
#include "common/alloc.h"
#include "common/compiler.h"
#include "common/half.h"
#include "op_run.h"

#define CANARY 0x7ffdu

void op_canary_fill(void *memory, size_t size)
{
    static const uint16_t canary = CANARY;
    for (size_t i = 0; i + 1 < size; i += 2) {
        memcpy((char *)memory + i, &canary, 2);
    }
}

bool op_canary_holds(const void *element, size_t size)
{
    unsigned char canary[8];
    op_canary_fill(canary, sizeof(canary));
    return memcmp(element, canary, size) == 0;
}

ZM_PRINTF(2, 3)
static void reject(op_verdict *verdict, const char *format, ...)
{
    va_list arguments;
    if (!verdict->ok) {
        return;
    }
    verdict->ok = false;
    va_start(arguments, format);
    vsnprintf(verdict->reason, sizeof(verdict->reason), format, arguments);
    va_end(arguments);
}

/* One row of an output. */
typedef struct op_row {
    const op_run *run;
    size_t operand, row, cols;
    const unsigned char *got;
    size_t size; /* bytes of an element */
    zm_dtype dtype;
    const void *expected; /* double, or int32_t where dtype is I32 */
} op_row;

static double got_at(const op_row *r, size_t i)
{
    return r->dtype == ZM_I32 ? ((const int32_t *)r->got)[i] : zm_load_real(r->got, r->dtype, i);
}

static double expected_at(const op_row *r, size_t i)
{
    return r->dtype == ZM_I32 ? ((const int32_t *)r->expected)[i]
                              : ((const double *)r->expected)[i];
}

static bool same_class(double got, double expected)
{
    if (isnan(expected) || isinf(expected)) {
        return isnan(expected) ? isnan(got) : got == expected;
    }
    return isfinite(got);
}

/* |got - expected| and |expected| of the finite elements, L2. */
static void row_norms(const op_row *r, double *difference, double *magnitude, op_verdict *verdict)
{
    double squares = 0, expected_squares = 0;
    for (size_t i = 0; i < r->cols; ++i) {
        double got = got_at(r, i), expected = expected_at(r, i);
        bool written = !op_canary_holds(r->got + i * r->size, r->size);
        if (!written || !same_class(got, expected)) {
            reject(verdict, "%s[%zu][%zu] is %.9g%s, not %.9g",
                   r->run->op->operands[r->operand].name, r->row, i, got,
                   written ? "" : " (not written)", expected);
            return;
        }
        if (isfinite(expected)) {
            squares += (got - expected) * (got - expected);
            expected_squares += expected * expected;
        }
    }
    *difference = sqrt(squares);
    *magnitude = sqrt(expected_squares);
}

static void check_row(const op_row *r, double tolerance, op_verdict *verdict)
{
    const op_description *op = r->run->op;
    double difference = 0, magnitude = 0;
    row_norms(r, &difference, &magnitude, verdict);
    if (!verdict->ok || difference == 0) {
        return;
    }
    double scale = op->scale ? op->scale(r->run, r->operand, r->row) : 0;
    scale = scale > 0 && isfinite(scale) ? scale : magnitude;
    double error = difference / scale;
    verdict->error = error > verdict->error ? error : verdict->error;
    if (!(error <= tolerance)) {
        reject(verdict, "%s[%zu]: error %.3g over the tolerance %.3g",
               op->operands[r->operand].name, r->row, error, tolerance);
    }
}

static void check_output(const op_run *run, size_t operand, double tolerance, op_verdict *verdict)
{
    const op_description *op = run->op;
    const zm_tensor *tensor = op_view(op, &run->params, operand);
    const op_memory *memory = &run->memory[run->owner[operand]];
    size_t size = zm_dtype_size(memory->dtype);
    size_t reference_size = memory->dtype == ZM_I32 ? sizeof(int32_t) : sizeof(double);
    for (size_t row = 0; row < op_rows(tensor); ++row) {
        size_t first = tensor->offset + row * op_stride(tensor);
        op_row r = {.run = run,
                    .operand = operand,
                    .row = row,
                    .cols = op_cols(tensor),
                    .got = memory->after + first * size,
                    .size = size,
                    .dtype = memory->dtype,
                    .expected = (const char *)memory->result + first * reference_size};
        check_row(&r, tolerance, verdict);
    }
}

/* Marks the elements of the memory of owner that an output may write. */
static void mark_outputs(const op_run *run, size_t owner, bool *written)
{
    for (size_t i = 0; i < run->op->operand_count; ++i) {
        const zm_tensor *tensor = op_view(run->op, &run->params, i);
        if (run->op->operands[i].role == OP_INPUT || tensor->rank == 0 || run->owner[i] != owner) {
            continue;
        }
        for (size_t row = 0; row < op_rows(tensor); ++row) {
            memset(written + tensor->offset + row * op_stride(tensor), true, op_cols(tensor));
        }
    }
}

static void check_untouched(const op_run *run, size_t owner, op_verdict *verdict)
{
    const op_memory *memory = &run->memory[owner];
    size_t size = zm_dtype_size(memory->dtype);
    bool *written = zm_calloc(memory->count, sizeof(bool));
    if (!written) {
        reject(verdict, "out of memory");
        return;
    }
    mark_outputs(run, owner, written);
    for (size_t i = 0; i < memory->count; ++i) {
        if (!written[i] && memcmp(memory->before + i * size, memory->after + i * size, size)) {
            reject(verdict, "element %zu of the buffer of %s is outside the outputs but changed", i,
                   run->op->operands[owner].name);
            break;
        }
    }
    free(written);
}

op_verdict op_run_check(const op_run *run, zm_dtype real)
{
    op_verdict verdict = {.ok = true};
    const op_description *op = run->op;
    double tolerance = real == ZM_F64 ? op->tolerance_f64 : op->tolerance_f32;
    for (size_t i = 0; i < op->operand_count; ++i) {
        const op_memory *memory = &run->memory[i];
        if (op->operands[i].role != OP_INPUT && op_view(op, &run->params, i)->rank) {
            check_output(run, i, tolerance, &verdict);
        }
        if (memory->buffer) {
            size_t bytes = memory->count * zm_dtype_size(memory->dtype);
            check_untouched(run, i, &verdict);
            if (memcmp(memory->first, memory->after, bytes) != 0) {
                reject(&verdict, "%s differs between two runs", op->operands[i].name);
            }
        }
    }
    return verdict;
}

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
    size_t operand, row;
    const zm_tensor *tensor;
    const op_memory *memory;
} op_row;

/* Both views of a tensor, the device's and the reference's, have the same places. */
static const unsigned char *got_at(const op_row *r, size_t col)
{
    return r->memory->after + op_place(r->tensor, r->row, col) * zm_dtype_size(r->memory->dtype);
}

static double got_value(const op_row *r, size_t col)
{
    const unsigned char *got = got_at(r, col);
    return r->memory->dtype == ZM_I32 ? *(const int32_t *)got
                                      : zm_load_real(got, r->memory->dtype, 0);
}

static double expected_value(const op_row *r, size_t col)
{
    uint64_t place = op_place(r->tensor, r->row, col);
    return r->memory->dtype == ZM_I32 ? ((const int32_t *)r->memory->result)[place]
                                      : ((const double *)r->memory->result)[place];
}

/* What the output's type makes of a value. */
static double stored(const op_row *r, double value)
{
    double element = 0;
    if (r->memory->dtype == ZM_I32) {
        return value;
    }
    zm_store_real(&element, r->memory->dtype, 0, value);
    return zm_load_real(&element, r->memory->dtype, 0);
}

static bool same_class(double got, double expected)
{
    if (isnan(expected) || isinf(expected)) {
        return isnan(expected) ? isnan(got) : got == expected;
    }
    return isfinite(got);
}

/* Half a unit in the last place of the value where the type stores it. */
static double rounding(zm_dtype dtype, double value)
{
    static const struct {
        int digits, lowest; /* bits of the fraction; exponent of the least normal number */
    } formats[] = {
        [ZM_F32] = {23, -126}, [ZM_F16] = {10, -14}, [ZM_BF16] = {7, -126}, [ZM_F64] = {52, -1022}};
    if (dtype == ZM_I32 || value == 0) {
        return 0;
    }
    int exponent = ilogb(value);
    exponent = exponent < formats[dtype].lowest ? formats[dtype].lowest : exponent;
    return ldexp(0.5, exponent - formats[dtype].digits);
}

/* |got - expected| beyond the rounding to the type, and |expected|, of the finite elements, L2. */
static void row_norms(const op_row *r, bool exact, double *difference, double *magnitude,
                      op_verdict *verdict)
{
    zm_dtype dtype = r->memory->dtype;
    double squares = 0, expected_squares = 0;
    for (size_t i = 0; i < op_cols(r->tensor); ++i) {
        double got = got_value(r, i), expected = expected_value(r, i);
        double nearest = stored(r, expected);
        bool written = !op_canary_holds(got_at(r, i), zm_dtype_size(dtype));
        if (!written || !same_class(got, nearest) || (exact && got != nearest && !isnan(got))) {
            reject(verdict, "%s[%zu][%zu] is %.9g%s, not %.9g",
                   r->run->op->operands[r->operand].name, r->row, i, got,
                   written ? "" : " (not written)", expected);
            return;
        }
        if (isfinite(nearest) && got != nearest) {
            double error = fmax(fabs(got - expected) - rounding(dtype, expected), 0);
            squares += error * error;
        }
        if (isfinite(nearest)) {
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
    row_norms(r, tolerance == 0, &difference, &magnitude, verdict);
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
    const zm_tensor *tensor = op_view(run->op, &run->params, operand);
    for (size_t row = 0; row < op_rows(tensor); ++row) {
        op_row r = {run, operand, row, tensor, &run->memory[run->owner[operand]]};
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
            for (size_t col = 0; col < op_cols(tensor); ++col) {
                written[op_place(tensor, row, col)] = true;
            }
        }
    }
}

static void check_untouched(const op_run *run, size_t owner, op_verdict *verdict)
{
    const op_memory *memory = &run->memory[owner];
    size_t size = zm_dtype_size(memory->dtype);
    if (size == 0) { /* quantised, and so an input */
        if (memcmp(memory->before, memory->after, op_memory_bytes(memory)) != 0)
            reject(verdict, "the buffer of %s changed", run->op->operands[owner].name);
        return;
    }
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
            size_t bytes = op_memory_bytes(memory);
            check_untouched(run, i, &verdict);
            if (memcmp(memory->first, memory->after, bytes) != 0) {
                reject(&verdict, "%s differs between two runs", op->operands[i].name);
            }
        }
    }
    return verdict;
}

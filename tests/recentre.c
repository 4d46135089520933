/* SPDX-License-Identifier: Apache-2.0 */
/* The mathematics of the conversion: what recentring does to a tensor, and that a Pre-LN stack of
 * plain double arithmetic stays the same function. Every rule is also broken once, to see that the
 * comparison notices. */
#include "convert/recentre.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/half.h"
#include "support/random.h"

#define SEED 20230524u

static uint64_t random_state;

static void fill(double *out, size_t count, double scale, double offset)
{
    for (size_t i = 0; i < count; i++)
        out[i] = test_random_between(&random_state, offset - scale / 2, offset + scale / 2);
}

static zm_model_tensor matrix(const void *data, zm_dtype dtype, uint64_t rows, uint64_t cols)
{
    uint64_t elements = rows * cols;
    return (zm_model_tensor){.name = "matrix",
                             .dtype = dtype,
                             .rank = 2,
                             .shape = {rows, cols},
                             .elements = elements,
                             .bytes = elements * zm_dtype_size(dtype),
                             .data = data};
}

/* dst may be src: the means are taken before anything is written. */
static void recentre(double *dst, const double *src, uint64_t rows, uint64_t cols,
                     zm_recentre_axis axis)
{
    zm_recentring recentring;
    zm_model_tensor tensor = matrix(src, ZM_F64, rows, cols);
    assert_int_equal(zm_recentring_init(&recentring, &tensor, axis, &ZM_MEAN_OUT, NULL), ZM_OK);
    zm_recentring_read(&recentring, 0, rows * cols, dst);
    zm_recentring_finish(&recentring);
}

/* ---- tensors ---- */

/* |sum of each group| / sum of |elements| of the group, before recentring; the largest. */
static double largest_sum(const double *before, const double *after, uint64_t rows, uint64_t cols,
                          zm_recentre_axis axis)
{
    bool outputs = axis == ZM_RECENTRE_OUTPUTS;
    double largest = 0.0;
    for (uint64_t g = 0; g < (outputs ? cols : rows); g++) {
        long double sum = 0.0L, size = 0.0L;
        for (uint64_t i = 0; i < (outputs ? rows : cols); i++) {
            uint64_t at = outputs ? i * cols + g : g * cols + i;
            sum += (long double)after[at];
            size += fabsl((long double)before[at]);
        }
        if (size > 0.0L && (double)(fabsl(sum) / size) > largest)
            largest = (double)(fabsl(sum) / size);
    }
    return largest;
}

static const struct {
    uint64_t rows, cols;
} shapes[] = {{1, 1}, {1, 7}, {7, 1}, {3, 5}, {67, 13}, {64, 64}, {129, 511}, {512, 31}, {2, 9000}};

static void test_means_vanish(void **state)
{
    (void)state;
    static const double offsets[] = {0.0, 1.0, -1e4, 1e8};
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        uint64_t rows = shapes[s].rows, cols = shapes[s].cols;
        double *before = malloc(rows * cols * sizeof(double));
        double *after = malloc(rows * cols * sizeof(double));
        for (size_t o = 0; o < sizeof(offsets) / sizeof(offsets[0]); o++) {
            fill(before, rows * cols, 2.0, offsets[o]);
            for (int axis = ZM_RECENTRE_OUTPUTS; axis <= ZM_RECENTRE_ROWS; axis++) {
                recentre(after, before, rows, cols, axis);
                double first = largest_sum(before, after, rows, cols, axis);
                assert_true(first <= 2.3e-16);
                /* Nothing is left to take out: only roundings move. */
                double *again = malloc(rows * cols * sizeof(double));
                recentre(again, after, rows, cols, axis);
                for (uint64_t i = 0; i < rows * cols; i++)
                    assert_true(fabs(again[i] - after[i]) <= 2.3e-16 * (fabs(offsets[o]) + 1.0));
                free(again);
            }
        }
        free(before);
        free(after);
    }
}

/* The differences within a group are what LayerNorm sees: they must stay. */
static void test_truth(void **state)
{
    (void)state;
    enum { ROWS = 97, COLS = 33 };
    static double before[ROWS * COLS], after[ROWS * COLS];
    fill(before, ROWS * COLS, 1.0, 300.0);
    recentre(after, before, ROWS, COLS, ZM_RECENTRE_OUTPUTS);
    for (size_t c = 0; c < COLS; c++) {
        long double mean = 0.0L;
        for (size_t r = 0; r < ROWS; r++)
            mean += (long double)before[r * COLS + c];
        mean /= ROWS;
        for (size_t r = 0; r < ROWS; r++) {
            long double truth = (long double)before[r * COLS + c] - mean;
            assert_true(fabsl((long double)after[r * COLS + c] - truth) <= 6e-14L);
        }
    }
    recentre(after, before, ROWS, COLS, ZM_RECENTRE_ROWS);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 1; c < COLS; c++) {
            double was = before[r * COLS + c] - before[r * COLS];
            assert_true(fabs(after[r * COLS + c] - after[r * COLS] - was) <= 6e-14);
        }
}

/* A plain sum of these loses every small element. */
static void test_cancellation(void **state)
{
    (void)state;
    double column[5] = {1e17, 1.0, 1.0, 1.0, -1e17};
    zm_recentring recentring;
    zm_model_tensor tensor = matrix(column, ZM_F64, 5, 1);
    assert_int_equal(
        zm_recentring_init(&recentring, &tensor, ZM_RECENTRE_OUTPUTS, &ZM_MEAN_OUT, NULL), ZM_OK);
    assert_true(recentring.mean[0] == 0.6);
    zm_recentring_finish(&recentring);
}

static void test_types(void **state)
{
    (void)state;
    enum { ROWS = 24, COLS = 17 };
    static const zm_dtype types[] = {ZM_F32, ZM_F16, ZM_BF16, ZM_F64};
    static double values[ROWS * COLS], expected[ROWS * COLS], got[ROWS * COLS];
    static uint8_t stored[ROWS * COLS * sizeof(double)];
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
        fill(values, ROWS * COLS, 3.0, 0.5);
        zm_convert_reals(stored, types[t], values, ZM_F64, ROWS * COLS);
        zm_convert_reals(values, ZM_F64, stored, types[t], ROWS * COLS);
        recentre(expected, values, ROWS, COLS, ZM_RECENTRE_OUTPUTS);
        zm_recentring recentring;
        zm_model_tensor tensor = matrix(stored, types[t], ROWS, COLS);
        assert_int_equal(
            zm_recentring_init(&recentring, &tensor, ZM_RECENTRE_OUTPUTS, &ZM_MEAN_OUT, NULL),
            ZM_OK);
        for (uint64_t i = 0, piece = 1; i < ROWS * COLS; i += piece, piece = piece % 29 + 1) {
            uint64_t left = ROWS * COLS - i;
            zm_recentring_read(&recentring, i, piece < left ? piece : left, got + i);
        }
        zm_recentring_finish(&recentring);
        assert_memory_equal(got, expected, sizeof(got));
    }
}

/* Convolutions: [outputs][channels][taps] lose the mean over outputs. */
static void test_rank(void **state)
{
    (void)state;
    static double values[6 * 4 * 3], got[6 * 4 * 3], expected[6 * 4 * 3];
    fill(values, 72, 1.0, 5.0);
    zm_model_tensor tensor = {.dtype = ZM_F64,
                              .rank = 3,
                              .shape = {6, 4, 3},
                              .elements = 72,
                              .bytes = sizeof(values),
                              .data = values};
    zm_recentring recentring;
    assert_int_equal(
        zm_recentring_init(&recentring, &tensor, ZM_RECENTRE_OUTPUTS, &ZM_MEAN_OUT, NULL), ZM_OK);
    zm_recentring_read(&recentring, 0, 72, got);
    zm_recentring_finish(&recentring);
    recentre(expected, values, 6, 12, ZM_RECENTRE_OUTPUTS);
    assert_memory_equal(got, expected, sizeof(got));

    tensor.rank = 0;
    tensor.elements = 1;
    assert_int_equal(zm_recentring_init(&recentring, &tensor, ZM_RECENTRE_ROWS, &ZM_MEAN_OUT, NULL),
                     ZM_ERROR_INVALID_ARGUMENT);
    tensor = matrix(values, ZM_I32, 6, 4);
    assert_int_equal(zm_recentring_init(&recentring, &tensor, ZM_RECENTRE_ROWS, &ZM_MEAN_OUT, NULL),
                     ZM_ERROR_INVALID_ARGUMENT);
}

/* ---- a Pre-LN stack with a tied head ---- */

enum { D = 48, FF = 64, LAYERS = 3, ROWS = 6, VOCABULARY = 40 };

typedef struct stack {
    double table[VOCABULARY][D], position[ROWS][D];
    double in[LAYERS][FF][D], in_bias[LAYERS][FF];
    double out[LAYERS][D][FF], out_bias[LAYERS][D];
    double gamma[LAYERS + 1][D], beta[LAYERS + 1][D];
    double eps;
    bool rms, recentre_input;
} stack;

static void make_stack(stack *s)
{
    random_state = SEED;
    fill(&s->table[0][0], VOCABULARY * D, 2.0, 0.7);
    fill(&s->position[0][0], ROWS * D, 1.0, -3.0);
    fill(&s->in[0][0][0], LAYERS * FF * D, 0.6, 0.05);
    fill(&s->in_bias[0][0], LAYERS * FF, 0.5, 0.2);
    fill(&s->out[0][0][0], LAYERS * D * FF, 0.6, 0.2);
    fill(&s->out_bias[0][0], LAYERS * D, 1.0, 2.0);
    fill(&s->gamma[0][0], (LAYERS + 1) * D, 1.0, 1.0);
    fill(&s->beta[0][0], (LAYERS + 1) * D, 1.0, 0.3);
    s->eps = 1e-5;
    s->rms = s->recentre_input = false;
}

static void normalise(const stack *s, size_t layer, const double *x, double *y)
{
    double mean = 0.0, square = 0.0;
    for (size_t i = 0; i < D && !s->rms; i++)
        mean += x[i] / D;
    for (size_t i = 0; i < D; i++)
        square += (x[i] - mean) * (x[i] - mean) / D;
    for (size_t i = 0; i < D; i++)
        y[i] = (x[i] - mean) / sqrt(square + s->eps) * s->gamma[layer][i] + s->beta[layer][i];
}

/* Each row sees the hidden layer of all rows before it, as attention would let it. */
static void run_block(const stack *s, size_t layer, double x[ROWS][D])
{
    double hidden[FF] = {0}, y[D];
    for (size_t r = 0; r < ROWS; r++) {
        normalise(s, layer, x[r], y);
        for (size_t f = 0; f < FF; f++) {
            double sum = s->in_bias[layer][f];
            for (size_t i = 0; i < D; i++)
                sum += s->in[layer][f][i] * y[i];
            hidden[f] = 0.5 * hidden[f] + tanh(sum);
        }
        for (size_t i = 0; i < D; i++) {
            x[r][i] += s->out_bias[layer][i];
            for (size_t f = 0; f < FF; f++)
                x[r][i] += s->out[layer][i][f] * hidden[f];
        }
    }
}

static void run_stack(const stack *s, double logits[ROWS][VOCABULARY])
{
    double x[ROWS][D], y[D];
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < D; i++)
            x[r][i] = s->table[r * 5][i] + s->position[r][i];
        if (s->recentre_input)
            recentre(x[r], x[r], 1, D, ZM_RECENTRE_ROWS);
    }
    for (size_t layer = 0; layer < LAYERS; layer++)
        run_block(s, layer, x);
    for (size_t r = 0; r < ROWS; r++) {
        normalise(s, LAYERS, x[r], y);
        for (size_t v = 0; v < VOCABULARY; v++) {
            logits[r][v] = 0.0;
            for (size_t i = 0; i < D; i++)
                logits[r][v] += s->table[v][i] * y[i];
        }
    }
}

static void convert_stack(stack *s)
{
    for (size_t l = 0; l < LAYERS; l++) {
        recentre(&s->out[l][0][0], &s->out[l][0][0], D, FF, ZM_RECENTRE_OUTPUTS);
        recentre(s->out_bias[l], s->out_bias[l], 1, D, ZM_RECENTRE_ROWS);
    }
    recentre(&s->position[0][0], &s->position[0][0], ROWS, D, ZM_RECENTRE_ROWS);
    s->rms = s->recentre_input = true;
}

static double distance(const stack *a, const stack *b)
{
    static double x[ROWS][VOCABULARY], y[ROWS][VOCABULARY];
    double error = 0.0, size = 0.0;
    run_stack(a, x);
    run_stack(b, y);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t v = 0; v < VOCABULARY; v++) {
            error += (x[r][v] - y[r][v]) * (x[r][v] - y[r][v]);
            size += x[r][v] * x[r][v];
        }
    }
    return sqrt(error / size);
}

static void test_stack(void **state)
{
    (void)state;
    static stack original, converted;
    make_stack(&original);
    converted = original;
    convert_stack(&converted);
    assert_true(distance(&original, &converted) <= 1e-13);
    converted.recentre_input = false;
    converted.rms = false; /* still a LayerNorm model */
    assert_true(distance(&original, &converted) <= 1e-13);
}

typedef void (*mistake_fn)(const stack *original, stack *converted);

static void keep_writer(const stack *original, stack *converted)
{
    memcpy(converted->out[1], original->out[1], sizeof(original->out[1]));
}

static void keep_bias(const stack *original, stack *converted)
{
    memcpy(converted->out_bias[2], original->out_bias[2], sizeof(original->out_bias[2]));
}

static void recentre_head(const stack *original, stack *converted)
{
    (void)original;
    recentre(&converted->table[0][0], &converted->table[0][0], VOCABULARY, D, ZM_RECENTRE_ROWS);
}

static void change_eps(const stack *original, stack *converted)
{
    (void)original;
    converted->eps = 1e-3;
}

static void keep_input(const stack *original, stack *converted)
{
    (void)original;
    converted->recentre_input = false;
}

static void recentre_inputs_of_writer(const stack *original, stack *converted)
{
    memcpy(converted->out[0], original->out[0], sizeof(original->out[0]));
    recentre(&converted->out[0][0][0], &converted->out[0][0][0], D, FF, ZM_RECENTRE_ROWS);
}

static void only_swap_norm(const stack *original, stack *converted)
{
    *converted = *original;
    converted->rms = true;
}

/* A mistake must stand out from what a float32 run may differ by, 1e-5. */
static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        mistake_fn make;
    } mistakes[] = {
        {"writer not recentred", keep_writer},
        {"bias not recentred", keep_bias},
        {"recentred table used as head", recentre_head},
        {"eps changed", change_eps},
        {"input not recentred", keep_input},
        {"writer recentred over its inputs", recentre_inputs_of_writer},
        {"norm swapped and nothing else", only_swap_norm},
    };
    static stack original, converted;
    make_stack(&original);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        converted = original;
        convert_stack(&converted);
        mistakes[i].make(&original, &converted);
        double found = distance(&original, &converted);
        print_message("%-34s %.1e\n", mistakes[i].name, found);
        assert_true(found > 1e-5);
    }
}

int main(void)
{
    random_state = SEED;
    print_message("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means_vanish), cmocka_unit_test(test_truth),
        cmocka_unit_test(test_cancellation), cmocka_unit_test(test_types),
        cmocka_unit_test(test_rank),         cmocka_unit_test(test_stack),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

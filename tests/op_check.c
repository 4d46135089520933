/* SPDX-License-Identifier: Apache-2.0 */
/* What checkop goes by has to see what it is there for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ops/op_run.h"

#define SEED 7

/* Every bit that is wrong in an output, around it or in the second run; also where the reference
 * computes a part and what came back stands for the rest. */
static void check_fails(double part)
{
    zm_device *device = NULL;
    zm_stream *stream = NULL;
    zm_device_params params = {.spec = "host", .host_threads = 1};
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    const op_description *op = op_descriptions[0];
    const op_case c = {.params.norm = {.x = op_matrix(3, 8, 1, 2),
                                       .weight = op_vector(8, 0),
                                       .dst = op_matrix(3, 8, 2, 1),
                                       .eps = 1e-5f}};
    op_run *run = NULL;
    op_verdict verdict = {.ok = false};
    assert_int_equal(op_run_create(device, op, &c, SEED, &run), ZM_OK);
    assert_int_equal(op_run_upload(run, stream), ZM_OK);
    assert_int_equal(op_run_call(run, stream), ZM_OK);
    assert_int_equal(op_run_download(run, stream), ZM_OK);
    run->part = part;
    op_run_reference(run);
    assert_int_equal(op_run_verify(run, stream, ZM_F32, &verdict), ZM_OK);
    assert_true(verdict.ok);
    for (size_t operand = 0; operand < op->operand_count; ++operand) {
        op_memory *memory = &run->memory[operand];
        for (size_t i = 0; i < memory->count; ++i) {
            uint32_t *elements = (uint32_t *)memory->after, old = elements[i];
            elements[i] ^= 1u << 13; /* about 1e-3 of a value, or another canary */
            memcpy(memory->first, memory->after, memory->count * sizeof(float));
            assert_false(op_run_check(run, ZM_F32).ok);
            elements[i] = old;
            assert_false(op_run_check(run, ZM_F32).ok); /* differs from the first run */
            memcpy(memory->first, memory->after, memory->count * sizeof(float));
            assert_true(op_run_check(run, ZM_F32).ok);
        }
    }
    op_run_destroy(&run);
    zm_stream_destroy(&stream);
    zm_device_close(&device);
}

static void test_the_check_fails(void **state)
{
    (void)state;
    check_fails(0);
    check_fails(0.1);
}

/* What came back the first time is held against the part that is computed. */
static void test_a_part_is_computed(void **state)
{
    enum { ROWS = 40, COLS = 8 };
    (void)state;
    zm_device *device = NULL;
    zm_stream *stream = NULL;
    zm_device_params params = {.spec = "host", .host_threads = 1};
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    const op_case c = {.params.norm = {.x = op_matrix(ROWS, COLS, 0, 0),
                                       .dst = op_matrix(ROWS, COLS, 0, 0),
                                       .eps = 1e-5f}};
    op_run *run = NULL;
    size_t found = 0;
    assert_int_equal(op_run_create(device, op_descriptions[0], &c, SEED, &run), ZM_OK);
    size_t dst = op_descriptions[0]->operand_count;
    do {
        dst--;
    } while (!run->memory[dst].buffer || op_descriptions[0]->operands[dst].role == OP_INPUT);
    run->part = 0.1;
    for (size_t row = 0; row < ROWS; ++row) {
        assert_int_equal(op_run_upload(run, stream), ZM_OK);
        assert_int_equal(op_run_call(run, stream), ZM_OK);
        assert_int_equal(op_run_download(run, stream), ZM_OK);
        ((float *)run->memory[dst].after)[row * COLS] += 1;
        op_run_reference(run);
        for (size_t i = 0; i < OP_MAX_OPERANDS; ++i) /* the second run is the same */
            if (run->memory[i].buffer)
                memcpy(run->memory[i].first, run->memory[i].after,
                       run->memory[i].count * sizeof(float));
        found += !op_run_check(run, ZM_F32).ok;
        if (row == 0 || row == ROWS - 1)
            assert_int_equal(found > 0, 1);
    }
    assert_in_range(found, 5, 8); /* a tenth, and the last */
    op_run_destroy(&run);
    zm_stream_destroy(&stream);
    zm_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_check_fails),
                                       cmocka_unit_test(test_a_part_is_computed)};
    return cmocka_run_group_tests_name("op_check", tests, NULL, NULL);
}

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

/* Every bit that is wrong in an output, around it or in the second run. */
static void test_the_check_fails(void **state)
{
    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_check_fails)};
    return cmocka_run_group_tests_name("op_check", tests, NULL, NULL);
}

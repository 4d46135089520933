/* SPDX-License-Identifier: Apache-2.0 */
/* clbench tune, in this process: what it finds is written, and the library uses it. */
#include "tuning_search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "clbench.h"
#include "ops/tuning_file.h"
#include "scratch.h"
#include "tuner.h"

#define DEVICE "opencl:pocl"

/* ---- families ---- */

/* For longer and longer, because a sample takes what building and checking its kernels takes. */
#define LONGEST 64.0
static void searches(const char *op, const char *kernel, const char *text)
{
    session s;
    plan p;
    tuner_outcome found = {.samples = 0};
    const plan_options options = {.op = op, .kernel = kernel, .shape = text};
    assert_int_equal(plan_make(&options, NULL, &p), ZM_CLI_OK);
    assert_int_equal(session_open(&s, DEVICE), ZM_CLI_OK);
    for (double seconds = 4; seconds <= LONGEST && !found.samples; seconds *= 2) {
        zm_status status = tuner_run(&s, op, &p, seconds, &found);
        if (status != ZM_OK || found.refused)
            fail_msg("%s %s: %s; %s", op, kernel, session_reason(&s, status), found.refusal);
    }
    assert_int_equal(found.family, ZM_FAMILY_GPU);
    assert_true(found.samples > 0);
    for (size_t i = 0; i < found.entry.count; i++)
        assert_memory_equal(found.entry.values[i].name, "gpu_", 4);
    session_close(&s);
    plan_finish(&p);
}

static void kernels_for_gpus_are_searched_on_a_cpu(void **state)
{
    (void)state;
    searches("matmul", "gpu", "m=96,n=256,k=256");
    searches("rms_norm", "gpu", "rows=64,d=768");
}

/* ---- a better entry ---- */

static uint32_t tile_rows_of(zm_device *device)
{
    return zm_parameter_get(zm_parameter_find("attention", "tile_rows"), zm_tunings_get(device));
}

static zm_device *open_in(const char *cache_dir)
{
    zm_device *device = NULL;
    const zm_device_params params = {.spec = DEVICE, .cache_dir = cache_dir};
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    return device;
}

/* An entry for any device has tiles of one row, whose keys and values are loaded for it alone. It
 * is several times slower, so that the test is none of how quiet the machine is. */
#define BAD 1
static void what_is_better_is_written_and_used(void **state)
{
    static const char bad[] = "{\"schema\": \"zeromean.tuning/1\", \"entries\": [{\"op\": "
                              "\"attention\", \"parameters\": {\"tile_rows\": 1}}]}";
    static char *times[] = {"6", "12", "24", "48"};
    zm_tuning_list list = {0};
    scratch_write(scratch_path(state, "tuning.json"), bad, strlen(bad));
    zm_device *device = open_in(*state);
    assert_int_equal(tile_rows_of(device), BAD);
    zm_device_close(&device);
    assert_int_equal(setenv("ZEROMEAN_CACHE_DIR", *state, 1), 0);
    for (size_t i = 0; i < ZM_COUNT(times) && list.count < 2; i++) {
        char *words[] = {"tune",    "attention",      "--device", DEVICE,
                         "--shape", "rows=64,kv=256", "--time",   times[i]};
        assert_int_equal(clbench_tune.run(8, words), ZM_CLI_OK);
        zm_tuning_list_finish(&list);
        assert_int_equal(zm_tuning_file_read(*state, NULL, &list), ZM_OK);
    }
    assert_int_equal(list.count, 2); /* the bad one, which is not the tuner's to remove */
    device = open_in(*state);
    const zm_tuning_entry *entry = &list.entries[1];
    assert_string_equal(entry->device, device->info.name);
    for (size_t i = 0; i < entry->count; i++) {
        const zm_parameter *parameter = zm_parameter_find("attention", entry->values[i].name);
        assert_non_null(parameter);
        assert_int_equal(zm_parameter_get(parameter, zm_tunings_get(device)),
                         entry->values[i].value);
    }
    assert_true(tile_rows_of(device) > BAD);
    zm_device_close(&device);
    zm_tuning_list_finish(&list);
}

int tuning_search_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_for_gpus_are_searched_on_a_cpu),
        cmocka_unit_test_setup_teardown(what_is_better_is_written_and_used, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests_name("search", tests, NULL, NULL);
}

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
#include <unistd.h>

#include "clbench.h"
#include "ops/tuning_file.h"
#include "scratch.h"
#include "tuner.h"

#define DEVICE "opencl:pocl"

/* ---- families ---- */

/* Enough for some samples, and for the kernels that are not built yet. */
static void searches(const char *op, const char *kernel, double seconds)
{
    session s;
    plan p;
    tuner_outcome found;
    const plan_options options = {.op = op, .kernel = kernel};
    assert_int_equal(plan_make(&options, NULL, &p), ZM_CLI_OK);
    assert_int_equal(session_open(&s, DEVICE), ZM_CLI_OK);
    zm_status status = tuner_run(&s, op, &p, seconds, &found);
    if (status != ZM_OK || found.refused)
        fail_msg("%s %s: %s; %s", op, kernel, session_reason(&s, status), found.refusal);
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
    searches("matmul", "gpu", 8);
    searches("rms_norm", "gpu", 6);
}

/* ---- a better entry ---- */

static uint32_t items_of(zm_device *device)
{
    return zm_parameter_get(zm_parameter_find("rms_norm", "row_elements_per_item"),
                            zm_tunings_get(device));
}

static zm_device *open_in(const char *cache_dir)
{
    zm_device *device = NULL;
    const zm_device_params params = {.spec = DEVICE, .cache_dir = cache_dir};
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    return device;
}

/* An entry for any device has one work-item do what all could share. */
#define BAD 1048576
static void what_is_better_is_written_and_used(void **state)
{
    static const char bad[] = "{\"schema\": \"zeromean.tuning/1\", \"entries\": [{\"op\": "
                              "\"rms_norm\", \"parameters\": {\"row_elements_per_item\": 1048576, "
                              "\"row_items_per_unit\": 1}}]}";
    char *words[] = {"tune", "rms_norm", "--device", DEVICE, "--time", "8", NULL};
    zm_tuning_list list;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        skip();
    scratch_write(scratch_path(state, "tuning.json"), bad, strlen(bad));
    zm_device *device = open_in(*state);
    assert_int_equal(items_of(device), BAD);
    zm_device_close(&device);
    assert_int_equal(setenv("ZEROMEAN_CACHE_DIR", *state, 1), 0);
    assert_int_equal(clbench_tune.run(6, words), ZM_CLI_OK);
    assert_int_equal(zm_tuning_file_read(*state, NULL, &list), ZM_OK);
    assert_int_equal(list.count, 2); /* the bad one, which is not ours to remove, and another */
    device = open_in(*state);
    const zm_tuning_entry *entry = &list.entries[1];
    assert_string_equal(entry->device, device->info.name);
    bool differs = false;
    for (size_t i = 0; i < entry->count; i++) {
        const zm_parameter *parameter = zm_parameter_find("rms_norm", entry->values[i].name);
        assert_non_null(parameter);
        assert_int_equal(zm_parameter_get(parameter, zm_tunings_get(device)),
                         entry->values[i].value);
        differs = differs || strcmp(parameter->name, "row_elements_per_item") == 0;
    }
    assert_true(differs);
    assert_true(items_of(device) < BAD);
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

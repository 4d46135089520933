/* SPDX-License-Identifier: Apache-2.0 */
/* What devices there are, what opens them, and profiles. A run without an OpenCL device fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <zeromean/device.h>

#include "support/capture.h"

static capture messages = CAPTURE_INIT;
static zm_log messages_log;

static zm_status open_spec(const char *spec, char opened[32], zm_dtype *real_type)
{
    zm_device_params params = {.spec = spec, .log = &messages_log};
    zm_device *device = NULL;
    capture_clear(&messages);
    zm_status status = zm_device_open(&params, &device);
    if (status != ZM_OK) {
        assert_null(device);
        return status;
    }
    strcpy(opened, zm_device_get_info(device)->spec);
    *real_type = zm_device_get_info(device)->real_type;
    zm_device_close(&device);
    return status;
}

static void list_names_all_devices(void **state)
{
    (void)state;
    zm_device_params params = {.log = &messages_log};
    zm_device_list *list = NULL;
    assert_int_equal(zm_device_list_create(&params, &list), ZM_OK);
    assert_in_range(list->count, 3, 100);
    bool host = false, host_f64 = false, opencl = false;
    for (size_t i = 0; i < list->count; i++) {
        const zm_device_info *info = &list->devices[i];
        host |= strcmp(info->spec, "host") == 0;
        host_f64 |= strcmp(info->spec, "host:f64") == 0;
        opencl |= info->backend == ZM_BACKEND_OPENCL;
        assert_true(info->name[0] && info->platform[0] && info->driver[0]);
        assert_true(info->limits.memory_bytes > 0 && info->limits.max_buffer_bytes > 0);
        assert_true(info->limits.compute_units > 0 && info->limits.max_work_group > 0);
        assert_true(i == 0 || list->devices[i - 1].score >= info->score);
    }
    assert_true(host && host_f64 && opencl);
    assert_string_equal(list->devices[list->count - 1].spec, "host:f64");
    zm_device_list_destroy(&list);
    assert_null(list);
    zm_device_list_destroy(&list);
}

static void every_listed_spec_opens_that_device(void **state)
{
    (void)state;
    zm_device_list *list = NULL;
    assert_int_equal(zm_device_list_create(NULL, &list), ZM_OK);
    for (size_t i = 0; i < list->count; i++) {
        char opened[32];
        zm_dtype real_type;
        assert_int_equal(open_spec(list->devices[i].spec, opened, &real_type), ZM_OK);
        assert_string_equal(opened, list->devices[i].spec);
        assert_int_equal(real_type, list->devices[i].real_type);
    }
    zm_device_list_destroy(&list);
}

static void specs_of_every_form_open(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *opens;
        zm_dtype real_type;
    } cases[] = {
        {NULL, "opencl:", ZM_F32},
        {"", "opencl:", ZM_F32},
        {"opencl", "opencl:", ZM_F32},
        {"OpenCL", "opencl:", ZM_F32},
        {"opencl:0", "opencl:0", ZM_F32},
        {"opencl:pocl", "opencl:", ZM_F32},
        {"opencl:PoCl", "opencl:", ZM_F32},
        {"opencl:portable computing", "opencl:", ZM_F32},
        {"host", "host", ZM_F32},
        {"host:f64", "host:f64", ZM_F64},
        {"HOST:F64", "host:f64", ZM_F64},
        {"host:plain", "host", ZM_F32},
        {"@mali-g52", "opencl:0@mali-g52", ZM_F32},
        {"host:f64@rdna2", "host:f64@rdna2", ZM_F64},
        {"opencl:0@Raspberry-Pi-4", "opencl:0@raspberry-pi-4", ZM_F32},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char opened[32] = "";
        zm_dtype real_type = ZM_DTYPE_NONE;
        zm_status status = open_spec(cases[i].spec, opened, &real_type);
        if (status != ZM_OK || strncmp(opened, cases[i].opens, strlen(cases[i].opens)) != 0)
            fail_msg("'%s' opened '%s': %s", cases[i].spec ? cases[i].spec : "(null)", opened,
                     messages.text);
        assert_int_equal(real_type, cases[i].real_type);
    }
}

static void bad_specs_are_refused_with_the_devices_there_are(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        zm_status status;
    } cases[] = {
        {"vulkan", ZM_ERROR_INVALID_ARGUMENT},  {"opencl:", ZM_ERROR_INVALID_ARGUMENT},
        {":0", ZM_ERROR_INVALID_ARGUMENT},      {"open", ZM_ERROR_INVALID_ARGUMENT},
        {"opencl0", ZM_ERROR_INVALID_ARGUMENT}, {" host", ZM_ERROR_INVALID_ARGUMENT},
        {"opencl:99", ZM_ERROR_NOT_FOUND},      {"opencl:99999999999999999999", ZM_ERROR_NOT_FOUND},
        {"opencl:-1", ZM_ERROR_NOT_FOUND},      {"opencl:no such device", ZM_ERROR_NOT_FOUND},
        {"host:1", ZM_ERROR_NOT_FOUND},         {"host:f16", ZM_ERROR_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char opened[32];
        zm_dtype real_type;
        assert_int_equal(open_spec(cases[i].spec, opened, &real_type), cases[i].status);
        assert_true(capture_has(&messages, cases[i].spec));
        assert_true(capture_has(&messages, "there are: opencl:0 ("));
        assert_true(capture_has(&messages, "host:f64 ("));
    }
    assert_int_equal(zm_device_open(NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
}

/* ---- profiles ---- */

static void unknown_profiles_are_refused_with_those_there_are(void **state)
{
    (void)state;
    static const char *const specs[] = {"@", "host@", "host@mali", "opencl:pocl@mali-g52@",
                                        "@host"};
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        char opened[32];
        zm_dtype real_type;
        assert_int_equal(open_spec(specs[i], opened, &real_type), ZM_ERROR_INVALID_ARGUMENT);
        assert_true(capture_has(&messages, "no such profile"));
        assert_true(capture_has(&messages, "adreno-505, mali-g52"));
    }
}

static void specs_of_any_length_are_read(void **state)
{
    (void)state;
    char text[600] = "", opened[32];
    zm_dtype real_type;
    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(open_spec(text, opened, &real_type), ZM_ERROR_INVALID_ARGUMENT);
    assert_true(capture_has(&messages, "characters"));
    text[250] = '\0';
    assert_int_equal(open_spec(text, opened, &real_type), ZM_ERROR_INVALID_ARGUMENT);
    assert_true(capture_has(&messages, "unknown backend"));
}

static void check_cut(const zm_device_profile *profile, const zm_device_limits *own)
{
    char spec[64];
    snprintf(spec, sizeof(spec), "host@%s", profile->name);
    zm_device_params params = {.spec = spec, .log = &messages_log};
    zm_device *device = NULL;
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    const zm_device_limits *limits = &zm_device_get_info(device)->limits, *to = &profile->limits;
    assert_string_equal(zm_device_get_info(device)->spec, spec);
    assert_true(limits->max_buffer_bytes <= own->max_buffer_bytes);
    assert_true(limits->max_buffer_bytes <= to->max_buffer_bytes);
    assert_true(limits->memory_bytes <= to->memory_bytes);
    assert_true(limits->max_work_group <= to->max_work_group);
    assert_true(limits->max_work_group <= own->max_work_group);
    assert_true(limits->buffer_alignment >= to->buffer_alignment);
    assert_true(limits->fp64 <= to->fp64 && limits->unified_memory <= to->unified_memory);
    zm_buffer_params over = {.size = limits->max_buffer_bytes + 1};
    zm_buffer *buffer = NULL;
    assert_int_equal(zm_buffer_create(device, &over, &buffer), ZM_ERROR_LIMIT);
    zm_device_close(&device);
}

static void profiles_cut_a_device_down(void **state)
{
    (void)state;
    size_t count;
    const zm_device_profile *profiles = zm_device_profiles(&count);
    zm_device_params params = {.spec = "host", .log = &messages_log};
    zm_device *whole = NULL;
    assert_true(count >= 5);
    assert_int_equal(zm_device_open(&params, &whole), ZM_OK);
    for (size_t i = 0; i < count; i++)
        check_cut(&profiles[i], &zm_device_get_info(whole)->limits);
    zm_device_close(&whole);
}

static void a_processor_with_a_profile_is_a_gpu(void **state)
{
    (void)state;
    zm_device_params params = {.spec = "opencl:pocl@intel-uhd", .log = &messages_log};
    zm_device *device = NULL;
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_int_equal(zm_device_get_info(device)->type, ZM_DEVICE_GPU);
    assert_int_equal(zm_device_get_info(device)->limits.max_work_group, 256);
    zm_device_close(&device);
}

int main(void)
{
    messages_log = capture_log(&messages, ZM_LOG_DEBUG);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_names_all_devices),
        cmocka_unit_test(every_listed_spec_opens_that_device),
        cmocka_unit_test(specs_of_every_form_open),
        cmocka_unit_test(bad_specs_are_refused_with_the_devices_there_are),
        cmocka_unit_test(unknown_profiles_are_refused_with_those_there_are),
        cmocka_unit_test(specs_of_any_length_are_read),
        cmocka_unit_test(profiles_cut_a_device_down),
        cmocka_unit_test(a_processor_with_a_profile_is_a_gpu),
    };
    return cmocka_run_group_tests_name("device_specs", tests, NULL, NULL);
}

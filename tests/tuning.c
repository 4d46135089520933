/* SPDX-License-Identifier: Apache-2.0 */
/* Tuned numbers: their file, what of it is taken, and that a wrong one is found out. A run without
 * an OpenCL device fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hash.h"
#include "ops/self_check.h"
#include "ops/tuning_file.h"
#include "scratch.h"
#include "shaders/hash.h"
#include "shaders/shaders.h"
#include "support/capture.h"
#include "tuning_search.h"

#define DEVICE "opencl:pocl"

static capture messages = CAPTURE_INIT;
static zm_log messages_log;

static int setup(void **state)
{
    capture_clear(&messages);
    return scratch_setup(state);
}

static void write_text(void **state, const char *name, const char *text)
{
    scratch_write(scratch_path(state, name), text, strlen(text));
}

static zm_device *open_in(const char *cache_dir)
{
    const zm_device_params params = {.spec = DEVICE, .log = &messages_log, .cache_dir = cache_dir};
    zm_device *device = NULL;
    if (zm_device_open(&params, &device) != ZM_OK)
        fail_msg("%s", messages.text);
    return device;
}

/* A file with one entry for any device. */
static void write_entry(void **state, const char *extra, const char *op, const char *parameters)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{\"schema\": \"zeromean.tuning/1\", \"entries\": [{%s\"op\": \"%s\", "
             "\"parameters\": {%s}}]}",
             extra, op, parameters);
    write_text(state, "tuning.json", text);
}

static uint32_t value_in(const zm_device *device, const char *op, const char *name)
{
    const zm_parameter *parameter = zm_parameter_find(op, name);
    assert_non_null(parameter);
    return zm_parameter_get(parameter, zm_tunings_get(device));
}

static uint32_t default_of(const zm_device *device, const char *op, const char *name)
{
    return zm_parameter_get(zm_parameter_find(op, name), zm_tunings_default(device));
}

/* ---- parameters ---- */

static void parameters_hold_their_ranges(void **state)
{
    static const uint32_t widths[] = {0, 1, 2, 4, 8, 16, 32}; /* lanes of the native vector */
    size_t count;
    const zm_parameter *list = zm_parameter_list(&count);
    (void)state;
    assert_true(count > 10);
    for (size_t i = 0; i < count * ZM_COUNT(widths); i++) {
        zm_device fake = {.info.limits.float_vector_width = widths[i / count]};
        zm_tunings tunings = *zm_tunings_default(&fake);
        uint32_t value = zm_parameter_get(&list[i % count], &tunings);
        /* the built-in number is one of those that are allowed */
        assert_true(zm_parameter_set(&list[i % count], &tunings, value));
        assert_memory_equal(&tunings, zm_tunings_default(&fake), sizeof(tunings));
    }
    zm_device *device = open_in(NULL);
    for (size_t i = 0; i < count; i++) {
        zm_tunings tunings = *zm_tunings_default(device);
        assert_ptr_equal(zm_parameter_find(list[i].op, list[i].name), &list[i]);
        assert_false(zm_parameter_set(&list[i], &tunings, list[i].most + 1));
        assert_false(zm_parameter_set(&list[i], &tunings, list[i].least - 1));
        assert_memory_equal(&tunings, zm_tunings_default(device), sizeof(tunings));
        assert_true(zm_parameter_set(&list[i], &tunings, list[i].least));
        assert_int_equal(zm_parameter_get(&list[i], &tunings), list[i].least);
        if (list[i].power_of_two) /* three times the least is in range and no power */
            assert_false(zm_parameter_set(&list[i], &tunings, 3 * list[i].least));
    }
    zm_device_close(&device);
    assert_null(zm_parameter_find("matmul", "no_such_thing"));
    assert_null(zm_parameter_find("no_such_op", "block_rows"));
}

/* ---- the file ---- */

static void a_file_comes_back_as_it_was(void **state)
{
    zm_tuning_list list = {0}, again = {0};
    const zm_tuning_entry entries[] = {
        {"matmul",
         "a \"device\"",
         "platform",
         "",
         "1.0",
         2,
         {{"block_rows", 96}, {"tile_rows", 8}}},
        {"attention", "", "", "vendor", "", 1, {{"few_rows", 2}}},
    };
    assert_int_equal(zm_tuning_file_read(*state, &messages_log, &list), ZM_OK);
    assert_int_equal(list.count, 0); /* none yet */
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(zm_tuning_list_add(&list, &entries[i]), ZM_OK);
    assert_int_equal(zm_tuning_file_write(*state, &messages_log, &list), ZM_OK);
    assert_int_equal(zm_tuning_file_read(*state, &messages_log, &again), ZM_OK);
    assert_int_equal(again.count, 2);
    assert_memory_equal(again.entries, entries, sizeof(entries));
    assert_int_equal(scratch_count(*state), 1); /* and no temporary file is left */
    zm_tuning_list_finish(&list);
    zm_tuning_list_finish(&again);
}

static void damaged_files_are_refused_and_do_no_harm(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"schema\": \"zeromean.tuning/2\", \"entries\": []}",
        "{\"schema\": \"zeromean.tuning/1\"}",
        "{\"schema\": \"zeromean.tuning/1\", \"entries\": [1]}",
        "{\"schema\": \"zeromean.tuning/1\", \"entries\": [{\"op\": \"matmul\"}]}",
        "{\"schema\": \"zeromean.tuning/1\", \"entries\": [{\"op\": \"matmul\", \"parameters\": "
        "{}}]}",
        "{\"schema\": \"zeromean.tuning/1\", \"entries\": [{\"op\": \"matmul\", \"device\": 3, "
        "\"parameters\": {\"block_rows\": 8}}]}",
        "{\"schema\": \"zeromean.tuning/1\", \"entries\": [{\"op\": \"matmul\", "
        "\"parameters\": {\"block_rows\": -8}}]}",
        "{\"schema\": \"zeromean.tuning/1\", \"entries\": [{\"op\": \"matmul\", "
        "\"parameters\": {\"block_rows\": 8.5}}]}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        zm_tuning_list list;
        write_text(state, "tuning.json", texts[i]);
        assert_int_equal(zm_tuning_file_read(*state, &messages_log, &list), ZM_ERROR_BAD_FORMAT);
        zm_tuning_list_finish(&list);
        zm_device *device = open_in(*state);
        assert_memory_equal(zm_tunings_get(device), zm_tunings_default(device), sizeof(zm_tunings));
        zm_device_close(&device);
    }
}

static void an_entry_fits_by_all_that_it_names(void **state)
{
    zm_device_info info = {.name = "D", .platform = "P", .vendor = "V", .driver = "1"};
    const struct {
        zm_tuning_entry entry;
        bool fits;
    } cases[] = {
        {{"matmul", "", "", "", "", 0, {{"", 0}}}, true},
        {{"matmul", "D", "P", "V", "1", 0, {{"", 0}}}, true},
        {{"matmul", "D", "", "", "", 0, {{"", 0}}}, true},
        {{"matmul", "", "", "V", "", 0, {{"", 0}}}, true},
        {{"matmul", "E", "P", "V", "1", 0, {{"", 0}}}, false},
        {{"matmul", "D", "Q", "V", "1", 0, {{"", 0}}}, false},
        {{"matmul", "D", "P", "W", "1", 0, {{"", 0}}}, false},
        {{"matmul", "D", "P", "V", "2", 0, {{"", 0}}}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(zm_tuning_entry_matches(&cases[i].entry, &info), cases[i].fits);
}

static void a_check_holds_for_one_device_driver_source_and_numbers(void **state)
{
    const zm_tuning_entry entry = {.op = "matmul", .count = 1, .values = {{"block_rows", 96}}};
    zm_device_info info = {.name = "D", .platform = "P", .driver = "1"};
    zm_device fake = {.info.limits.float_vector_width = 8};
    zm_tunings tunings = *zm_tunings_default(&fake);
    const zm_tuning_key key = zm_tuning_key_get(&entry, &tunings, &info, "sources");
    zm_refusal reason;
    assert_false(zm_tuning_checked_get(*state, &key, &reason));
    zm_tuning_checked_put(*state, &key, "it is wrong");
    assert_true(zm_tuning_checked_get(*state, &key, &reason));
    assert_string_equal(reason.reason, "it is wrong");
    zm_tuning_checked_put(*state, &key, "");
    assert_true(zm_tuning_checked_get(*state, &key, &reason));
    assert_string_equal(reason.reason, "");
    strcpy(info.driver, "2");
    assert_string_not_equal(zm_tuning_key_get(&entry, &tunings, &info, "sources").hex, key.hex);
    strcpy(info.driver, "1");
    strcpy(info.name, "E");
    assert_string_not_equal(zm_tuning_key_get(&entry, &tunings, &info, "sources").hex, key.hex);
    strcpy(info.name, "D");
    tunings.gpu_matmul.matvec_items = 64; /* of another family */
    assert_string_equal(zm_tuning_key_get(&entry, &tunings, &info, "sources").hex, key.hex);
    tunings.cpu.row_items_per_unit = 7; /* by an entry before this one */
    assert_string_not_equal(zm_tuning_key_get(&entry, &tunings, &info, "sources").hex, key.hex);
    assert_string_not_equal(zm_tuning_key_get(&entry, &tunings, &info, "others").hex,
                            zm_tuning_key_get(&entry, &tunings, &info, "sources").hex);
    /* a damaged note is only a check more */
    write_text(state, "tuning-checked.json", "{\"schema\": 5");
    assert_false(zm_tuning_checked_get(*state, &key, &reason));
    zm_tuning_checked_put(*state, &key, "");
    assert_true(zm_tuning_checked_get(*state, &key, &reason));
}

/* Tile 10, which is not in use before. */
static zm_tuning_entry tile_entry(zm_gpu_tile tile)
{
    return (zm_tuning_entry){.op = "matmul",
                             .count = 5,
                             .values = {{"gpu_tile_10_rows", tile.rows},
                                        {"gpu_tile_10_slots", tile.slots},
                                        {"gpu_tile_10_depth", tile.depth},
                                        {"gpu_tile_10_item_rows", tile.item_rows},
                                        {"gpu_tile_10_efficiency", tile.efficiency}}};
}

static void a_tile_is_taken_where_its_kernel_and_the_device_allow_it(void **state)
{
    static const struct {
        zm_gpu_tile tile;
        const char *words; /* NULL = taken */
    } cases[] = {
        {{32, 128, 32, 4, 1000}, NULL},
        {{32, 128, 32, 4, 0}, NULL},
        {{256, 64, 8, 1, 0}, NULL}, /* not in use, so whatever it is */
        {{96, 64, 16, 4, 1000}, "out of range"},
        {{512, 64, 16, 4, 1000}, "out of range"},
        {{64, 256, 16, 4, 1000}, "out of range"},
        {{64, 64, 0, 4, 1000}, "out of range"},
        {{64, 64, 16, 16, 1000}, "out of range"},
        {{32, 64, 32, 4, 1001}, "out of range"},
        {{128, 128, 4, 8, 1000}, "evenly"},
        {{256, 64, 8, 1, 1000}, "evenly"},
        {{8, 64, 64, 8, 1000}, "evenly"},
        {{128, 128, 16, 4, 1000}, "work-groups"},
        {{128, 64, 64, 8, 1000}, "local memory"},
    };
    const zm_gpu_shape shape = {
        .rows = 1000, .slots = 1024, .batch = 1, .panels = true, .local_memory = true};
    zm_device fake = {.info.limits = {.max_work_group = 256,
                                      .max_work_group_dim = {256, 256, 256},
                                      .local_memory_bytes = 32768,
                                      .compute_units = 4}};
    (void)state;
    for (size_t i = 0; i < ZM_COUNT(cases); i++) {
        const zm_tuning_entry entry = tile_entry(cases[i].tile);
        zm_tunings tunings = *zm_tunings_default(&fake), before = tunings;
        zm_gpu_tile ranked[ZM_MAX_GPU_TILES];
        zm_refusal why = {""};
        if (zm_tuning_entry_apply(&entry, &fake, &tunings, &why) != !cases[i].words)
            fail_msg("case %zu: %s", i, why.reason);
        if (cases[i].words && !strstr(why.reason, cases[i].words))
            fail_msg("'%s' is not in: %s", cases[i].words, why.reason);
        if (cases[i].words)
            assert_memory_equal(&tunings, &before, sizeof(tunings));
        assert_int_equal(zm_tunings_set(&fake, &tunings), ZM_OK);
        size_t count = zm_gpu_tiles_rank(&fake, &shape, ranked, &why);
        bool listed = false;
        for (size_t j = 0; j < count; j++)
            listed = listed || zm_gpu_tile_same(&ranked[j], &cases[i].tile);
        assert_int_equal(listed, !cases[i].words && cases[i].tile.efficiency);
        free(atomic_exchange(&fake.tunings, NULL));
    }
}

/* ---- a device ---- */

static void a_right_entry_is_checked_once_and_used(void **state)
{
    write_entry(state, "", "rms_norm", "\"row_items_per_unit\": 3");
    for (int time = 0; time < 2; time++) {
        capture_clear(&messages);
        zm_device *device = open_in(*state);
        assert_int_equal(value_in(device, "rms_norm", "row_items_per_unit"), 3);
        assert_int_equal(value_in(device, "matmul", "block_rows"),
                         default_of(device, "matmul", "block_rows"));
        assert_int_equal(capture_has(&messages, "checking it for the first time"), time == 0);
        assert_true(capture_has(&messages, "is in use"));
        zm_device_close(&device);
    }
}

static void entries_of_other_devices_are_left_alone(void **state)
{
    write_entry(state, "\"device\": \"another\", ", "rms_norm", "\"row_items_per_unit\": 3");
    zm_device *device = open_in(*state);
    assert_memory_equal(zm_tunings_get(device), zm_tunings_default(device), sizeof(zm_tunings));
    assert_false(capture_has(&messages, "tuning of"));
    zm_device_close(&device);
}

static void entries_that_cannot_be_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *op, *parameters, *words;
    } cases[] = {
        {"matmul", "\"no_such_thing\": 3", "matmul has no parameter 'no_such_thing'"},
        {"no_such_op", "\"block_rows\": 3", "no_such_op has no parameter"},
        {"matmul", "\"block_rows\": 100000", "block_rows 100000 is out of range (1 to 352)"},
        {"matmul", "\"block_rows\": 0", "out of range"},
        {"matmul", "\"gpu_matvec_items\": 96", "a power of two"},
        {"matmul", "\"block_rows\": 8, \"gpu_matvec_items\": 64", "two families"},
        {"matmul", "\"gpu_tile_0_depth\": 4", "128x128x4, 8 rows each: work-items can't"},
        {"matmul", "\"gpu_tile_12_rows\": 64", "no parameter 'gpu_tile_12_rows'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        capture_clear(&messages);
        write_entry(state, "", cases[i].op, cases[i].parameters);
        zm_device *device = open_in(*state);
        assert_memory_equal(zm_tunings_get(device), zm_tunings_default(device), sizeof(zm_tunings));
        assert_true(capture_has(&messages, "is not used: "));
        if (!capture_has(&messages, cases[i].words))
            fail_msg("'%s' is not in: %s", cases[i].words, messages.text);
        zm_device_close(&device);
    }
}

/* Kernel sources of a family, of which matmul has a line more after a line. */
static void make_wrong_shaders(void **state, const char *family, const char *after,
                               const char *text, char *root, size_t size)
{
    char path[512], target[512], line[512];
    snprintf(root, size, "%s/shaders", (const char *)*state);
    snprintf(path, sizeof(path), "%s/%s", root, family);
    assert_int_equal(mkdir(root, 0700), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    static const char *const shared[] = {"args.h", "panel_blocks.clh"};
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", root, shared[i]);
        snprintf(target, sizeof(target), TEST_SHADER_DIR "/%s", shared[i]);
        assert_int_equal(symlink(target, path), 0);
    }
    snprintf(target, sizeof(target), TEST_SHADER_DIR "/%s", family);
    DIR *folder = opendir(target);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s/%.100s", root, family, entry->d_name);
        snprintf(target, sizeof(target), TEST_SHADER_DIR "/%s/%.100s", family, entry->d_name);
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "matmul.cl") != 0)
            assert_int_equal(symlink(target, path), 0);
    }
    closedir(folder);
    snprintf(path, sizeof(path), "%s/%s/matmul.cl", root, family);
    snprintf(target, sizeof(target), TEST_SHADER_DIR "/%s/matmul.cl", family);
    FILE *in = fopen(target, "r"), *out = fopen(path, "w");
    assert_non_null(in);
    assert_non_null(out);
    bool found = false;
    while (fgets(line, sizeof(line), in)) {
        fputs(line, out);
        if (strcmp(line, after) == 0) {
            fputs(text, out);
            found = true;
        }
    }
    assert_true(found);
    fclose(in);
    fclose(out);
}

/* Kernels from a folder may be others the next time, so they are checked each time. */
static void is_found_out(void **state, const char *shaders, const char *name, const char *words)
{
    for (int time = 0; time < 2; time++) {
        capture_clear(&messages);
        zm_device *device = open_in(*state);
        assert_int_equal(zm_device_set_shader_dir(device, shaders), ZM_OK);
        assert_int_equal(value_in(device, "matmul", name), default_of(device, "matmul", name));
        assert_true(capture_has(&messages, "checking it"));
        assert_true(capture_has(&messages, "tuning of matmul for "));
        if (!capture_has(&messages, words))
            fail_msg("'%s' is not in: %s", words, messages.text);
        assert_true(capture_has(&messages, "relative error"));
        zm_device_close(&device);
    }
}

/* As a compiler could make it. */
static void a_wrong_entry_is_found_out(void **state)
{
    char shaders[256];
    make_wrong_shaders(state, "cpu", "#include \"args.h\"\n",
                       "#if ROWS == 1\n#define fma(a, b, c) ((a) * (b) + (c) + 0.001f)\n#endif\n",
                       shaders, sizeof(shaders));
    write_entry(state, "", "matmul", "\"block_rows\": 96");
    is_found_out(state, shaders, "block_rows", " is not used: matmul cpu, case ");
}

/* The shapes of the check alone would not choose this tile. */
static void a_wrong_tile_is_found_out(void **state)
{
    char shaders[256];
    make_wrong_shaders(state, "gpu", "#include \"matmul_store.clh\"\n",
                       "#if MWG == 32 && KWG == 32\n#undef MULTIPLY_ADD\n"
                       "#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c) + 0.001f)\n#endif\n",
                       shaders, sizeof(shaders));
    write_entry(state, "", "matmul",
                "\"gpu_tile_10_efficiency\": 1, \"gpu_tile_10_rows\": 32, "
                "\"gpu_tile_10_slots\": 64, \"gpu_tile_10_depth\": 32, "
                "\"gpu_tile_10_item_rows\": 4");
    is_found_out(state, shaders, "gpu_tile_10_rows", " is not used: matmul gpu");
}

static void what_was_wrong_once_stays_out(void **state)
{
    const zm_tuning_entry entry = {.op = "matmul", .count = 1, .values = {{"tile_rows", 2}}};
    zm_device *device = open_in(*state);
    zm_tunings tunings = *zm_tunings_default(device);
    zm_refusal why;
    assert_true(zm_tuning_entry_apply(&entry, device, &tunings, &why));
    const zm_tuning_key key = zm_tuning_key_get(&entry, &tunings, &device->info, zm_shader_hash);
    zm_tuning_checked_put(*state, &key, "it was wrong");
    write_entry(state, "", "matmul", "\"tile_rows\": 2");
    assert_int_equal(value_in(device, "matmul", "tile_rows"),
                     default_of(device, "matmul", "tile_rows"));
    assert_false(capture_has(&messages, "checking it"));
    assert_true(capture_has(&messages, " is not used: it was wrong"));
    zm_device_close(&device);
}

/* What is built in is what is hashed. */
static void the_hash_is_of_the_sources(void **state)
{
    (void)state;
    zm_sha256 hash;
    char hex[65];
    zm_sha256_init(&hash);
    for (size_t i = 0; i < zm_shader_count; i++)
        zm_sha256_update(&hash, zm_shaders[i].source, zm_shaders[i].size);
    zm_sha256_finish(&hash, hex);
    assert_string_equal(hex, zm_shader_hash);
}

static void the_same_entry_is_right_with_right_kernels(void **state)
{
    write_entry(state, "", "matmul", "\"block_rows\": 96");
    zm_device *device = open_in(*state);
    assert_int_equal(value_in(device, "matmul", "block_rows"), 96);
    zm_device_close(&device);
}

static void built_in_numbers_pass_the_check(void **state)
{
    static const struct {
        const char *op;
        zm_kernel_family family;
    } cases[] = {{"matmul", ZM_FAMILY_CPU},    {"attention", ZM_FAMILY_CPU},
                 {"rms_norm", ZM_FAMILY_CPU},  {"matmul", ZM_FAMILY_GPU},
                 {"attention", ZM_FAMILY_GPU}, {"rms_norm", ZM_FAMILY_GPU}};
    zm_device *device = open_in(*state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        zm_refusal why = {""};
        zm_status status = zm_self_check(device, cases[i].op, cases[i].family,
                                         zm_tunings_default(device), NULL, &why);
        if (status != ZM_OK)
            fail_msg("%s: %s", cases[i].op, why.reason);
    }
    zm_device_close(&device);
}

static bool go_on(void *calls)
{
    return (*(unsigned *)calls)++ < 2;
}

static void a_check_ends_where_it_is_told_to(void **state)
{
    unsigned calls = 0;
    const zm_check_limit limit = {go_on, &calls};
    zm_device *device = open_in(*state);
    zm_refusal why = {""};
    assert_int_equal(
        zm_self_check(device, "rms_norm", ZM_FAMILY_CPU, zm_tunings_default(device), &limit, &why),
        ZM_ERROR_CANCELLED);
    assert_int_equal(calls, 3);
    zm_device_close(&device);
}

static void numbers_can_be_replaced(void **state)
{
    zm_device *device = open_in(NULL);
    zm_tunings tunings = *zm_tunings_default(device);
    (void)state;
    assert_ptr_equal(zm_tunings_get(device), zm_tunings_default(device));
    tunings.cpu.matvec_items_per_unit = 77;
    for (int time = 0; time < 2; time++) {
        assert_int_equal(zm_tunings_set(device, &tunings), ZM_OK);
        assert_int_equal(zm_tunings_get(device)->cpu.matvec_items_per_unit, 77);
    }
    zm_device_close(&device);
}

/* With an argument: the searches, which take a minute. */
int main(int argc, char **argv)
{
    (void)argv;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_hold_their_ranges),
        cmocka_unit_test_setup_teardown(a_file_comes_back_as_it_was, setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_refused_and_do_no_harm, setup,
                                        scratch_teardown),
        cmocka_unit_test(an_entry_fits_by_all_that_it_names),
        cmocka_unit_test(a_tile_is_taken_where_its_kernel_and_the_device_allow_it),
        cmocka_unit_test_setup_teardown(a_check_holds_for_one_device_driver_source_and_numbers,
                                        setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_right_entry_is_checked_once_and_used, setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(entries_of_other_devices_are_left_alone, setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(entries_that_cannot_be_are_refused_with_a_reason, setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_wrong_entry_is_found_out, setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_wrong_tile_is_found_out, setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_was_wrong_once_stays_out, setup, scratch_teardown),
        cmocka_unit_test(the_hash_is_of_the_sources),
        cmocka_unit_test_setup_teardown(the_same_entry_is_right_with_right_kernels, setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(built_in_numbers_pass_the_check, setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_check_ends_where_it_is_told_to, setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(numbers_can_be_replaced, setup, scratch_teardown),
    };
    messages_log = capture_log(&messages, ZM_LOG_INFO);
    return argc > 1 ? tuning_search_tests() : cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The conversion of model directories: what is written and what is refused. That the function stays
 * the same is the matter of equivalence.c, that nothing is left half that of staging.c. */
#include <zeromean/convert.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/half.h"
#include "common/hash.h"
#include "model/architecture.h"
#include "model_files.h"
#include "scratch.h"

#define SEED 20240611u
#define ENCODER "model.encoder."
#define WRITER ENCODER "layers.1.fc2.weight"
#define READER "model.decoder.layers.0.encoder_attn.k_proj.weight"

static char *home, *input, *output; /* a folder, and two names in it */
static scratch_log remembered;

static int set_up(void **state)
{
    scratch_log_init(&remembered);
    int failed = scratch_setup(state);
    home = *state;
    input = test_format("%s/in", home);
    output = test_format("%s/out", home);
    return failed;
}

static int tear_down(void **state)
{
    free(input);
    free(output);
    return scratch_teardown(state);
}

static zm_status convert(const char *from, const char *to, zm_dtype type, zm_convert_report *report)
{
    remembered.error[0] = '\0';
    const zm_convert_params params = {
        .input = from, .output = to, .type = type, .log = &remembered.log};
    return zm_convert(&params, report);
}

static zm_model *open_model(const char *path)
{
    zm_model *model = NULL;
    assert_int_equal(zm_model_open(path, &remembered.log, &model), ZM_OK);
    return model;
}

/* ---- what is written ---- */

static bool is_changed(zm_tensor_role role)
{
    return role == ZM_ROLE_WRITER_WEIGHT || role == ZM_ROLE_WRITER_BIAS || role == ZM_ROLE_POSITION;
}

static long double expected_element(const zm_model_tensor *tensor, bool outputs, uint64_t i)
{
    uint64_t cols = outputs ? tensor->elements / tensor->shape[0] : tensor->shape[tensor->rank - 1];
    uint64_t terms = outputs ? tensor->shape[0] : cols;
    uint64_t first = outputs ? i % cols : i / cols * cols, step = outputs ? cols : 1;
    long double mean = 0.0L;
    for (uint64_t k = 0; k < terms; k++)
        mean += zm_load_real(tensor->data, tensor->dtype, first + k * step);
    return zm_load_real(tensor->data, tensor->dtype, i) - mean / terms;
}

/* How far a stored element may be from the exact one. */
static long double allowance(zm_dtype type, long double exact)
{
    switch (type) {
    case ZM_F16: return fabsl(exact) * 4.89e-4L + 3.0e-8L; /* half a step; of subnormals, too */
    case ZM_F32: return fabsl(exact) * 5.97e-8L + 1e-15L;
    default: return 4e-16L; /* the mean is rounded as well */
    }
}

static void compare_changed(const zm_model_tensor *before, const zm_model_tensor *after,
                            zm_tensor_role role)
{
    for (uint64_t i = 0; i < before->elements; i++) {
        long double expected = expected_element(before, role == ZM_ROLE_WRITER_WEIGHT, i);
        double stored = zm_load_real(after->data, after->dtype, i);
        assert_true(fabsl(stored - expected) <= allowance(after->dtype, expected));
    }
}

static void compare_models(const zm_model *before, const zm_model *after, zm_dtype changed_type,
                           zm_dtype other_type)
{
    assert_int_equal(zm_model_get_info(before)->tensor_count,
                     zm_model_get_info(after)->tensor_count);
    for (size_t i = 0; i < zm_model_get_info(before)->tensor_count; i++) {
        const zm_model_tensor *a = zm_model_get_tensor(before, i);
        const zm_model_tensor *b = zm_model_get_tensor(after, i);
        zm_tensor_role role = zm_tensor_role_get(before, a->name);
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->rank, b->rank);
        assert_memory_equal(a->shape, b->shape, sizeof(a->shape));
        assert_int_equal(b->dtype, is_changed(role) ? changed_type : other_type);
        if (is_changed(role))
            compare_changed(a, b, role);
        else if (a->dtype == b->dtype)
            assert_memory_equal(a->data, b->data, a->bytes);
        else
            for (uint64_t k = 0; k < a->elements; k++) {
                double exact = zm_load_real(a->data, a->dtype, k);
                double stored = zm_load_real(b->data, b->dtype, k);
                assert_true(fabs(stored - exact) <= (double)allowance(b->dtype, exact));
            }
    }
}

static void check_hash(const char *hex)
{
    size_t size;
    char expected[65];
    char *bytes = test_read_file(input, "model.safetensors", &size);
    assert_non_null(bytes);
    zm_sha256 hash;
    zm_sha256_init(&hash);
    zm_sha256_update(&hash, bytes, size);
    zm_sha256_finish(&hash, expected);
    free(bytes);
    assert_string_equal(hex, expected);
}

static void test_output(void **state)
{
    (void)state;
    test_write_whisper(input, &(test_whisper){.seed = SEED, .type = ZM_F16});
    test_write_text(input, "notes.txt", "kept\n");
    test_write_text(input, "empty.txt", "");
    test_write_text(input, "pytorch_model.bin", "other weights\n");
    test_write_text(input, ".hidden", "not ours\n");
    zm_convert_report report;
    assert_int_equal(convert(input, output, ZM_DTYPE_NONE, &report), ZM_OK);
    zm_model *before = open_model(input), *after = open_model(output);
    compare_models(before, after, ZM_F32, ZM_F16);
    assert_int_equal(zm_model_get_info(after)->norm, ZM_NORM_RMS);
    assert_string_equal(zm_model_get_metadata(after, "zeromean.format"), "1");
    assert_string_equal(zm_model_get_metadata(after, "zeromean.norm"), "rms_norm");
    assert_string_equal(zm_model_get_metadata(after, "zeromean.version"), zm_version());
    assert_string_equal(zm_model_get_metadata(after, "zeromean.source_sha256"),
                        report.source_sha256);
    assert_string_equal(zm_model_get_metadata(after, "format"), "pt");
    check_hash(report.source_sha256);
    /* Writers of an encoder block: 2, of a decoder block: 3; two tensors each; two tables. */
    assert_int_equal(report.recentred, 2 * (2 * 2 + 2 * 3) + 2);
    assert_int_equal(report.tensors, zm_model_get_info(before)->tensor_count);
    assert_true(report.rounding > 1e-9 && report.rounding < 6e-8);
    zm_model_close(&before);
    zm_model_close(&after);

    static const char *const copied[] = {"config.json", "generation_config.json", "tokenizer.json",
                                         "notes.txt", "empty.txt"};
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        size_t was_size, is_size;
        char *was = test_read_file(input, copied[i], &was_size);
        char *is = test_read_file(output, copied[i], &is_size);
        assert_true(was && is && was_size == is_size && memcmp(was, is, is_size) == 0);
        free(was);
        free(is);
    }
    assert_int_equal(scratch_count(output), 1 + sizeof(copied) / sizeof(copied[0]));
    assert_int_equal(scratch_count(home), 2);
    size_t size;
    char *weights = test_read_file(output, "model.safetensors", &size);
    assert_int_equal(size, report.output_bytes);
    free(weights);
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        zm_dtype type;
        double least, most; /* rounding */
    } cases[] = {{ZM_F32, 1e-9, 6e-8}, {ZM_F16, 1e-4, 4e-4}, {ZM_F64, 0.0, 1e-16}};
    test_write_whisper(input, &(test_whisper){.seed = SEED});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        zm_convert_report report;
        char *path = test_format("%s/%s", home, zm_dtype_name(cases[i].type));
        assert_int_equal(convert(input, path, cases[i].type, &report), ZM_OK);
        zm_model *before = open_model(input), *after = open_model(path);
        compare_models(before, after, cases[i].type, cases[i].type);
        print_message("%s: rounding %.2e\n", zm_dtype_name(cases[i].type), report.rounding);
        assert_true(report.rounding >= cases[i].least && report.rounding <= cases[i].most);
        zm_model_close(&before);
        zm_model_close(&after);
        free(path);
    }
}

/* Sharded inputs, other names of the same directories, repetitions: the same weights. */
static void test_same_result(void **state)
{
    (void)state;
    test_write_whisper(input, &(test_whisper){.seed = SEED});
    assert_int_equal(convert(input, output, ZM_DTYPE_NONE, NULL), ZM_OK);
    size_t size, other_size;
    char *bytes = test_read_file(output, "model.safetensors", &size);
    char *again = test_format("%s/in/../again//", home);
    assert_int_equal(convert(input, again, ZM_DTYPE_NONE, NULL), ZM_OK);
    char *other = test_read_file(again, "model.safetensors", &other_size);
    assert_int_equal(size, other_size);
    assert_memory_equal(bytes, other, size);

    char *shards = test_format("%s/shards", home), *joined = test_format("%s/joined", home);
    test_copy_model(input, shards, &(test_changes){.shards = 3});
    assert_int_equal(convert(shards, joined, ZM_DTYPE_NONE, NULL), ZM_OK);
    zm_model *one = open_model(output), *three = open_model(joined);
    for (size_t i = 0; i < zm_model_get_info(one)->tensor_count; i++) {
        const zm_model_tensor *a = zm_model_get_tensor(one, i), *b = zm_model_get_tensor(three, i);
        assert_string_equal(a->name, b->name);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    assert_int_equal(scratch_count(joined), 4);
    zm_model_close(&one);
    zm_model_close(&three);
    free(bytes);
    free(other);
    free(again);
    free(shards);
    free(joined);
}

/* RMSNorm does not ignore the mean: what is converted must not be recentred again, nor what never
 * was LayerNorm. */
static void test_already_rms_norm(void **state)
{
    (void)state;
    zm_convert_report report;
    char *again = test_format("%s/again", home), *half = test_format("%s/half", home);
    char *foreign = test_format("%s/foreign", home), *kept = test_format("%s/kept", home);
    test_write_whisper(input, &(test_whisper){.seed = SEED});
    assert_int_equal(convert(input, output, ZM_DTYPE_NONE, &report), ZM_OK);
    assert_false(report.copied);
    assert_int_equal(convert(output, again, ZM_DTYPE_NONE, &report), ZM_OK);
    assert_true(report.copied && report.recentred == 0 && report.rounding == 0.0);
    size_t size, other_size;
    char *bytes = test_read_file(output, "model.safetensors", &size);
    char *other = test_read_file(again, "model.safetensors", &other_size);
    assert_int_equal(size, other_size);
    assert_memory_equal(bytes, other, size); /* its origin, too */
    assert_int_equal(scratch_count(again), scratch_count(output));
    assert_int_equal(convert(output, half, ZM_F16, &report), ZM_OK);
    assert_true(report.copied && report.rounding > 1e-5);

    const zm_model_tensor unknown = {
        .name = "model.unknown", .dtype = ZM_F32, .rank = 1, .shape = {4}};
    test_copy_model(input, foreign,
                    &(test_changes){.norm = "rms_norm", .put = &unknown, .put_count = 1});
    assert_int_equal(convert(foreign, kept, ZM_DTYPE_NONE, &report), ZM_OK);
    zm_model *before = open_model(foreign), *after = open_model(kept);
    assert_int_equal(zm_model_get_info(after)->norm, ZM_NORM_RMS);
    assert_string_equal(zm_model_get_metadata(after, "zeromean.source_sha256"),
                        report.source_sha256);
    for (size_t i = 0; i < zm_model_get_info(before)->tensor_count; i++) {
        const zm_model_tensor *a = zm_model_get_tensor(before, i);
        const zm_model_tensor *b = zm_model_get_tensor(after, i);
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->dtype, b->dtype);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    zm_model_close(&before);
    zm_model_close(&after);
    free(bytes);
    free(other);
    free(again);
    free(half);
    free(foreign);
    free(kept);
}

/* ---- what is refused ---- */

typedef struct spoiler {
    const char *name;
    uint64_t index;
    double value;
} spoiler;

static void *spoil(void *user, const zm_model_tensor *tensor)
{
    const spoiler *how = user;
    if (strcmp(tensor->name, how->name) != 0)
        return NULL;
    void *bytes = malloc(tensor->bytes);
    memcpy(bytes, tensor->data, tensor->bytes);
    zm_store_real(bytes, tensor->dtype, how->index, how->value);
    return bytes;
}

/* The refusal names what is wrong and leaves nothing behind. */
static void expect_refusal(const char *from, const char *to, zm_dtype type, zm_status status,
                           const char *named)
{
    size_t entries = scratch_count(home);
    zm_status got = convert(from, to, type, NULL);
    if (got != status || !strstr(remembered.error, named))
        print_message("%s (%s expected): %s\n", zm_status_name(got), zm_status_name(status),
                      remembered.error);
    assert_int_equal(got, status);
    assert_non_null(strstr(remembered.error, named));
    assert_null(strchr(remembered.error, '\n'));
    if (status == ZM_ERROR_UNSUPPORTED) /* of the model: which one */
        assert_non_null(strstr(remembered.error, from));
    assert_int_equal(scratch_count(home), entries);
}

static void test_refused_tensors(void **state)
{
    (void)state;
    static spoiler nan_reader = {READER, 100, NAN}, inf_writer = {WRITER, 77, INFINITY},
                   large = {READER, 5, 70000.0},
                   nan_table = {"model.decoder.embed_tokens.weight", 3199, NAN};
    static const zm_model_tensor
        scale = {.name = ENCODER "layers.0.ls1.gamma", .dtype = ZM_F32, .rank = 1, .shape = {4}},
        third = {.name = ENCODER "layers.2.fc2.bias", .dtype = ZM_F32, .rank = 1, .shape = {4}},
        integers = {.name = WRITER, .dtype = ZM_I32, .rank = 2, .shape = {TEST_D, TEST_ENCODER_FF}};
    const struct {
        test_changes changes;
        zm_dtype type;
        zm_status status;
        const char *named;
    } cases[] = {
        {{.edit = spoil, .user = &nan_reader}, 0, ZM_ERROR_UNSUPPORTED, READER ": element 100 "},
        {{.edit = spoil, .user = &inf_writer}, 0, ZM_ERROR_UNSUPPORTED, WRITER ": element 77 "},
        {{.edit = spoil, .user = &nan_table}, ZM_F32, ZM_ERROR_UNSUPPORTED, ": element 3199 "},
        {{.edit = spoil, .user = &large}, ZM_F16, ZM_ERROR_UNSUPPORTED, READER ": element 5 "},
        {{.put = &scale, .put_count = 1}, 0, ZM_ERROR_UNSUPPORTED, "ls1.gamma"},
        {{.put = &third, .put_count = 1}, 0, ZM_ERROR_UNSUPPORTED, "layers.2.fc2.bias"},
        {{.drop = WRITER}, 0, ZM_ERROR_BAD_FORMAT, WRITER},
        {{.drop = "model.encoder.layers.1.fc2.bias"}, 0, ZM_ERROR_BAD_FORMAT, "fc2.bias"},
        {{.put = &integers, .put_count = 1}, 0, ZM_ERROR_UNSUPPORTED, WRITER},
    };
    char *original = test_format("%s/original", home);
    test_write_whisper(original, &(test_whisper){.seed = SEED});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *bad = test_format("%s/bad%zu", home, i);
        test_copy_model(original, bad, &cases[i].changes);
        expect_refusal(bad, output, cases[i].type, cases[i].status, cases[i].named);
        free(bad);
    }
    free(original);
}

static void test_refused_arguments(void **state)
{
    (void)state;
    test_write_whisper(input, &(test_whisper){.seed = SEED});
    char *inside = test_format("%s/out", input), *missing = test_format("%s/no/where", home);
    char *same = test_format("%s/./in/", home), *file = test_format("%s/file", home);
    char *link = test_format("%s/link", home), *below_link = test_format("%s/link/out", home);
    test_write_text(home, "file", "");
    assert_int_equal(symlink(input, link), 0);
    expect_refusal(input, inside, 0, ZM_ERROR_INVALID_ARGUMENT, "outside");
    expect_refusal(input, below_link, 0, ZM_ERROR_INVALID_ARGUMENT, "outside");
    expect_refusal(input, same, 0, ZM_ERROR_INVALID_ARGUMENT, "exists");
    expect_refusal(input, file, 0, ZM_ERROR_INVALID_ARGUMENT, "not a directory");
    expect_refusal(input, home, 0, ZM_ERROR_INVALID_ARGUMENT, "exists");
    expect_refusal(input, missing, 0, ZM_ERROR_NOT_FOUND, "no such directory");
    expect_refusal(input, "/proc/zeromean", 0, ZM_ERROR_IO, "/proc");
    expect_refusal(missing, output, 0, ZM_ERROR_NOT_FOUND, missing);
    expect_refusal(input, "", 0, ZM_ERROR_INVALID_ARGUMENT, "output");
    expect_refusal(input, output, ZM_BF16, ZM_ERROR_INVALID_ARGUMENT, "bf16");
    expect_refusal(file, output, 0, ZM_ERROR_INVALID_ARGUMENT, "not a directory");
    zm_convert_params params = {.input = input, .output = output, .norm = ZM_NORM_COUNT};
    assert_int_equal(zm_convert(&params, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_convert(NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
    params = (zm_convert_params){.input = input, .output = home, .overwrite = true};
    assert_int_equal(zm_convert(&params, NULL), ZM_ERROR_INVALID_ARGUMENT);
    params.output = same;
    assert_int_equal(zm_convert(&params, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(scratch_count(input), 4);
    free(inside);
    free(missing);
    free(same);
    free(file);
    free(link);
    free(below_link);
}

int main(void)
{
    print_message("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_output, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_result, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_already_rms_norm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_tensors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_arguments, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

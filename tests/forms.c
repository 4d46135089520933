/* SPDX-License-Identifier: Apache-2.0 */
/* The forms that a Pre-LN model can have, there and back again: folded norms, CRMSNorm, a turned
 * main branch. Each is the same function as the original, in float64 and on the default device;
 * each rule is broken once, and the comparison has to see it. */
#include <zeromean/check.h>
#include <zeromean/convert.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/half.h"
#include "convert/recentre.h"
#include "model_files.h"
#include "scratch.h"

#define SEED 20230529u
#define ENCODER "model.encoder."
#define DECODER "model.decoder."
#define WRITER ENCODER "layers.1.fc2.weight"
#define READER DECODER "layers.0.fc1.weight"
#define NORM DECODER "layers.0.final_layer_norm"

static scratch_log remembered;
static zm_device *exact, *fast; /* host:f64 and the default device */
static char *home, *original;

typedef struct form {
    const char *name;
    zm_norm norm;
    bool fold;
} form;

static const form forms[] = {{"affine", ZM_NORM_RMS, false},
                             {"folded", ZM_NORM_RMS, true},
                             {"crms", ZM_NORM_CRMS, false},
                             {"ortho", ZM_NORM_ORTHO, false}};
static const form plain = {"ln", ZM_NORM_LAYER, false};
enum { AFFINE, FOLDED, CRMS, ORTHO, FORMS };

static void must(zm_status status)
{
    if (status)
        fail_msg("%s", remembered.error);
}

static void open_device(const char *spec, zm_device **out)
{
    const zm_device_params params = {.spec = spec, .log = &remembered.log};
    must(zm_device_open(&params, out));
}

static int set_up(void **state)
{
    scratch_log_init(&remembered);
    if (scratch_setup(state) != 0)
        return -1;
    home = *state;
    original = test_format("%s/original", home);
    test_write_whisper(original, &(test_whisper){.seed = SEED});
    open_device("host:f64", &exact);
    open_device(getenv("ZEROMEAN_DEVICE"), &fast);
    return 0;
}

static int tear_down(void **state)
{
    zm_device_close(&exact);
    zm_device_close(&fast);
    free(original);
    return scratch_teardown(state);
}

static zm_model *open_model(const char *path)
{
    zm_model *model = NULL;
    must(zm_model_open(path, &remembered.log, &model));
    return model;
}

static double compare(const char *a, const char *b, zm_device *device)
{
    zm_model *first = open_model(a), *second = open_model(b);
    zm_check_report *report = NULL;
    const zm_check_params params = {
        .a = first, .b = second, .device_a = device, .tokens = 8, .log = &remembered.log};
    must(zm_check(&params, &report));
    double found = report->final_relative_l2;
    /* The main branch, too, whatever its form is. */
    for (size_t i = 0; i < report->row_count; i++)
        found = fmax(found, report->rows[i].relative_l2);
    zm_check_report_destroy(&report);
    zm_model_close(&first);
    zm_model_close(&second);
    return found;
}

static zm_status try_convert(const char *from, const char *to, const form *f, zm_dtype type,
                             zm_convert_report *report)
{
    const zm_convert_params params = {.input = from,
                                      .output = to,
                                      .norm = f->norm,
                                      .fold = f->fold,
                                      .type = type,
                                      .overwrite = true,
                                      .log = &remembered.log};
    return zm_convert(&params, report);
}

static char *convert(const char *from, const char *name, const form *f, zm_dtype type)
{
    char *path = test_format("%s/%s", home, name);
    must(try_convert(from, path, f, type, NULL));
    return path;
}

static void expect_equal(const char *what, const form *f, const char *a, const char *b,
                         zm_device *device, double most)
{
    double found = compare(a, b, device);
    print_message("%-32s %-8s %.1e (at most %.0e)\n", what, f->name, found, most);
    assert_true(found <= most);
}

/* ---- there and back ---- */

static void test_round_trips(void **state)
{
    (void)state;
    for (int i = 0; i < FORMS; i++) {
        char *there = convert(original, "there", &forms[i], ZM_F64);
        char *back = convert(there, "back", &plain, ZM_F64);
        expect_equal("float64", &forms[i], original, there, exact, 1e-12);
        expect_equal("float64, and back", &forms[i], original, back, exact, 1e-12);
        zm_model *model = open_model(back);
        assert_int_equal(zm_model_get_info(model)->norm, ZM_NORM_LAYER);
        assert_false(zm_model_get_info(model)->folded);
        assert_string_equal(zm_model_get_metadata(model, "zeromean.format"), "1");
        zm_model_close(&model);
        free(there);
        free(back);
    }
}

/* From one form to the next. */
static void test_steps(void **state)
{
    (void)state;
    char *affine = convert(original, "affine", &forms[AFFINE], ZM_F64);
    char *folded = convert(affine, "folded", &forms[FOLDED], ZM_F64);
    char *crms = convert(affine, "crms", &forms[CRMS], ZM_F64);
    char *ortho = convert(folded, "ortho", &forms[ORTHO], ZM_F64);
    expect_equal("from affine", &forms[FOLDED], original, folded, exact, 1e-12);
    expect_equal("from affine", &forms[CRMS], original, crms, exact, 1e-12);
    expect_equal("from folded", &forms[ORTHO], original, ortho, exact, 1e-12);
    expect_equal("held against folded", &forms[ORTHO], ortho, folded, exact, 1e-12);
    free(affine);
    free(folded);
    free(crms);
    free(ortho);
}

/* What is left is the rounding of weights, and then of the arithmetic. */
static void test_default_type(void **state)
{
    (void)state;
    for (int i = FOLDED; i < FORMS; i++) {
        char *there = convert(original, "f32", &forms[i], ZM_DTYPE_NONE);
        char *back = convert(there, "f32-back", &plain, ZM_DTYPE_NONE);
        expect_equal("float32, in float64", &forms[i], original, there, exact, 1e-6);
        expect_equal("float32, and back", &forms[i], original, back, exact, 1e-6);
        expect_equal("float32, on the default device", &forms[i], original, there, fast, 1e-5);
        free(there);
        free(back);
    }
}

static void test_text(void **state)
{
    (void)state;
    for (int i = FOLDED; i < FORMS; i++) {
        char *there = convert(TEXT_MODEL, "text", &forms[i], ZM_F64);
        char *back = convert(there, "text-back", &plain, ZM_F64);
        expect_equal("text, float64", &forms[i], TEXT_MODEL, there, exact, 1e-12);
        expect_equal("text, float64, and back", &forms[i], TEXT_MODEL, back, exact, 1e-12);
        free(there);
        free(back);
    }
}

/* ---- files ---- */

static const zm_model_tensor *tensor_of(const zm_model *model, const char *name, uint64_t rows,
                                        uint64_t cols)
{
    const zm_model_tensor *tensor = zm_model_find_tensor(model, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->shape[0], rows);
    if (tensor->rank > 1)
        assert_int_equal(tensor->shape[1], cols);
    return tensor;
}

static void test_files(void **state)
{
    (void)state;
    for (int i = FOLDED; i < FORMS; i++) {
        const uint64_t d = TEST_D - (i == FOLDED ? 0 : 1);
        zm_convert_report report;
        char *path = test_format("%s/file", home);
        must(try_convert(original, path, &forms[i], ZM_DTYPE_NONE, &report));
        assert_true(report.folded && report.norm == forms[i].norm && !report.copied);
        zm_model *model = open_model(path);
        assert_int_equal(zm_model_get_info(model)->norm, forms[i].norm);
        assert_true(zm_model_get_info(model)->folded);
        assert_string_equal(zm_model_get_metadata(model, "zeromean.format"), "2");
        assert_string_equal(zm_model_get_metadata(model, "zeromean.norm"),
                            zm_norm_name(forms[i].norm));
        assert_string_equal(zm_model_get_metadata(model, "zeromean.folded"), "true");
        tensor_of(model, WRITER, d, TEST_ENCODER_FF);
        tensor_of(model, ENCODER "layers.1.fc2.bias", d, 0);
        tensor_of(model, READER, TEST_DECODER_FF, d);
        tensor_of(model, DECODER "layers.0.self_attn.k_proj.weight", TEST_D, d);
        assert_null(zm_model_find_tensor(model, DECODER "layers.0.self_attn.k_proj.bias"));
        assert_null(zm_model_find_tensor(model, NORM ".weight"));
        assert_null(zm_model_find_tensor(model, NORM ".bias"));
        /* What can't be folded: before a tied head, and before another main branch. */
        tensor_of(model, DECODER "layer_norm.weight", TEST_D, 0);
        tensor_of(model, ENCODER "layer_norm.bias", TEST_D, 0);
        tensor_of(model, DECODER "layers.0.encoder_attn.v_proj.weight", TEST_D, TEST_D);
        tensor_of(model, DECODER "embed_tokens.weight", TEST_VOCABULARY, TEST_D);
        zm_model_close(&model);
        free(path);
    }
}

/* A norm's weight again, where the file says that there is none; and a main branch of d elements
 * where it says d - 1. */
static void test_bad_files(void **state)
{
    (void)state;
    char *path = convert(original, "good", &forms[CRMS], ZM_DTYPE_NONE);
    char *bad = test_format("%s/bad", home);
    const zm_model_tensor weight = {
        .name = NORM ".weight", .dtype = ZM_F32, .rank = 1, .shape = {TEST_D}};
    const zm_model_tensor wide = {
        .name = WRITER, .dtype = ZM_F32, .rank = 2, .shape = {TEST_D, TEST_ENCODER_FF}};
    const struct {
        test_changes changes;
        const char *named;
    } cases[] = {{{.put = &weight, .put_count = 1}, NORM ".weight is there"},
                 {{.put = &wide, .put_count = 1}, "[32][64], expected [31][64]"},
                 {{.drop = WRITER}, WRITER " [31][64] is missing"},
                 {{.norm = "crms_norm", .format = "1"}, "the norm crms_norm is not supported"},
                 {{.norm = "ortho_norm", .format = "3"}, "format 3, this version reads"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        zm_model *model = NULL;
        test_copy_model(path, bad, &cases[i].changes);
        assert_true(zm_model_open(bad, &remembered.log, &model) != ZM_OK);
        if (!strstr(remembered.error, cases[i].named))
            fail_msg("%s, expected %s", remembered.error, cases[i].named);
    }
    free(path);
    free(bad);
}

/* Of a width of 1 nothing is left. */
static void test_width(void **state)
{
    (void)state;
    char *thin = test_format("%s/thin", home), *out = test_format("%s/thin-out", home);
    zm_model *model = NULL;
    test_write_whisper(
        thin,
        &(test_whisper){.seed = SEED, .info = {.d = 1, .encoder_heads = 1, .decoder_heads = 1}});
    must(try_convert(thin, out, &forms[FOLDED], ZM_DTYPE_NONE, NULL));
    assert_int_equal(try_convert(thin, out, &forms[ORTHO], ZM_DTYPE_NONE, NULL),
                     ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(remembered.error, "nothing would be left of its width of 1"));
    test_copy_model(thin, out, &(test_changes){.norm = "crms_norm", .format = "2"});
    assert_int_equal(zm_model_open(out, &remembered.log, &model), ZM_ERROR_BAD_FORMAT);
    assert_non_null(strstr(remembered.error, "leaves nothing of its width of 1"));
    free(thin);
    free(out);
}

/* Once more, and by ways that there are not. */
static void test_words(void **state)
{
    (void)state;
    zm_convert_report report;
    char *ways[FORMS], *out = test_format("%s/again", home);
    for (int i = 0; i < FORMS; i++) {
        ways[i] = convert(original, forms[i].name, &forms[i], ZM_DTYPE_NONE);
        must(try_convert(ways[i], out, &forms[i], ZM_DTYPE_NONE, &report));
        assert_true(report.copied && report.recentred == 0 && report.rounding == 0.0);
    }
    must(try_convert(original, out, &plain, ZM_DTYPE_NONE, &report));
    assert_true(report.copied && report.norm == ZM_NORM_LAYER);
    const form affine = forms[AFFINE], bent = {"bent", ZM_NORM_LAYER, true};
    must(try_convert(ways[FOLDED], out, &affine, ZM_DTYPE_NONE, &report));
    assert_true(report.copied && report.folded); /* it stays what it is */
    const struct {
        const char *from;
        const form *to;
        const char *named;
    } cases[] = {{ways[CRMS], &forms[ORTHO], "back to layer_norm"},
                 {ways[ORTHO], &forms[CRMS], "back to layer_norm"},
                 {ways[CRMS], &affine, "back to layer_norm"},
                 {original, &bent, "LayerNorm keeps its weights"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        zm_status status = try_convert(cases[i].from, out, cases[i].to, ZM_DTYPE_NONE, NULL);
        assert_int_equal(status,
                         cases[i].to == &bent ? ZM_ERROR_INVALID_ARGUMENT : ZM_ERROR_UNSUPPORTED);
        assert_non_null(strstr(remembered.error, cases[i].named));
    }
    for (int i = 0; i < FORMS; i++)
        free(ways[i]);
    free(out);
}

/* ---- mistakes ---- */

typedef struct mistake {
    const char *name;
    int form;
    const char *tensor; /* another one instead, made of the original: */
    zm_recentre_axis axis;
    zm_vector_change change;
    bool gain;  /* with the norm's weight */
    bool count; /* nothing else than the divisor: d - 1 in place of d */
} mistake;

#define ROOT 5.656854249492381 /* of 32 */

static const mistake mistakes[] = {
    {"writer only cut", CRMS, WRITER, ZM_RECENTRE_OUTPUTS, {.more = -1}, false, false},
    {"writer only cut", ORTHO, WRITER, ZM_RECENTRE_OUTPUTS, {.more = -1}, false, false},
    {"writer of the other form",
     ORTHO,
     WRITER,
     ZM_RECENTRE_OUTPUTS,
     {.mean = -1, .more = -1},
     false,
     false},
    {"writer left out", FOLDED, WRITER, ZM_RECENTRE_NONE, {.mean = 0}, false, false},
    {"bias of a writer only cut",
     CRMS,
     DECODER "layers.1.encoder_attn.out_proj.bias",
     ZM_RECENTRE_ROWS,
     {.more = -1},
     false,
     false},
    {"reader only cut", CRMS, READER, ZM_RECENTRE_ROWS, {.more = -1}, true, false},
    {"weight not folded", CRMS, READER, ZM_RECENTRE_ROWS, {.last = -1, .more = -1}, false, false},
    {"weight not folded",
     ORTHO,
     READER,
     ZM_RECENTRE_ROWS,
     {.mean = -ROOT / (ROOT - 1), .last = 1 / (ROOT - 1), .more = -1},
     false,
     false},
    {"weight not folded", FOLDED, READER, ZM_RECENTRE_NONE, {.mean = 0}, false, false},
    {"bias not folded",
     FOLDED,
     DECODER "layers.0.fc1.bias",
     ZM_RECENTRE_NONE,
     {.mean = 0},
     false,
     false},
    {"bias not folded",
     CRMS,
     ENCODER "layers.0.self_attn.v_proj.bias",
     ZM_RECENTRE_NONE,
     {.mean = 0},
     false,
     false},
    {"divided by d - 1", CRMS, .count = true},
    {"divided by d - 1", ORTHO, .count = true},
};

typedef struct editor {
    const mistake *mistake;
    const zm_model *before;
} editor;

static bool reads_branch(const char *name)
{
    return (strstr(name, "_proj.weight") || strstr(name, "fc1.weight")) &&
           !strstr(name, "out_proj") && !strstr(name, "encoder_attn.k") &&
           !strstr(name, "encoder_attn.v");
}

static void *edit(void *user, const zm_model_tensor *tensor)
{
    const editor *e = user;
    const mistake *m = e->mistake;
    if (m->count ? !reads_branch(tensor->name) : strcmp(tensor->name, m->tensor) != 0)
        return NULL;
    double *values = malloc(tensor->elements * sizeof(double));
    void *bytes = malloc(tensor->bytes);
    assert_true(values && bytes);
    if (m->count) {
        zm_convert_reals(values, ZM_F64, tensor->data, tensor->dtype, tensor->elements);
        for (uint64_t i = 0; i < tensor->elements; i++)
            values[i] *= sqrt((TEST_D - 1.0) / TEST_D);
    } else {
        zm_recentring recentring;
        const zm_model_tensor *gain =
            m->gain ? zm_model_find_tensor(e->before, NORM ".weight") : NULL;
        must(zm_recentring_init(&recentring, zm_model_find_tensor(e->before, tensor->name), m->axis,
                                &m->change, gain));
        zm_recentring_read(&recentring, 0, tensor->elements, values);
        zm_recentring_finish(&recentring);
    }
    zm_convert_reals(bytes, tensor->dtype, values, ZM_F64, tensor->elements);
    free(values);
    return bytes;
}

static double with_tensor(const char *right, const mistake *m)
{
    zm_model *before = open_model(original);
    editor e = {m, before};
    char *path = test_format("%s/mistaken", home);
    test_copy_model(right, path, &(test_changes){.edit = edit, .user = &e});
    double found = compare(original, path, exact);
    zm_model_close(&before);
    free(path);
    return found;
}

static void test_mistakes(void **state)
{
    (void)state;
    char *right[FORMS];
    for (int i = 0; i < FORMS; i++)
        right[i] = convert(original, forms[i].name, &forms[i], ZM_DTYPE_NONE);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        const mistake *m = &mistakes[i];
        double found = with_tensor(right[m->form], m);
        print_message("%-28s %-8s %.1e\n", m->name, forms[m->form].name, found);
        assert_true(found > 1e-3);
    }
    /* The same by the right rules is no mistake: what is seen above is not how tensors are made. */
    const mistake none[] = {
        {"", CRMS, WRITER, ZM_RECENTRE_OUTPUTS, {.mean = -1, .more = -1}, false, false},
        {"", CRMS, READER, ZM_RECENTRE_ROWS, {.last = -1, .more = -1}, true, false}};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_true(with_tensor(right[none[i].form], &none[i]) < 1e-6);
    for (int i = 0; i < FORMS; i++)
        free(right[i]);
}

int main(void)
{
    print_message("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),  cmocka_unit_test(test_steps),
        cmocka_unit_test(test_files),        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_words),        cmocka_unit_test(test_width),
        cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_text),
        cmocka_unit_test(test_default_type),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

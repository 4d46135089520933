/* SPDX-License-Identifier: Apache-2.0 */
/* A converted model is the same function as its original, and a wrongly converted one is told from
 * it: in float64, where only the conversion itself can differ, and on the default device; on a
 * made-up model with large means and, where ZEROMEAN_MODELS_DIR has it, on Whisper tiny.en. */
#include <zeromean/check.h>
#include <zeromean/convert.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/half.h"
#include "convert/recentre.h"
#include "model_files.h"
#include "scratch.h"

#define SEED 20230529u
#define TABLE "model.decoder.embed_tokens.weight"
#define TOLERANCE 1e-5
#define MODEL "whisper-tiny.en"

static scratch_log remembered;
static void must(zm_status status)
{
    if (status)
        fail_msg("%s", remembered.error);
}

static zm_device *exact, *fast; /* host:f64 and the default device */
static char *home, *original;

static void open_device(const char *spec, zm_device **out)
{
    const zm_device_params params = {.spec = spec, .log = &remembered.log};
    must(zm_device_open(&params, out));
    const zm_device_info *info = zm_device_get_info(*out);
    print_message("%s: %s (%s)\n", info->spec, info->name, info->platform);
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

/* The larger relative L2 of encoder output and logits; *equal: the judgement. */
static double compare(const char *a, const char *b, zm_device *device, bool *equal)
{
    zm_model *first = NULL, *second = NULL;
    zm_check_report *report = NULL;
    must(zm_model_open(a, &remembered.log, &first));
    must(zm_model_open(b, &remembered.log, &second));
    const zm_check_params params = {.a = first,
                                    .b = second,
                                    .device_a = device,
                                    .tokens = 8,
                                    .tolerance = TOLERANCE,
                                    .log = &remembered.log};
    must(zm_check(&params, &report));
    double found = report->final_relative_l2;
    *equal = report->equal;
    zm_check_report_destroy(&report);
    zm_model_close(&first);
    zm_model_close(&second);
    return found;
}

static char *convert(const char *from, const char *name, zm_dtype type)
{
    char *path = test_format("%s/%s", home, name);
    const zm_convert_params params = {
        .input = from, .output = path, .type = type, .overwrite = true, .log = &remembered.log};
    must(zm_convert(&params, NULL));
    return path;
}

static double expect_equal(const char *what, const char *a, const char *b, zm_device *device,
                           double most)
{
    bool equal = false;
    double found = compare(a, b, device, &equal);
    print_message("%-44s %.2e (at most %.0e)\n", what, found, most);
    assert_true(equal);
    assert_true(found <= most);
    return found;
}

static void test_exact(void **state)
{
    (void)state;
    char *path = convert(original, "f64", ZM_F64);
    expect_equal("float64 stored, in float64", original, path, exact, 1e-12);
    free(path);
}

/* What is left is the rounding of the changed weights. */
static void test_default_type(void **state)
{
    (void)state;
    char *path = convert(original, "f32", ZM_DTYPE_NONE);
    double rounding = expect_equal("float32 stored, in float64", original, path, exact, 1e-6);
    assert_true(rounding > 1e-9);
    expect_equal("float32 stored, on the default device", original, path, fast, TOLERANCE);
    free(path);
}

static void test_half(void **state)
{
    (void)state;
    char *source = test_format("%s/half_source", home);
    test_write_whisper(source, &(test_whisper){.seed = SEED, .type = ZM_F16});
    char *kept = convert(source, "mixed", ZM_DTYPE_NONE), *half = convert(source, "f16", ZM_F16);
    expect_equal("F16 source, changed as float32, in float64", source, kept, exact, 1e-6);
    bool equal = true;
    double found = compare(source, half, exact, &equal);
    print_message("%-44s %.2e (not exact, and says so)\n", "F16 stored, in float64", found);
    assert_false(equal);
    assert_true(found > TOLERANCE && found < 5e-3);
    free(source);
    free(kept);
    free(half);
}

/* Any engine that reads the original may read the converted file as a LayerNorm model. */
static void test_still_layer_norm(void **state)
{
    (void)state;
    char *path = convert(original, "converted", ZM_F64);
    char *plain = test_format("%s/plain", home);
    test_copy_model(path, plain, &(test_changes){.norm = ""});
    zm_model *model = NULL;
    must(zm_model_open(plain, &remembered.log, &model));
    assert_int_equal(zm_model_get_info(model)->norm, ZM_NORM_LAYER);
    zm_model_close(&model);
    expect_equal("converted, read as LayerNorm", original, plain, exact, 1e-12);
    free(path);
    free(plain);
}

/* ---- mistakes ---- */

typedef struct mistake {
    const char *name;
    const char *kept;      /* this tensor stays as it was */
    const char *recentred; /* the rows of this tensor lose their mean */
    const char *eps;
    bool only_norm; /* nothing but the norm changes */
    bool harmless;  /* by the design of the run time */
    bool real;      /* tried on the real model as well */
} mistake;

#define ENCODER "model.encoder."
#define DECODER "model.decoder."

static const mistake mistakes[] = {
    {"encoder MLP writer kept", .kept = ENCODER "layers.1.fc2.weight", .real = true},
    {"encoder attention writer kept", .kept = ENCODER "layers.0.self_attn.out_proj.weight"},
    {"encoder bias kept", .kept = ENCODER "layers.0.fc2.bias"},
    {"decoder MLP writer kept", .kept = DECODER "layers.1.fc2.weight"},
    {"decoder attention writer kept", .kept = DECODER "layers.0.self_attn.out_proj.weight"},
    {"cross-attention writer kept", .kept = DECODER "layers.1.encoder_attn.out_proj.weight"},
    {"cross-attention bias kept", .kept = DECODER "layers.0.encoder_attn.out_proj.bias",
     .real = true},
    {"recentred table used as head", .recentred = TABLE, .real = true},
    {"eps changed", .eps = "1e-4", .real = true},
    {"norm swapped and nothing else", .only_norm = true, .real = true},
    {"encoder positions kept", .kept = ENCODER "embed_positions.weight", .harmless = true},
    {"decoder positions kept", .kept = DECODER "embed_positions.weight", .harmless = true},
};

typedef struct editor {
    const mistake *mistake;
    zm_model *before;
} editor;

static void *recentred_rows(const zm_model_tensor *tensor)
{
    zm_recentring recentring;
    must(zm_recentring_init(&recentring, tensor, ZM_RECENTRE_ROWS, &ZM_MEAN_OUT, NULL));
    double *rows = malloc(tensor->elements * sizeof(double));
    void *bytes = malloc(tensor->bytes);
    assert_true(rows && bytes);
    zm_recentring_read(&recentring, 0, tensor->elements, rows);
    zm_convert_reals(bytes, tensor->dtype, rows, ZM_F64, tensor->elements);
    zm_recentring_finish(&recentring);
    free(rows);
    return bytes;
}

static void *edit(void *user, const zm_model_tensor *tensor)
{
    const editor *e = user;
    if (e->mistake->recentred && strcmp(tensor->name, e->mistake->recentred) == 0)
        return recentred_rows(tensor);
    if (!e->mistake->kept || strcmp(tensor->name, e->mistake->kept) != 0)
        return NULL;
    const zm_model_tensor *before = zm_model_find_tensor(e->before, tensor->name);
    void *bytes = malloc(tensor->bytes);
    assert_true(before && bytes);
    zm_convert_reals(bytes, tensor->dtype, before->data, before->dtype, tensor->elements);
    return bytes;
}

static void try_mistake(const char *source, const char *converted, const mistake *m,
                        zm_device *device)
{
    editor e = {.mistake = m};
    bool equal = false;
    char *path = test_format("%s/mistaken", home);
    must(zm_model_open(source, &remembered.log, &e.before));
    const test_changes changes = {
        .edit = edit, .user = &e, .eps = m->eps, .norm = m->only_norm ? "rms_norm" : NULL};
    test_copy_model(m->only_norm ? source : converted, path, &changes);
    zm_model_close(&e.before);
    double found = compare(source, path, device, &equal);
    print_message("%-44s %.2e%s\n", m->name, found, m->harmless ? " (harmless)" : "");
    assert_true(equal == m->harmless);
    assert_true(m->harmless ? found <= TOLERANCE : found > TOLERANCE);
    free(path);
}

static void test_mistakes(void **state)
{
    (void)state;
    char *converted = convert(original, "right", ZM_DTYPE_NONE);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        try_mistake(original, converted, &mistakes[i], exact);
    free(converted);
}

static void test_real_model(void **state)
{
    (void)state;
    const char *models = getenv("ZEROMEAN_MODELS_DIR");
    char *source = test_format("%s/" MODEL, models ? models : "");
    if (!models || access(source, F_OK) != 0) {
        print_message("ZEROMEAN_MODELS_DIR has no " MODEL "\n");
        free(source);
        skip();
    }
    char *converted = convert(source, "real", ZM_DTYPE_NONE);
    expect_equal(MODEL ", float32 stored, in float64", source, converted, exact, 1e-6);
    expect_equal(MODEL ", on the default device", source, converted, fast, TOLERANCE);
    char *plain = test_format("%s/real_plain", home);
    test_copy_model(converted, plain, &(test_changes){.norm = ""});
    expect_equal(MODEL ", read as LayerNorm", source, plain, fast, TOLERANCE);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        if (mistakes[i].real)
            try_mistake(source, converted, &mistakes[i], fast);
    free(source);
    free(converted);
    free(plain);
}

int main(void)
{
    print_message("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),    cmocka_unit_test(test_default_type),
        cmocka_unit_test(test_half),     cmocka_unit_test(test_still_layer_norm),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_real_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

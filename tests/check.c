/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of conversions must itself be judged: it has to see what is equal and what is not. */
#include <zeromean/check.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/input.h"
#include "model_files.h"
#include "scratch.h"
#include "support/folder.h"

#define SEED 11u

static scratch_log test_log;

typedef struct pair {
    char *paths[2];
    zm_model *a, *b;
    zm_device *device;
} pair;

static void start(pair *self, const test_whisper *a, const test_whisper *b)
{
    zm_device_params device = {.spec = "host", .log = &test_log.log};
    assert_int_equal(zm_device_open(&device, &self->device), ZM_OK);
    self->paths[0] = test_make_whisper(a);
    self->paths[1] = test_make_whisper(b);
    assert_int_equal(zm_model_open(self->paths[0], &test_log.log, &self->a), ZM_OK);
    assert_int_equal(zm_model_open(self->paths[1], &test_log.log, &self->b), ZM_OK);
}

static void stop(pair *self)
{
    zm_model_close(&self->a);
    zm_model_close(&self->b);
    zm_device_close(&self->device);
    test_folder_remove(self->paths[0]);
    test_folder_remove(self->paths[1]);
}

static zm_check_report *compare(const test_whisper *a, const test_whisper *b,
                                const zm_check_params *more)
{
    pair self;
    zm_check_report *report = NULL;
    start(&self, a, b);
    zm_check_params params = more ? *more : (zm_check_params){0};
    params.a = self.a;
    params.b = self.b;
    params.device_a = self.device;
    params.log = &test_log.log;
    if (zm_check(&params, &report) != ZM_OK)
        fail_msg("%s", test_log.error);
    assert_non_null(report);
    stop(&self);
    return report;
}

static const zm_check_row *row(const zm_check_report *report, const char *what, uint32_t layer)
{
    for (size_t i = 0; i < report->row_count; i++) {
        if (strcmp(report->rows[i].what, what) == 0 && report->rows[i].layer == layer)
            return &report->rows[i];
    }
    fail_msg("no row %s %u", what, layer);
    return NULL;
}

static void test_same_model(void **state)
{
    (void)state;
    test_whisper same = {.seed = SEED};
    zm_check_report *report = compare(&same, &same, NULL);
    assert_true(report->equal);
    assert_true(report->final_relative_l2 == 0);
    assert_int_equal(report->verdict, ZM_VERDICT_F64);
    assert_true(report->tolerance == ZM_CHECK_F32_BUDGET);
    assert_true(report->perplexity_a == 0); /* speech */
    /* the decoder has 12 places, the prompt takes 2; the last token needs none */
    assert_int_equal(report->tokens, TEST_TOKENS - 1);
    assert_int_equal(report->tokens_equal, report->tokens);
    assert_int_equal(report->row_count, 2 * TEST_LAYERS + 4);
    assert_string_equal(report->rows[report->row_count - 2].what, "encoder.output");
    assert_string_equal(report->rows[report->row_count - 1].what, "logits");
    for (size_t i = 0; i < report->row_count; i++) {
        assert_true(report->rows[i].relative_l2 == 0);
        assert_true(report->rows[i].max_abs == 0);
    }
    zm_check_report_destroy(&report);
    assert_null(report);
    zm_check_report_destroy(&report);
}

/* One element of one tensor: the rows before it are equal, those behind it are not. */
static void test_one_weight(void **state)
{
    (void)state;
    test_whisper a = {.seed = SEED}, b = a;
    b.edited = "model.encoder.layers.1.fc2.weight";
    b.edited_index = 77;
    b.edited_value = 0.9;
    zm_check_report *report = compare(&a, &b, NULL);
    assert_false(report->equal);
    assert_true(row(report, "encoder.layer", 0)->relative_l2 == 0);
    assert_true(row(report, "encoder.layer", 1)->relative_l2 > 1e-4);
    assert_true(row(report, "decoder.layer", 0)->relative_l2 > 0);
    assert_true(row(report, "encoder.output", 0)->max_abs > 0);
    assert_true(report->final_relative_l2 >= row(report, "encoder.output", 0)->relative_l2);
    assert_int_equal(report->verdict, ZM_VERDICT_DIFFERENT);
    /* The element is of the output channel that it is multiplied into. */
    assert_int_equal(row(report, "encoder.layer", 1)->channel, 77 / TEST_ENCODER_FF);
    const double most = row(report, "encoder.layer", 1)->channel_rms;
    assert_true(most > 0 && most <= row(report, "encoder.layer", 1)->max_abs);
    assert_true(row(report, "encoder.layer", 0)->channel_rms == 0);
    zm_check_report_destroy(&report);
}

/* What only the decoder sees must be seen too: here in the head but hardly in the main branch. */
static void test_decoder_weight(void **state)
{
    (void)state;
    test_whisper a = {.seed = SEED}, b = a;
    b.edited = "model.decoder.layer_norm.bias";
    b.edited_index = 3;
    b.edited_value = 4;
    zm_check_report *report = compare(&a, &b, NULL);
    assert_false(report->equal);
    assert_true(row(report, "encoder.output", 0)->relative_l2 == 0);
    assert_true(row(report, "decoder.layer", TEST_LAYERS - 1)->relative_l2 < 1);
    assert_true(row(report, "logits", 0)->relative_l2 > 1e-5); /* its means are small */
    assert_true(report->final_relative_l2 >= row(report, "logits", 0)->relative_l2);
    zm_check_report_destroy(&report);
}

static void test_other_eps(void **state)
{
    (void)state;
    test_whisper a = {.seed = SEED}, b = a;
    b.eps = 1e-2;
    zm_check_report *report = compare(&a, &b, NULL);
    assert_false(report->equal);
    assert_true(report->final_relative_l2 > 1e-5);
    zm_check_report_destroy(&report);
}

/* Finite weights that overflow: what is no number is no agreement either. */
static void test_overflow(void **state)
{
    (void)state;
    test_whisper a = {.seed = SEED}, b = a;
    b.edited = "model.decoder.layer_norm.weight";
    b.edited_value = 3e38;
    zm_check_params more = {.tolerance = 1e300};
    zm_check_report *report = compare(&a, &b, &more);
    assert_false(report->equal);
    assert_true(isinf(report->final_relative_l2));
    assert_true(isinf(row(report, "logits", 0)->relative_l2));
    assert_true(isinf(row(report, "logits", 0)->max_abs));
    assert_true(row(report, "decoder.layer", TEST_LAYERS - 1)->relative_l2 == 0);
    zm_check_report_destroy(&report);
}

/* RMSNorm on weights that were not recentred: far from equal. */
static void test_unconverted_rms(void **state)
{
    (void)state;
    test_whisper a = {.seed = SEED}, b = a;
    b.norm = "rms_norm";
    zm_check_report *report = compare(&a, &b, NULL);
    assert_false(report->equal);
    assert_true(report->final_relative_l2 > 0.05);
    /* at the input both are the same up to the mean, which is not compared */
    assert_true(row(report, "encoder.input", 0)->relative_l2 < 1e-6);
    assert_true(row(report, "decoder.input", 0)->relative_l2 < 1e-6);
    zm_check_report_destroy(&report);
}

/* The mean of the main branch is free: adding one value to a whole bias of a writer changes
 * nothing that is read. */
static void test_mean_is_free(void **state)
{
    (void)state;
    test_whisper a = {.seed = SEED, .type = ZM_F64}, b = a;
    zm_device *precise = NULL;
    zm_device_params device = {.spec = "host:f64", .log = &test_log.log};
    assert_int_equal(zm_device_open(&device, &precise), ZM_OK);
    b.moved = "model.encoder.layers.0.self_attn.out_proj.bias";
    b.moved_by = 5;
    pair self;
    zm_check_report *report = NULL;
    start(&self, &a, &b);
    zm_check_params params = {.a = self.a, .b = self.b, .device_a = precise, .log = &test_log.log};
    assert_int_equal(zm_check(&params, &report), ZM_OK);
    assert_true(report->equal);
    assert_true(report->final_relative_l2 > 0);
    assert_true(report->final_relative_l2 < 1e-7); /* logits come as float32 */
    assert_true(row(report, "encoder.layer", 0)->relative_l2 < 1e-12);
    zm_check_report_destroy(&report);
    stop(&self);
    zm_device_close(&precise);
}

static void test_two_devices(void **state)
{
    (void)state;
    test_whisper same = {.seed = SEED, .type = ZM_F16};
    zm_device *opencl = NULL;
    zm_device_params device = {.spec = "opencl", .log = &test_log.log};
    if (zm_device_open(&device, &opencl) != ZM_OK)
        fail_msg("%s", test_log.error);
    zm_check_params more = {.device_b = opencl};
    zm_check_report *report = compare(&same, &same, &more);
    print_message("host against %s, seed %u: %.1e\n", zm_device_get_info(opencl)->name, SEED,
                  report->final_relative_l2);
    assert_true(report->equal);
    assert_string_equal(zm_verdict_name(report->verdict), "float32");
    zm_check_report_destroy(&report);
    zm_device_close(&opencl);
}

static bool count_steps(void *user, const char *stage, uint64_t done, uint64_t total)
{
    uint64_t *steps = user;
    assert_non_null(stage);
    assert_in_range(done, steps[0], steps[0] + 1); /* asked within a step as well */
    assert_true(done <= total);
    steps[0] = done;
    return steps[1] == 0 || done != steps[1];
}

static void test_parameters(void **state)
{
    (void)state;
    test_whisper a = {.seed = SEED}, b = {.seed = SEED + 1};
    uint64_t steps[2] = {0, 0};
    float *mel = test_mel(SEED);
    zm_check_params more = {
        .mel = mel, .tokens = 3, .tolerance = 1e9, .progress = count_steps, .progress_user = steps};
    zm_check_report *report = compare(&a, &b, &more);
    assert_int_equal(report->tokens, 3);
    assert_int_equal(steps[0], 8);
    /* within that tolerance: tokens decide alone */
    assert_int_equal(report->equal, report->tokens_equal == 3);
    assert_int_equal(report->verdict, report->equal ? ZM_VERDICT_TOLERATED : ZM_VERDICT_DIFFERENT);
    zm_check_report_destroy(&report);
    free(mel);
}

/* ---- text ---- */

typedef struct texts {
    zm_model *model, *swapped; /* the one again, as if it had been converted */
    zm_device *device;
} texts;

static texts open_texts(const char *folder)
{
    texts out = {0};
    char *path = test_format("%s/swapped", folder);
    zm_device_params device = {.spec = "host", .log = &test_log.log};
    test_copy_model(TEXT_MODEL, path, &(test_changes){.norm = "rms_norm"});
    assert_int_equal(zm_device_open(&device, &out.device), ZM_OK);
    assert_int_equal(zm_model_open(TEXT_MODEL, &test_log.log, &out.model), ZM_OK);
    assert_int_equal(zm_model_open(path, &test_log.log, &out.swapped), ZM_OK);
    free(path);
    return out;
}

static void close_texts(texts *all)
{
    zm_model_close(&all->model);
    zm_model_close(&all->swapped);
    zm_device_close(&all->device);
}

static void test_text(void **state)
{
    texts all = open_texts(*state);
    enum { LONG = 150 }; /* more than both models read at once */
    int32_t prompt[LONG];
    uint64_t steps[2] = {0, 0};
    zm_check_report *report = NULL;
    for (int i = 0; i < LONG; i++)
        prompt[i] = i * 7 % 1000;
    zm_check_params params = {.a = all.model,
                              .b = all.model,
                              .device_a = all.device,
                              .prompt = prompt,
                              .prompt_count = LONG,
                              .tokens = 2,
                              .log = &test_log.log,
                              .progress = count_steps,
                              .progress_user = steps};
    assert_int_equal(zm_check(&params, &report), ZM_OK);
    assert_true(report->equal && report->final_relative_l2 == 0 && report->top_agreement == 1);
    assert_int_equal(report->tokens_equal, 2);
    assert_int_equal(report->top, 5);
    assert_int_equal(steps[0], 2 * (2 + 1));
    const double perplexity = report->perplexity_a;
    assert_true(perplexity > 1 && report->perplexity_b == perplexity);
    assert_true(report->perplexity_change == 0);
    assert_string_equal(report->rows[0].what, "decoder.input");
    assert_string_equal(report->rows[report->row_count - 1].what, "logits");
    zm_check_report_destroy(&report);

    /* Of the same tokens, so far as they are the same model's. */
    params.b = all.swapped;
    params.progress = NULL;
    assert_int_equal(zm_check(&params, &report), ZM_OK);
    assert_true(report->perplexity_a == perplexity && report->perplexity_b != perplexity);
    assert_true(fabs(exp(report->perplexity_change) * perplexity / report->perplexity_b - 1) <
                1e-9);
    zm_check_report_destroy(&report);

    /* RMSNorm alone: at the input only the mean differs, and then more and more does. */
    params.prompt = NULL;
    assert_int_equal(zm_check(&params, &report), ZM_OK);
    assert_false(report->equal);
    assert_true(report->perplexity_a == 0); /* of made-up tokens nobody has asked */
    const zm_check_row *input = row(report, "decoder.input", 0);
    assert_true(input->relative_l2 < 1e-6);
    assert_true(input->mean_a > 1e-3 && input->mean_b < 1e-8);
    assert_true(fabs(input->rms_a / input->rms_b - 1) < 0.01);
    assert_true(row(report, "logits", 0)->relative_l2 > 1e-5); /* its means are small */
    zm_check_report_destroy(&report);
    close_texts(&all);
}

/* A file that names no bound of positions fits one that does; two bounds have to be the same. */
static void test_positions(void **state)
{
    texts all = open_texts(*state);
    zm_model_info *info = (zm_model_info *)(uintptr_t)zm_model_get_info(all.model);
    const zm_check_params one = {.a = all.model, .b = all.swapped, .log = &test_log.log};
    const zm_check_params other = {.a = all.swapped, .b = all.model, .log = &test_log.log};
    zm_check_input input;
    info->text.positions = 0;
    assert_int_equal(zm_check_input_init(&one, &input), ZM_OK);
    assert_int_equal(input.positions, 256);
    zm_check_input_finish(&input);
    assert_int_equal(zm_check_input_init(&other, &input), ZM_OK);
    assert_int_equal(input.positions, 256);
    zm_check_input_finish(&input);
    info->text.positions = 128;
    assert_int_equal(zm_check_input_init(&one, &input), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_log.error, "positions is 128"));
    close_texts(&all);
}

static void check_refused(const zm_check_params *params, zm_status expected)
{
    zm_check_report *report = NULL;
    assert_int_equal(zm_check(params, &report), expected);
    assert_null(report);
}

static void test_refusals(void **state)
{
    test_whisper a = {.seed = SEED}, b = {.seed = SEED, .info.encoder_ff = 48};
    test_whisper damaged = {
        .seed = SEED, .edited = "model.decoder.layers.0.fc1.weight", .edited_value = NAN};
    pair self;
    start(&self, &a, &b);
    zm_check_params params = {
        .a = self.a, .b = self.b, .device_a = self.device, .log = &test_log.log};
    check_refused(&params, ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_log.error, "encoder_ffn_dim"));
    params.device_a = NULL;
    check_refused(&params, ZM_ERROR_INVALID_ARGUMENT);
    check_refused(NULL, ZM_ERROR_INVALID_ARGUMENT);
    stop(&self);

    texts all = open_texts(*state);
    int32_t prompt[300] = {0};
    start(&self, &a, &damaged);
    params = (zm_check_params){
        .a = all.model, .b = self.a, .device_a = self.device, .log = &test_log.log};
    check_refused(&params, ZM_ERROR_INVALID_ARGUMENT);
    params = (zm_check_params){.a = self.a,
                               .b = self.a,
                               .device_a = self.device,
                               .prompt = prompt,
                               .prompt_count = 1,
                               .log = &test_log.log};
    check_refused(&params, ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_log.error, "read no text"));
    params.a = params.b = all.model;
    params.prompt_count = 300;
    check_refused(&params, ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(test_log.error, "has room for 256 tokens, the input has 300"));
    params.prompt_count = 0;
    check_refused(&params, ZM_ERROR_UNSUPPORTED);
    params.mel = &(float){0};
    check_refused(&params, ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_log.error, "hear no audio"));
    close_texts(&all);

    uint64_t steps[2] = {0, 3};
    params =
        (zm_check_params){.a = self.a, .b = self.b, .device_a = self.device, .log = &test_log.log};
    check_refused(&params, ZM_ERROR_BAD_FORMAT);
    params.b = self.a;
    params.progress = count_steps;
    params.progress_user = steps;
    check_refused(&params, ZM_ERROR_CANCELLED);
    assert_int_equal(steps[0], 3);
    stop(&self);
}

int main(void)
{
    scratch_log_init(&test_log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_model),
        cmocka_unit_test(test_one_weight),
        cmocka_unit_test(test_decoder_weight),
        cmocka_unit_test(test_other_eps),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_unconverted_rms),
        cmocka_unit_test(test_mean_is_free),
        cmocka_unit_test(test_two_devices),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test_setup_teardown(test_text, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_positions, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}

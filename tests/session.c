/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions on every kind of device, against the same function in plain loops. */
#include <zeromean/session.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/half.h"
#include "model_files.h"
#include "naive_whisper.h"
#include "scratch.h"
#include "support/folder.h"
#include "support/patience.h"

#define SEED 4u
#define OUTPUT (TEST_POSITIONS * TEST_D)
#define F32_BUDGET 1e-5
#define F64_BUDGET 1e-12

static const int32_t tokens[] = {91, 94, 17, 5, 63, 99, 0, 42};
#define COUNT 8

static scratch_log test_log;

typedef struct fixture {
    char *path;
    zm_model *model;
    zm_device *device, *more[3]; /* more: behind it in a split */
    uint32_t more_count;
    zm_session *session;
    double output[OUTPUT]; /* the encoder's, as observed */
    uint32_t encoder_layers, decoder_layers, inputs, logits;
} fixture;

static void observe(void *user, const zm_observation *seen)
{
    fixture *self = user;
    if (strcmp(seen->what, "encoder.output") == 0) {
        assert_int_equal(seen->rows, TEST_POSITIONS);
        assert_int_equal(seen->cols, TEST_D);
        memcpy(self->output, seen->data, sizeof(self->output));
    } else if (strcmp(seen->what, "encoder.layer") == 0) {
        assert_int_equal(seen->layer, self->encoder_layers % TEST_LAYERS);
        self->encoder_layers++;
    } else if (strcmp(seen->what, "decoder.layer") == 0) {
        assert_int_equal(seen->layer, self->decoder_layers % TEST_LAYERS);
        self->decoder_layers++;
    } else if (strcmp(seen->what, "logits") == 0) {
        assert_int_equal(seen->cols, TEST_VOCABULARY);
        self->logits++;
    } else {
        assert_true(strcmp(seen->what, "encoder.input") == 0 ||
                    strcmp(seen->what, "decoder.input") == 0);
        self->inputs++;
    }
}

static void open_device(const char *spec, zm_device **device)
{
    zm_device_params params = {.spec = spec, .log = &test_log.log};
    if (zm_device_open(&params, device) != ZM_OK)
        fail_msg("no device %s: %s", spec, test_log.error);
}

/* "A,B": layers are split over both. */
static void open_devices(fixture *self, const char *specs)
{
    char *text = test_format("%s", specs), *rest = NULL;
    open_device(strtok_r(text, ",", &rest), &self->device);
    for (char *next; (next = strtok_r(NULL, ",", &rest));)
        open_device(next, &self->more[self->more_count++]);
    free(text);
}

static zm_status try_session(fixture *self, const test_whisper *params, const char *spec)
{
    self->path = test_make_whisper(params);
    if (zm_model_open(self->path, &test_log.log, &self->model) != ZM_OK)
        fail_msg("%s", test_log.error);
    open_devices(self, spec);
    zm_session_params session = {.log = &test_log.log,
                                 .split = {.more = self->more, .count = self->more_count},
                                 .observe = observe,
                                 .observe_user = self};
    return zm_session_create(self->device, self->model, &session, &self->session);
}

static fixture *start(const test_whisper *params, const char *spec)
{
    fixture *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    if (try_session(self, params, spec) != ZM_OK)
        fail_msg("%s", test_log.error);
    return self;
}

static void stop(fixture *self)
{
    zm_session_destroy(&self->session);
    zm_device_close(&self->device);
    for (uint32_t i = 0; i < self->more_count; i++)
        zm_device_close(&self->more[i]);
    zm_model_close(&self->model);
    test_folder_remove(self->path);
    free(self);
}

static void encode(fixture *self)
{
    float *mel = test_mel(SEED);
    assert_int_equal(zm_session_encode(self->session, mel), ZM_OK);
    free(mel);
}

static void decode(fixture *self, const int32_t *from, uint32_t count, float *logits)
{
    if (zm_session_decode(self->session, from, count, logits) != ZM_OK)
        fail_msg("%s", test_log.error);
}

/* ---- stopping ---- */

/* Stops encode and decode at every place where they ask, and goes on after it. */
static void test_stopping(void **state)
{
    (void)state;
    fixture *self = start(&(test_whisper){.seed = SEED}, "host");
    patience user = {0};
    zm_session *session = NULL;
    zm_session_params params = {.log = &test_log.log, .go_on = still_patient, .go_on_user = &user};
    assert_int_equal(zm_session_create(self->device, self->model, &params, &session), ZM_OK);
    float *mel = test_mel(SEED), logits[TEST_VOCABULARY], expected[TEST_VOCABULARY];
    assert_int_equal(zm_session_encode(session, mel), ZM_OK);
    unsigned encode_asks = user.asked;
    assert_int_equal(zm_session_decode(session, tokens, COUNT, expected), ZM_OK);
    unsigned decode_asks = user.asked - encode_asks;
    assert_true(encode_asks > 6 * TEST_LAYERS && decode_asks > 8 * TEST_LAYERS);
    for (unsigned i = 1; i <= encode_asks; i++) {
        user = (patience){.stop = i};
        assert_int_equal(zm_session_encode(session, mel), ZM_ERROR_CANCELLED);
        assert_int_equal(user.asked, i);
        assert_int_equal(zm_session_decode(session, tokens, 1, logits), ZM_ERROR_INVALID_ARGUMENT);
    }
    user = (patience){0};
    assert_int_equal(zm_session_encode(session, mel), ZM_OK);
    for (unsigned i = 1; i <= decode_asks; i++) {
        user = (patience){.stop = i};
        assert_int_equal(zm_session_decode(session, tokens, COUNT, logits), ZM_ERROR_CANCELLED);
        assert_int_equal(user.asked, i);
    }
    assert_int_equal(zm_session_decode(session, tokens, COUNT, logits), ZM_OK);
    assert_memory_equal(logits, expected, sizeof(logits));
    zm_session_destroy(&session);
    free(mel);
    stop(self);
}

/* ---- the function ---- */

static void check_against_loops(const test_whisper *params, const char *spec, double budget)
{
    fixture *self = start(params, spec);
    float *mel = test_mel(SEED), logits[TEST_VOCABULARY];
    double *output = naive_encode(self->model, mel);
    double *expected = naive_decode(self->model, output, tokens, COUNT);
    encode(self);
    decode(self, tokens, COUNT, logits);
    double encoder_error = relative_l2(output, self->output, OUTPUT);
    double logits_error = relative_l2_f32(expected, logits, TEST_VOCABULARY);
    print_message("%s seed %u: encoder %.1e, logits %.1e\n", zm_device_get_info(self->device)->name,
                  SEED, encoder_error, logits_error);
    assert_true(encoder_error <= budget);
    assert_true(logits_error <= F32_BUDGET); /* float32 in the interface */
    assert_int_equal(self->encoder_layers, TEST_LAYERS);
    assert_int_equal(self->decoder_layers, TEST_LAYERS);
    assert_int_equal(self->inputs, 2);
    assert_int_equal(self->logits, 1);
    free(mel);
    free(output);
    free(expected);
    stop(self);
}

static void check_types(const char *spec, double budget)
{
    const test_whisper cases[] = {
        {.seed = SEED},
        {.seed = SEED, .type = ZM_F16},
        {.seed = SEED, .type = ZM_BF16},
        {.seed = SEED, .type = ZM_F64, .eps = 0.5},
        {.seed = SEED, .norm = "rms_norm"},
        {.seed = SEED, .unaligned = true},
        /* of the three parts of one weight, one is wider than the others */
        {.seed = SEED, .type = ZM_F16, .odd_one = "model.encoder.layers.1.self_attn.v_proj.weight"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_against_loops(&cases[i], spec, budget);
}

static void test_host_is_the_function(void **state)
{
    (void)state;
    check_types("host", F32_BUDGET);
}

static void test_host_f64_is_the_function(void **state)
{
    (void)state;
    check_types("host:f64", F64_BUDGET);
}

static void test_opencl_is_the_function(void **state)
{
    (void)state;
    check_types("opencl", F32_BUDGET);
}

static void test_split_is_the_function(void **state)
{
    (void)state;
    const test_whisper half = {.seed = SEED, .type = ZM_F16, .norm = "rms_norm"};
    check_types("host:f64,host:f64", F64_BUDGET);
    check_against_loops(&half, "opencl,host", F32_BUDGET);
    check_against_loops(&(test_whisper){.seed = SEED}, "host,opencl", F32_BUDGET);
    check_against_loops(&(test_whisper){.seed = SEED}, "host:f64,opencl", F32_BUDGET);
}

/* A prompt and three tokens on these devices. */
static void run_on(const char *spec, float *logits)
{
    fixture *self = start(&(test_whisper){.seed = SEED}, spec);
    encode(self);
    decode(self, tokens, 4, logits);
    for (int i = 4; i < 7; i++)
        decode(self, &tokens[i], 1, logits);
    stop(self);
}

static void test_split_has_the_same_bits(void **state)
{
    (void)state;
    float one[TEST_VOCABULARY], two[TEST_VOCABULARY];
    run_on("host", one);
    run_on("host,host", two);
    assert_memory_equal(one, two, sizeof(one));
    run_on("opencl", one);
    run_on("opencl,opencl", two);
    assert_memory_equal(one, two, sizeof(one));
}

static void check_split(fixture *self, zm_split split, zm_status wanted, const char *reason)
{
    zm_session *session = NULL;
    const zm_session_params params = {.log = &test_log.log, .split = split};
    test_log.error[0] = '\0';
    assert_int_equal(zm_session_create(self->device, self->model, &params, &session), wanted);
    if (!strstr(test_log.error, reason))
        fail_msg("%s", test_log.error);
    zm_session_destroy(&session);
}

static void test_splits_that_make_no_sense(void **state)
{
    (void)state;
    fixture *self = start(&(test_whisper){.seed = SEED}, "host,host");
    open_device("host", &self->more[self->more_count++]);
    zm_device *const twice[] = {self->device}, *const missing[] = {NULL};
    static const uint32_t none[] = {1, 0}, most[] = {1, 1000000};
    const zm_status wrong = ZM_ERROR_INVALID_ARGUMENT;
    check_split(self, (zm_split){.more = twice, .count = 1}, wrong, "twice");
    check_split(self, (zm_split){.more = missing, .count = 1}, wrong, "missing");
    check_split(self, (zm_split){.count = 1}, wrong, "at most 8");
    check_split(self, (zm_split){.more = self->more, .count = 8}, wrong, "at most 8");
    check_split(self, (zm_split){self->more, 1, none}, wrong, "share of 0");
    check_split(self, (zm_split){self->more, 2, NULL}, wrong,
                "the 2 layers of the encoder cannot be split over 3 devices");
    /* Whatever the shares, each has a layer. */
    check_split(self, (zm_split){self->more, 1, most}, ZM_OK, "");
    stop(self);
}

/* ---- what it runs ---- */

/* Without passes there are more operations, whose launches are known after a run. */
static void test_pipelines(void **state)
{
    (void)state;
    fixture *self = start(&(test_whisper){.seed = SEED}, "host");
    zm_session *plain = NULL;
    zm_session_params params = {.log = &test_log.log};
    float logits[TEST_VOCABULARY];
    uint32_t fired = 0;
    params.compile.off[ZM_PASS_EPILOGUE] = true;
    assert_int_equal(zm_session_create(self->device, self->model, &params, &plain), ZM_OK);
    for (int i = 0; i < 2; i++) {
        zm_part part = i ? ZM_PART_DECODER : ZM_PART_ENCODER;
        const zm_executable_info
            with = zm_pipeline_get_info(zm_session_pipeline(self->session, part)).work,
            without = zm_pipeline_get_info(zm_session_pipeline(plain, part)).work;
        fired += with.fired[ZM_PASS_EPILOGUE];
        assert_int_equal(without.fired[ZM_PASS_EPILOGUE], 0);
        assert_true(without.operations >= with.operations);
        assert_int_equal(with.launches, 0);
        assert_non_null(zm_pipeline_stage(zm_session_pipeline(plain, part), 0, NULL));
    }
    assert_int_equal(fired, (2 + 3) * TEST_LAYERS);
    encode(self);
    decode(self, tokens, 1, logits);
    const zm_executable_info work =
        zm_pipeline_get_info(zm_session_pipeline(self->session, ZM_PART_DECODER)).work;
    assert_int_equal(work.launches, work.operations);
    assert_null(zm_session_pipeline(self->session, (zm_part)2));
    assert_null(zm_session_pipeline(NULL, ZM_PART_ENCODER));
    zm_session_destroy(&plain);
    stop(self);
}

/* ---- norms ---- */

/* All norms are deferred but the encoder's last one, which observers see and every layer of the
 * decoder reads, and where it is one with a sum, the first. A launch for statistics is left of what
 * no product has written, or of which one row is read: both first norms and the decoder's last. */
static void check_deferred(const char *spec, const char *norm, uint32_t wanted)
{
    fixture *self = start(&(test_whisper){.seed = SEED, .norm = norm}, spec);
    zm_session_params params = {.log = &test_log.log, .records = 512};
    float *mel = test_mel(SEED), logits[TEST_VOCABULARY];
    uint32_t norms = 0, statistics = 0;
    zm_records records;
    zm_session_destroy(&self->session);
    assert_int_equal(zm_session_create(self->device, self->model, &params, &self->session), ZM_OK);
    assert_int_equal(zm_session_encode(self->session, mel), ZM_OK);
    decode(self, tokens, COUNT, logits);
    assert_int_equal(zm_session_take_records(self->session, 0, &records), ZM_OK);
    assert_int_equal(records.lost, 0);
    for (size_t i = 0; i < records.count; i++) {
        norms += strstr(records.records[i].op, "_norm") != NULL;
        statistics += strcmp(records.records[i].op, "row_statistics") == 0;
    }
    assert_int_equal(norms, wanted);
    assert_int_equal(norms + statistics, 4);
    free(mel);
    stop(self);
}

static void test_norms_are_deferred(void **state)
{
    (void)state;
    check_deferred("host", NULL, 2);
    check_deferred("opencl", "rms_norm", 1);
}

/* ---- the cache ---- */

static void check_cached(const char *spec)
{
    test_whisper params = {.seed = SEED};
    fixture *self = start(&params, spec);
    float whole[TEST_VOCABULARY], single[TEST_VOCABULARY], again[TEST_VOCABULARY];
    double expected[TEST_VOCABULARY];
    encode(self);
    decode(self, tokens, COUNT, whole);
    for (size_t i = 0; i < TEST_VOCABULARY; i++)
        expected[i] = whole[i];

    encode(self); /* begins anew */
    for (uint32_t i = 0; i < COUNT; i++)
        decode(self, &tokens[i], 1, single);
    assert_true(relative_l2_f32(expected, single, TEST_VOCABULARY) <= F32_BUDGET);

    encode(self);
    decode(self, tokens, 3, again);
    decode(self, tokens + 3, COUNT - 3, again);
    assert_true(relative_l2_f32(expected, again, TEST_VOCABULARY) <= F32_BUDGET);

    /* other tokens in between leave no trace */
    assert_int_equal(zm_session_rewind(self->session, 0, COUNT - 1), ZM_OK);
    decode(self, tokens, 3, again);
    assert_true(relative_l2_f32(expected, again, TEST_VOCABULARY) > 1e-3);
    assert_int_equal(zm_session_rewind(self->session, 0, COUNT - 1), ZM_OK);
    decode(self, &tokens[COUNT - 1], 1, again);
    assert_true(relative_l2_f32(expected, again, TEST_VOCABULARY) <= F32_BUDGET);

    assert_int_equal(zm_session_rewind(self->session, 0, 0), ZM_OK);
    decode(self, tokens, COUNT, again);
    assert_memory_equal(whole, again, sizeof(whole)); /* same input, same bits */
    stop(self);
}

static void test_cached_decoding(void **state)
{
    (void)state;
    check_cached("host");
    check_cached("host:f64");
    check_cached("opencl");
    check_cached("opencl,host");
}

/* ---- refusals ---- */

static void test_limits(void **state)
{
    (void)state;
    test_whisper params = {.seed = SEED};
    fixture *self = start(&params, "host");
    zm_session *session = self->session;
    float logits[TEST_VOCABULARY], first[TEST_VOCABULARY];
    int32_t many[TEST_TOKENS + 1] = {91};
    int32_t outside[] = {91, TEST_VOCABULARY}, negative[] = {-1};

    assert_int_equal(zm_session_decode(session, tokens, 1, logits), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_log.error, "encoded"));
    encode(self);
    assert_int_equal(zm_session_decode(session, outside, 2, logits), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_log.error, "100"));
    assert_int_equal(zm_session_decode(session, negative, 1, logits), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_session_decode(session, tokens, 0, logits), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_session_decode(session, many, TEST_TOKENS + 1, logits), ZM_ERROR_LIMIT);
    assert_int_equal(zm_session_decode(session, many, UINT32_MAX, logits), ZM_ERROR_LIMIT);
    assert_int_equal(zm_session_rewind(session, 0, 1), ZM_ERROR_INVALID_ARGUMENT);

    /* none of these has changed the session, and the last place can be used */
    decode(self, many, TEST_TOKENS, first);
    assert_int_equal(zm_session_decode(session, many, 1, logits), ZM_ERROR_LIMIT);
    assert_int_equal(zm_session_rewind(session, 0, TEST_TOKENS - 1), ZM_OK);
    decode(self, &many[TEST_TOKENS - 1], 1, logits);
    for (size_t i = 0; i < TEST_VOCABULARY; i++)
        assert_true(fabsf(first[i] - logits[i]) <= 1e-4f);

    assert_int_equal(zm_session_encode(session, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_session_encode(NULL, logits), ZM_ERROR_INVALID_ARGUMENT);
    zm_session *none = NULL;
    assert_int_equal(zm_session_create(NULL, self->model, NULL, &none), ZM_ERROR_INVALID_ARGUMENT);
    const zm_session_params two = {.log = &test_log.log, .sequences = 2};
    assert_int_equal(zm_session_create(self->device, self->model, &two, &none),
                     ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(test_log.error, "2 sequences; a model of speech has one"));
    assert_null(none);
    zm_session_destroy(&none);
    zm_session_destroy(NULL);
    stop(self);
}

/* A device that fails leaves a session that can be used again. */
static void test_failing_device(void **state)
{
    (void)state;
    test_whisper params = {.seed = SEED};
    fixture *self = start(&params, "host");
    float *mel = test_mel(SEED), before[TEST_VOCABULARY], after[TEST_VOCABULARY];
    encode(self);
    decode(self, tokens, 3, before);

    assert_int_equal(zm_device_force_kernel(self->device, "attention", "cpu"), ZM_OK);
    assert_int_not_equal(zm_session_decode(self->session, &tokens[3], 1, after), ZM_OK);
    assert_int_equal(zm_device_force_kernel(self->device, "attention", NULL), ZM_OK);
    assert_int_equal(zm_session_rewind(self->session, 0, 4), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_session_rewind(self->session, 0, 2), ZM_OK);
    decode(self, &tokens[2], 1, after);
    assert_true(fabsf(before[0] - after[0]) <= 1e-4f);

    assert_int_equal(zm_device_force_kernel(self->device, "conv1d", "cpu"), ZM_OK);
    assert_int_not_equal(zm_session_encode(self->session, mel), ZM_OK);
    assert_int_equal(zm_device_force_kernel(self->device, "conv1d", NULL), ZM_OK);
    assert_int_equal(zm_session_decode(self->session, tokens, 1, after), ZM_ERROR_INVALID_ARGUMENT);
    encode(self);
    decode(self, tokens, 3, after);
    assert_memory_equal(before, after, sizeof(before));
    free(mel);
    stop(self);
}

/* ---- life ---- */

static void check_life(const char *spec, int cycles)
{
    test_whisper params = {.seed = SEED};
    char *path = test_make_whisper(&params);
    zm_device *device = NULL;
    open_device(spec, &device);
    float *mel = test_mel(SEED), first[TEST_VOCABULARY], logits[TEST_VOCABULARY];
    for (int i = 0; i < cycles; i++) {
        zm_model *model = NULL;
        zm_session *session = NULL;
        assert_int_equal(zm_model_open(path, &test_log.log, &model), ZM_OK);
        assert_int_equal(zm_session_create(device, model, NULL, &session), ZM_OK);
        zm_model_close(&model); /* the session has what it needs */
        assert_int_equal(zm_session_encode(session, mel), ZM_OK);
        if (i % 2 == 0) { /* the others are destroyed while they encode */
            assert_int_equal(zm_session_decode(session, tokens, COUNT, logits), ZM_OK);
            memcpy(i == 0 ? first : logits, logits, sizeof(logits));
            assert_memory_equal(first, logits, sizeof(logits));
        }
        zm_session_destroy(&session);
        assert_null(session);
    }
    free(mel);
    zm_device_close(&device);
    test_folder_remove(path);
}

static void test_life(void **state)
{
    (void)state;
    check_life("host", 50);
    check_life("opencl", 50);
}

int main(void)
{
    scratch_log_init(&test_log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_host_is_the_function),
        cmocka_unit_test(test_host_f64_is_the_function),
        cmocka_unit_test(test_opencl_is_the_function),
        cmocka_unit_test(test_split_is_the_function),
        cmocka_unit_test(test_split_has_the_same_bits),
        cmocka_unit_test(test_splits_that_make_no_sense),
        cmocka_unit_test(test_pipelines),
        cmocka_unit_test(test_norms_are_deferred),
        cmocka_unit_test(test_cached_decoding),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_failing_device),
        cmocka_unit_test(test_life),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions do with the weights of a model file. */
#include <zeromean/convert.h>
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
#include "device/device.h"
#include "model_files.h"
#include "scratch.h"
#include "session/fold.h"
#include "support/folder.h"

#define SEED 4u

static scratch_log test_log;

typedef struct fixture {
    char *path;
    zm_model *model;
    zm_device *device;
    zm_session *session;
} fixture;

static void start(fixture *self, const test_whisper *params, const char *spec)
{
    const zm_device_params device = {.spec = spec, .log = &test_log.log};
    *self = (fixture){.path = test_make_whisper(params)};
    if (zm_model_open(self->path, &test_log.log, &self->model) != ZM_OK ||
        zm_device_open(&device, &self->device) != ZM_OK)
        fail_msg("%s", test_log.error);
    test_log.error[0] = '\0';
}

/* params NULL = a log and nothing more */
static zm_status load(fixture *self, const zm_session_params *params)
{
    const zm_session_params plain = {.log = &test_log.log};
    zm_session_destroy(&self->session);
    return zm_session_create(self->device, self->model, params ? params : &plain, &self->session);
}

static void stop(fixture *self)
{
    zm_session_destroy(&self->session);
    zm_device_close(&self->device);
    zm_model_close(&self->model);
    test_folder_remove(self->path);
}

/* ---- norms ---- */

/* Whatever is left over where sums are taken side by side, and in pieces. */
static void check_fold(zm_dtype type, uint64_t k)
{
    enum { ROWS = 3, MOST = 1100 };
    static double w[ROWS * MOST], gamma[MOST], beta[MOST];
    static unsigned char stored[ROWS * MOST * sizeof(double)];
    double bias[ROWS + 2] = {1, 2, 3, 4, 5}, sums[ROWS + 2] = {1, 2, 3, 4, 5};
    for (uint64_t i = 0; i < ROWS * k; i++)
        w[i] = (double)((i * 7 + i / k) % 31) - 15; /* exact in all types, as are the sums */
    for (uint64_t i = 0; i < k; i++) {
        gamma[i] = (double)(i % 13) - 5;
        beta[i] = (double)(i % 11) * 0.5;
    }
    zm_convert_reals(stored, type, w, ZM_F64, ROWS * k);
    const zm_norm_fold fold = {gamma, beta, bias, sums, k % 2 == 1};
    zm_norm_fold_rows(&fold, 1, stored, type, ROWS, k);
    for (uint64_t row = 0; row < ROWS + 2; row++) {
        double wanted_bias = (double)row + 1, wanted_sum = wanted_bias;
        for (uint64_t i = 0; row >= 1 && row <= ROWS && i < k; i++) {
            wanted_bias += w[(row - 1) * k + i] * beta[i];
            wanted_sum += fold.layer ? w[(row - 1) * k + i] * gamma[i] : 0;
        }
        assert_true(bias[row] == wanted_bias);
        assert_true(sums[row] == wanted_sum);
    }
}

static void test_fold(void **state)
{
    (void)state;
    const zm_dtype types[] = {ZM_F16, ZM_BF16, ZM_F32, ZM_F64};
    const uint64_t sizes[] = {1, 7, 8, 9, 16, 511, 512, 513, 1031};
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            check_fold(types[t], sizes[i]);
}

/* ---- weights in place ---- */

static uint64_t in_place_bytes;

static void note_in_place(void *user, zm_log_level level, const char *message)
{
    const char *place = strstr(message, " bytes of weights are used in place");
    (void)user;
    (void)level;
    if (!place)
        return;
    while (place[-1] >= '0' && place[-1] <= '9')
        place--;
    in_place_bytes = strtoull(place, NULL, 10);
}

static bool is_mapped(const char *path)
{
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps))
        found |= strstr(line, path) != NULL;
    fclose(maps);
    return found;
}

/* The file stays as long as the session reads it, and no longer. */
static void check_in_place(const test_whisper *params, const char *spec, uint64_t wanted)
{
    const zm_log log = {.write = note_in_place, .level = ZM_LOG_INFO};
    const zm_session_params session = {.log = &log};
    fixture self;
    start(&self, params, spec);
    in_place_bytes = 0;
    assert_int_equal(load(&self, &session), ZM_OK);
    assert_int_equal(in_place_bytes, wanted);
    zm_model_close(&self.model);
    assert_int_equal(is_mapped(self.path), wanted > 0);
    zm_session_destroy(&self.session);
    assert_false(is_mapped(self.path));
    stop(&self);
}

static void test_weights_in_place(void **state)
{
    enum {
        POSITIONS = TEST_POSITIONS + TEST_TOKENS,
        /* all but what is stacked: query, key and value, and keys and values of the encoder */
        ENCODER = TEST_D + 2 * TEST_ENCODER_FF,
        DECODER = 3 * TEST_D + 2 * TEST_DECODER_FF,
        ALL = TEST_D * (POSITIONS + TEST_VOCABULARY + TEST_LAYERS * (ENCODER + DECODER))
    };
    (void)state;
    check_in_place(&(test_whisper){.seed = SEED}, "host", ALL * sizeof(float));
    check_in_place(&(test_whisper){.seed = SEED, .type = ZM_F64}, "host:f64", ALL * sizeof(double));
    check_in_place(&(test_whisper){.seed = SEED, .type = ZM_F16}, "host", 0);
    check_in_place(&(test_whisper){.seed = SEED, .unaligned = true}, "host", 0);
    /* Its products want panels. */
    check_in_place(&(test_whisper){.seed = SEED}, "opencl", TEST_D * POSITIONS * sizeof(float));
}

/* ---- weights in parts ---- */

static void set_limit(fixture *self, uint64_t bytes)
{
    self->device->info.limits.max_buffer_bytes = bytes;
}

/* Logits of one token after the other. */
static void decode(fixture *self, const int32_t *tokens, uint32_t count, float *logits)
{
    float *mel = test_mel(SEED);
    const uint32_t vocabulary = zm_session_get_info(self->session).vocabulary;
    assert_int_equal(zm_session_encode(self->session, mel), ZM_OK);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(
            zm_session_decode(self->session, &tokens[i], 1, logits + (size_t)i * vocabulary),
            ZM_OK);
    free(mel);
}

/* The table, which is the head as well, is in three parts: the same bits. */
static void check_parts(const char *spec, zm_dtype type, uint64_t limit)
{
    enum { TOKENS = 4, VOCABULARY = 300 };
    static const int32_t tokens[TOKENS] = {0, 127, 128, VOCABULARY - 1};
    static float whole[TOKENS * VOCABULARY], parts[TOKENS * VOCABULARY];
    fixture self;
    start(&self, &(test_whisper){.seed = SEED, .type = type, .info.vocabulary = VOCABULARY}, spec);
    assert_int_equal(load(&self, NULL), ZM_OK);
    decode(&self, tokens, TOKENS, whole);
    set_limit(&self, limit);
    if (load(&self, NULL) != ZM_OK)
        fail_msg("%s", test_log.error);
    decode(&self, tokens, TOKENS, parts);
    assert_memory_equal(whole, parts, sizeof(whole));
    stop(&self);
}

static void test_weights_in_parts(void **state)
{
    (void)state;
    check_parts("host", ZM_F32, 128 * TEST_D * sizeof(float)); /* else in place */
    check_parts("host:f64", ZM_F16, 128 * TEST_D * sizeof(double));
}

/* What is too large and can't be cut is refused by name: a table of less rows than those of a part,
 * and the weight of a convolution. */
static void check_too_large(const char *spec, zm_dtype type, const char *name, uint64_t size)
{
    fixture self;
    start(&self, &(test_whisper){.seed = SEED, .type = type}, spec);
    char *reason = test_format("%s takes %llu bytes on %s, whose buffers have at most %llu, and "
                               "can't be cut",
                               name, (unsigned long long)size, self.device->info.spec,
                               (unsigned long long)size - 1);
    set_limit(&self, size - 1);
    assert_int_equal(load(&self, NULL), ZM_ERROR_LIMIT);
    if (!strstr(test_log.error, reason))
        fail_msg("%s", test_log.error);
    set_limit(&self, size);
    assert_int_equal(load(&self, NULL), ZM_OK);
    free(reason);
    stop(&self);
}

static void test_too_large_weights(void **state)
{
    const char *table = "model.decoder.embed_tokens.weight", *conv = "model.encoder.conv2.weight";
    (void)state;
    check_too_large("host", ZM_F32, table, sizeof(float) * TEST_VOCABULARY * TEST_D);
    check_too_large("host:f64", ZM_F16, table, sizeof(double) * TEST_VOCABULARY * TEST_D);
    check_too_large("opencl", ZM_F32, conv, sizeof(float) * TEST_D * 3 * TEST_D);
}

/* ---- conversion at load ---- */

/* The same bits as of the file that zm_convert writes, and not those of the original. */
static void check_norm(const char *spec, zm_dtype type)
{
    enum { TOKENS = 4 };
    static const int32_t tokens[TOKENS] = {0, 91, 17, TEST_VOCABULARY - 1};
    static float plain[TOKENS * TEST_VOCABULARY], at_load[TOKENS * TEST_VOCABULARY];
    static float from_file[TOKENS * TEST_VOCABULARY];
    const zm_session_params params = {.log = &test_log.log, .norm = ZM_NORM_RMS};
    fixture self;
    start(&self, &(test_whisper){.seed = SEED, .type = type}, spec);
    assert_int_equal(load(&self, NULL), ZM_OK);
    assert_int_equal(zm_session_get_info(self.session).norm, ZM_NORM_LAYER);
    decode(&self, tokens, TOKENS, plain);
    assert_int_equal(load(&self, &params), ZM_OK);
    assert_int_equal(zm_session_get_info(self.session).norm, ZM_NORM_RMS);
    decode(&self, tokens, TOKENS, at_load);
    char *folder = test_folder_make(), *path = test_format("%s/converted", folder);
    const zm_convert_params convert = {.input = self.path, .output = path, .log = &test_log.log};
    assert_int_equal(zm_convert(&convert, NULL), ZM_OK);
    zm_model_close(&self.model);
    assert_int_equal(zm_model_open(path, &test_log.log, &self.model), ZM_OK);
    assert_int_equal(load(&self, &params), ZM_OK); /* has it: nothing is done twice */
    decode(&self, tokens, TOKENS, from_file);
    assert_memory_equal(at_load, from_file, sizeof(at_load));
    if (type != ZM_F64) /* whose differences are below those of the logits' float32 */
        assert_memory_not_equal(at_load, plain, sizeof(at_load));
    /* There is no way back. */
    const zm_session_params back = {.log = &test_log.log, .norm = ZM_NORM_LAYER};
    assert_int_equal(load(&self, &back), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_log.error, "its norm is rms_norm"));
    free(path);
    test_folder_remove(folder);
    stop(&self);
}

static void test_norm_at_load(void **state)
{
    (void)state;
    check_norm("host", ZM_F32);
    check_norm("host:f64", ZM_F64);
    check_norm("host:f64", ZM_BF16);
    check_norm("host", ZM_F16);
}

/* A non-finite weight anywhere is refused, and the tensor is named. */
static void check_refused(const char *spec, zm_dtype type, const char *name, uint64_t index,
                          double value)
{
    test_whisper params = {
        .seed = SEED, .type = type, .edited = name, .edited_index = index, .edited_value = value};
    fixture self;
    start(&self, &params, spec);
    assert_int_equal(load(&self, NULL), ZM_ERROR_BAD_FORMAT);
    assert_null(self.session);
    assert_non_null(strstr(test_log.error, name));
    stop(&self);
}

static void test_non_finite_weights(void **state)
{
    (void)state;
    check_refused("host", ZM_F32, "model.encoder.conv1.weight", 0, NAN);
    check_refused("host", ZM_F16, "model.encoder.layers.1.fc2.weight", TEST_D * TEST_ENCODER_FF - 1,
                  INFINITY);
    check_refused("host", ZM_BF16, "model.decoder.embed_tokens.weight", 7, -INFINITY);
    check_refused("host", ZM_F64, "model.decoder.layer_norm.bias", TEST_D - 1, 1e300);
    check_refused("host:f64", ZM_F64, "model.encoder.embed_positions.weight", 33, NAN);
    check_refused("opencl", ZM_F16, "model.decoder.layers.0.encoder_attn.k_proj.weight", 5, NAN);
    check_refused("opencl", ZM_F32, "model.decoder.layers.1.encoder_attn.v_proj.bias", 31,
                  INFINITY);
}

typedef struct watch {
    uint64_t calls, last, total, stop_after;
} watch;

static bool count_progress(void *user, const char *stage, uint64_t done, uint64_t total)
{
    watch *self = user;
    assert_non_null(stage);
    assert_true(done >= self->last);
    self->last = done;
    self->total = total;
    self->calls++;
    return self->stop_after == 0 || self->calls < self->stop_after;
}

static void test_progress(void **state)
{
    (void)state;
    watch seen = {0};
    zm_session_params params = {
        .log = &test_log.log, .progress = count_progress, .progress_user = &seen};
    fixture self;
    start(&self, &(test_whisper){.seed = SEED}, "host");
    assert_int_equal(load(&self, &params), ZM_OK);
    assert_int_equal(seen.last, seen.total);
    assert_int_equal(seen.total, zm_model_get_info(self.model)->bytes);

    /* A table that is on two devices counts once. */
    zm_device *other = NULL;
    assert_int_equal(zm_device_open(&(zm_device_params){.spec = "host"}, &other), ZM_OK);
    seen = (watch){0};
    params.split = (zm_split){.more = &other, .count = 1};
    assert_int_equal(load(&self, &params), ZM_OK);
    assert_int_equal(seen.last, seen.total);
    zm_session_destroy(&self.session);
    zm_device_close(&other);
    params.split = (zm_split){0};

    seen = (watch){.stop_after = 9};
    assert_int_equal(load(&self, &params), ZM_ERROR_CANCELLED);
    assert_null(self.session);
    assert_int_equal(seen.calls, 9);
    stop(&self);
}

int main(void)
{
    scratch_log_init(&test_log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_weights_in_place),
        cmocka_unit_test(test_weights_in_parts),
        cmocka_unit_test(test_too_large_weights),
        cmocka_unit_test(test_norm_at_load),
        cmocka_unit_test(test_non_finite_weights),
        cmocka_unit_test(test_progress),
    };
    return cmocka_run_group_tests_name("session_weights", tests, NULL, NULL);
}

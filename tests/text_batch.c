/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences side by side get what each would get alone: logits of the last tokens and of all of
 * them, while the others grow, stand still or begin anew. */
#include <zeromean/generate.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"
#include "scratch.h"
#include "session/kv_cache.h"

enum { SEQUENCES = 3, POSITIONS = 24, LOGITS = 4 };

static const int32_t texts[SEQUENCES][POSITIONS] = {
    {5, 300, 17, 44, 9, 901, 7, 7, 61, 30}, {1000, 2, 3}, {31, 41, 59, 26, 53, 58, 97, 93, 23, 84,
                                                           62, 64, 33, 83, 27, 95, 2,  88, 4,  19}};

static const char *spec;
static zm_device *device;
static zm_model *model;
static zm_session *batch, *single;
static uint32_t vocabulary;
static scratch_log test_log;

static zm_session *open_session(uint32_t sequences, uint32_t logits)
{
    const zm_session_params params = {
        .log = &test_log.log, .positions = POSITIONS, .sequences = sequences, .logits = logits};
    zm_session *session = NULL;
    if (zm_session_create(device, model, &params, &session) != ZM_OK)
        fail_msg("%s", test_log.error);
    return session;
}

static int open_all(void **state)
{
    const zm_device_params params = {.spec = spec, .log = &test_log.log};
    (void)state;
    scratch_log_init(&test_log);
    if (zm_device_open(&params, &device) != ZM_OK ||
        zm_model_open(BIBLE, &test_log.log, &model) != ZM_OK)
        fail_msg("%s", test_log.error);
    batch = open_session(SEQUENCES, LOGITS);
    single = open_session(0, 0);
    const zm_session_info one = zm_session_get_info(single), three = zm_session_get_info(batch);
    vocabulary = one.vocabulary;
    assert_int_equal(one.sequences * 10 + one.logits, 11);
    assert_int_equal(three.sequences * 10 + three.logits, 10 * SEQUENCES + LOGITS);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    zm_session_destroy(&batch);
    zm_session_destroy(&single);
    zm_model_close(&model);
    zm_device_close(&device);
    return 0;
}

static float *room(uint32_t rows)
{
    float *logits = malloc((size_t)rows * vocabulary * sizeof(*logits));
    assert_non_null(logits);
    return logits;
}

/* To the bit on the host device, where a row's sums don't depend on how many rows there are. */
static void assert_alike(const float *got, const float *wanted)
{
    double off = 0, norm = 0;
    for (uint32_t i = 0; i < vocabulary; i++) {
        off += ((double)got[i] - (double)wanted[i]) * ((double)got[i] - (double)wanted[i]);
        norm += (double)wanted[i] * (double)wanted[i];
    }
    if (strcmp(spec, "host") == 0)
        assert_memory_equal(got, wanted, vocabulary * sizeof(*got));
    else if (!(sqrt(off / norm) < 1e-6))
        fail_msg("relative L2 %g", sqrt(off / norm));
}

/* What the first count tokens of a text get alone. */
static void assert_as_alone(const float *got, uint32_t text, uint32_t count)
{
    float *wanted = room(1);
    assert_int_equal(zm_session_rewind(single, 0, 0), ZM_OK);
    assert_int_equal(zm_session_decode(single, texts[text], count, wanted), ZM_OK);
    assert_alike(got, wanted);
    free(wanted);
}

static void begin_all(void)
{
    for (uint32_t s = 0; s < SEQUENCES; s++)
        assert_int_equal(zm_session_rewind(batch, s, 0), ZM_OK);
}

static void test_growing(void **state)
{
    /* Tokens of each sequence in each step, not in the order of the sequences. */
    static const uint32_t order[] = {1, 2, 0},
                          counts[][SEQUENCES] = {{6, 1, 17}, {1, 1, 1}, {1, 0, 2}, {2, 1, 0}};
    uint32_t held[SEQUENCES] = {0};
    float *logits[SEQUENCES];
    (void)state;
    begin_all();
    for (uint32_t s = 0; s < SEQUENCES; s++)
        logits[s] = room(1);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        zm_step steps[SEQUENCES];
        uint32_t used = 0;
        for (uint32_t j = 0; j < SEQUENCES; j++) {
            uint32_t s = order[j];
            if (counts[i][s])
                steps[used++] = (zm_step){.sequence = s,
                                          .tokens = texts[s] + held[s],
                                          .count = counts[i][s],
                                          .logits = logits[s]};
            held[s] += counts[i][s];
        }
        assert_int_equal(zm_session_step(batch, steps, used), ZM_OK);
        for (uint32_t s = 0; s < SEQUENCES; s++)
            if (counts[i][s])
                assert_as_alone(logits[s], s, held[s]);
    }
    for (uint32_t s = 0; s < SEQUENCES; s++)
        free(logits[s]);
}

/* More than a run gives, of two sequences; none of the one in between. Then one begins anew. */
static void test_all_rows(void **state)
{
    float *first = room(7), *third = room(9);
    const zm_step steps[] = {
        {.sequence = 0, .tokens = texts[0], .count = 9, .rows = 7, .logits = first},
        {.sequence = 1, .tokens = texts[1], .count = 3},
        {.sequence = 2, .tokens = texts[2], .count = 9, .rows = 9, .logits = third}};
    (void)state;
    begin_all();
    assert_int_equal(zm_session_step(batch, steps, 3), ZM_OK);
    for (uint32_t i = 0; i < 7; i++)
        assert_as_alone(first + (size_t)i * vocabulary, 0, i + 3);
    for (uint32_t i = 0; i < 9; i++)
        assert_as_alone(third + (size_t)i * vocabulary, 2, i + 1);

    const zm_step again[] = {{.sequence = 0, .tokens = texts[2], .count = 5, .logits = first},
                             {.sequence = 2, .tokens = texts[2] + 4, .count = 5, .logits = third}};
    assert_int_equal(zm_session_rewind(batch, 0, 0), ZM_OK);
    assert_int_equal(zm_session_rewind(batch, 2, 4), ZM_OK);
    assert_int_equal(zm_session_step(batch, again, 2), ZM_OK);
    assert_as_alone(first, 2, 5);
    assert_as_alone(third, 2, 9);
    free(first);
    free(third);
}

/* Texts that end at different times, greedy and drawn, have the tokens that they have alone. */
static void test_texts(void **state)
{
    static const size_t prompts[SEQUENCES] = {9, 1, 17};
    zm_tokenizer *tokenizer = NULL;
    (void)state;
    assert_int_equal(zm_tokenizer_open(BIBLE, &test_log.log, &tokenizer), ZM_OK);
    for (uint64_t seed = 0; seed < 3; seed++) {
        zm_generate_params params[SEQUENCES];
        zm_generation *together[SEQUENCES] = {NULL}, *alone = NULL;
        for (uint32_t i = 0; i < SEQUENCES; i++)
            params[i] = (zm_generate_params){
                .tokens = texts[i],
                .token_count = prompts[i],
                .max_tokens = i == 0 ? 4 : 0,
                .past_end = true,
                .sampling = {.temperature = seed ? 0.9f : 0, .top_k = 40, .seed = seed},
                .log = &test_log.log};
        assert_int_equal(
            zm_generate_batch(batch, tokenizer, params, SEQUENCES, NULL, NULL, together), ZM_OK);
        for (uint32_t i = 0; i < SEQUENCES; i++) {
            assert_int_equal(zm_generate(single, tokenizer, &params[i], NULL, NULL, &alone), ZM_OK);
            assert_int_equal(together[i]->stop, i == 0 ? ZM_STOP_LENGTH : ZM_STOP_CONTEXT);
            assert_int_equal(together[i]->stop, alone->stop);
            assert_int_equal(together[i]->held, alone->held);
            assert_int_equal(together[i]->token_count, alone->token_count);
            assert_memory_equal(together[i]->tokens, alone->tokens,
                                alone->token_count * sizeof(*alone->tokens));
            assert_string_equal(together[i]->text, alone->text);
            zm_generation_destroy(&alone);
            zm_generation_destroy(&together[i]);
        }
        assert_int_equal(zm_generate_batch(single, tokenizer, params, 2, NULL, NULL, together),
                         ZM_ERROR_LIMIT);
        assert_non_null(strstr(test_log.error, "2 texts at once; the session has room for 1"));
    }
    zm_tokenizer_close(&tokenizer);
}

static void assert_refused(zm_step bad, zm_status status, const char *reason)
{
    float *logits = room(1);
    const zm_step steps[] = {{.sequence = 1, .tokens = texts[1], .count = 1, .logits = logits},
                             bad};
    test_log.errors = 0;
    assert_int_equal(zm_session_step(batch, steps, 2), status);
    assert_int_equal(test_log.errors, 1);
    if (!strstr(test_log.error, reason))
        fail_msg("'%s' doesn't say '%s'", test_log.error, reason);
    free(logits);
}

static void test_refusals(void **state)
{
    static const int32_t outside = INT32_MAX, many[POSITIONS + 1];
    const zm_step good = {.sequence = 1, .tokens = texts[1], .count = 3};
    zm_step bad = good;
    zm_session *none = NULL;
    (void)state;
    begin_all();
    assert_refused(bad, ZM_ERROR_INVALID_ARGUMENT, "twice");
    bad.sequence = SEQUENCES;
    assert_refused(bad, ZM_ERROR_INVALID_ARGUMENT, "no sequence 3; the session has 3");
    bad = (zm_step){.sequence = 2, .tokens = texts[2]};
    assert_refused(bad, ZM_ERROR_INVALID_ARGUMENT, "at least one");
    bad.count = 2;
    bad.rows = 3;
    assert_refused(bad, ZM_ERROR_INVALID_ARGUMENT, "as many as");
    bad = (zm_step){.sequence = 2, .count = 1};
    assert_refused(bad, ZM_ERROR_INVALID_ARGUMENT, "needs tokens");
    bad.tokens = &outside;
    assert_refused(bad, ZM_ERROR_INVALID_ARGUMENT, "outside");
    bad = (zm_step){.sequence = 2, .tokens = many, .count = POSITIONS + 1};
    assert_refused(bad, ZM_ERROR_LIMIT, "of sequence 2; there is room for 24");
    assert_int_equal(zm_session_step(batch, &good, 0), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_session_step(batch, NULL, 1), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_session_step(NULL, &good, 1), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_session_rewind(batch, SEQUENCES, 0), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_session_rewind(batch, 1, 1), ZM_ERROR_INVALID_ARGUMENT); /* has nothing */

    zm_session_params params = {.log = &test_log.log, .sequences = ZM_MAX_SEQUENCES + 1};
    assert_int_equal(zm_session_create(device, model, &params, &none), ZM_ERROR_INVALID_ARGUMENT);
    params = (zm_session_params){.log = &test_log.log, .logits = 513};
    assert_int_equal(zm_session_create(device, model, &params, &none), ZM_ERROR_INVALID_ARGUMENT);
}

/* ---- a device with small buffers ---- */

enum { LONG = 150, ROOM = 200, ASKED = 80, WANTED = 70 };
/* The table is as large as that. Of keys it holds two sequences, of what is in an MLP 128 tokens,
 * and of logits 64 rows. */
#define LEAST_BUFFER (1024 * 128 * 2)

/* The last WANTED logits of a long text beside two short ones, and the next ones of each. */
static float *long_run(void)
{
    const zm_session_params params = {
        .log = &test_log.log, .positions = ROOM, .sequences = SEQUENCES, .logits = ASKED};
    zm_session *session = NULL;
    int32_t tokens[LONG];
    float *logits = room(WANTED + 2 + SEQUENCES);
    for (int i = 0; i < LONG; i++)
        tokens[i] = (i * 37 + 11) % 1024;
    const zm_step steps[] = {{0, 10, texts[0], 1, logits},
                             {1, LONG, tokens, WANTED, logits + vocabulary},
                             {2, 20, texts[2], 1, logits + (WANTED + 1) * vocabulary}};
    zm_step next[SEQUENCES];
    if (zm_session_create(device, model, &params, &session) != ZM_OK ||
        zm_session_step(session, steps, SEQUENCES) != ZM_OK)
        fail_msg("%s", test_log.error);
    for (uint32_t s = 0; s < SEQUENCES; s++)
        next[s] = (zm_step){s, 1, &texts[1][s], 1, logits + (WANTED + 2 + s) * vocabulary};
    assert_int_equal(zm_session_step(session, next, SEQUENCES), ZM_OK);
    uint64_t most = device->info.limits.max_buffer_bytes / (vocabulary * sizeof(float));
    assert_int_equal(zm_session_get_info(session).logits, most < ASKED ? most : ASKED);
    zm_session_destroy(&session);
    return logits;
}

static void test_small_buffers(void **state)
{
    uint64_t *most = &device->info.limits.max_buffer_bytes, there = *most;
    (void)state;
    float *wanted = long_run();
    *most = LEAST_BUFFER;
    test_log.warnings = 0;
    float *got = long_run();
    assert_int_equal(test_log.warnings, 0);
    for (uint32_t i = 0; i < WANTED + 2 + SEQUENCES; i++)
        assert_alike(got + i * vocabulary, wanted + i * vocabulary);
    *most = there;
    free(wanted);
    free(got);
}

/* As few parts as do, of about the same size, and none where one sequence is too large. */
static void test_cache_parts(void **state)
{
    uint64_t *most = &device->info.limits.max_buffer_bytes, there = *most;
    zm_storage storage;
    zm_stream *stream = NULL;
    zm_kv_cache cache;
    (void)state;
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    zm_storage_init(&storage, device, &test_log.log);
    assert_int_equal(zm_kv_cache_create(&storage, stream, 2, 32, 64, 5, &cache), ZM_OK);
    assert_int_equal(cache.k.buffer->part_bytes, 0);
    const uint64_t one = cache.layout.elements * sizeof(float);
    *most = 4 * one;
    assert_int_equal(zm_kv_cache_create(&storage, stream, 2, 32, 64, 5, &cache), ZM_OK);
    assert_int_equal(cache.k.buffer->part_bytes, 3 * one);
    assert_int_equal(cache.v.buffer->part_bytes, 3 * one);
    *most = one - 1;
    assert_int_equal(zm_kv_cache_create(&storage, stream, 2, 32, 64, 5, &cache), ZM_ERROR_LIMIT);
    assert_non_null(strstr(test_log.error, "keys of one sequence take 16384 bytes"));
    *most = there;
    zm_stream_destroy(&stream);
    zm_storage_finish(&storage);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growing),       cmocka_unit_test(test_all_rows),
        cmocka_unit_test(test_texts),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_small_buffers), cmocka_unit_test(test_cache_parts),
    };
    spec = argc > 1 ? argv[1] : "host";
    return cmocka_run_group_tests_name("text_batch", tests, open_all, close_all);
}

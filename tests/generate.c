/* SPDX-License-Identifier: Apache-2.0 */
/* Text from a model that says what a script wants: streams, stop strings, ends, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generate/run.h"
#include "scratch.h"

/* Bytes are tokens, so the words below cost none; 256 ends a text, 257 is special, 258 is "stop",
 * 259 has no token in the tokenizer. */
enum { END = 256, SPECIAL, STOP, NONE, VOCABULARY, POSITIONS = 2000 };

static zm_tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    char json[16384] =
        "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{";
    size_t used = strlen(json);
    int other = 256;
    if (scratch_setup(state) != 0)
        return -1;
    for (int i = 0; i < 256; i++) {
        const bool printable = (i >= 33 && i < 127) || (i >= 161 && i < 173) || i >= 174;
        used += (size_t)sprintf(json + used, "\"\\u%04x\":%d,", printable ? i : other++, i);
    }
    sprintf(json + used,
            "\"stop\":258}},\"added_tokens\":[{\"id\":256,\"content\":\"<|endoftext|>\","
            "\"special\":true},{\"id\":257,\"content\":\"<x>\",\"special\":true}]}");
    const char *path = scratch_path(state, "tokenizer.json");
    scratch_write(path, json, strlen(json));
    scratch_log seen;
    scratch_log_init(&seen);
    if (zm_tokenizer_open(path, &seen.log, &tokenizer) != ZM_OK)
        fail_msg("%s", seen.error);
    return scratch_teardown(state);
}

static int close_tokenizer(void **state)
{
    (void)state;
    zm_tokenizer_close(&tokenizer);
    return 0;
}

typedef struct script {
    int32_t said[64]; /* behind the prompt; END follows */
    size_t said_count, prompt;
    int32_t seen[POSITIONS]; /* what the decoder holds */
    size_t held, largest, calls;
    uint32_t rows;   /* of logits in a step */
    size_t fail_at;  /* this call fails ... */
    zm_status error; /* ... so */
    float poison;
    /* the caller */
    char text[512];
    size_t size, pieces, cancel_at;
    uint64_t progress, total;
    bool stop_progress;
} script;

static void decode(script *s, const zm_step *step)
{
    const uint32_t rows = step->rows ? step->rows : 1;
    assert_true(s->held + step->count <= POSITIONS && rows <= step->count);
    memcpy(s->seen + s->held, step->tokens, step->count * sizeof(*step->tokens));
    s->held += step->count;
    s->largest = step->count > s->largest ? step->count : s->largest;
    for (uint32_t row = 0; row < rows; row++) {
        float *logits = step->logits + row * VOCABULARY;
        const size_t held = s->held - rows + 1 + row, at = held - s->prompt;
        for (int i = 0; i < VOCABULARY; i++)
            logits[i] = 0;
        if (held >= s->prompt)
            logits[at < s->said_count ? s->said[at] : END] = 5;
        logits[3] += s->poison;
    }
}

/* Scripts lie side by side, one for each sequence. */
static zm_status take_step(void *user, const zm_step *steps, uint32_t count)
{
    script *s = user;
    if (++s->calls == s->fail_at)
        return s->error;
    assert_true(count > 0);
    for (uint32_t i = 0; i < count; i++)
        decode(&s[steps[i].sequence], &steps[i]);
    return ZM_OK;
}

static zm_status rewind_to(void *user, uint32_t sequence, uint32_t position)
{
    script *s = (script *)user + sequence;
    assert_true(position <= s->held);
    s->held = position;
    return ZM_OK;
}

static bool listen(void *user, const char *utf8, size_t size)
{
    script *s = user;
    char *valid = NULL;
    assert_true(size > 0 && s->size + size < sizeof(s->text) && utf8[size] == '\0');
    assert_int_equal(zm_utf8_repair(utf8, size, &valid), ZM_OK);
    assert_string_equal(valid, utf8); /* nothing is cut */
    free(valid);
    memcpy(s->text + s->size, utf8, size + 1);
    s->size += size;
    return ++s->pieces != s->cancel_at;
}

static bool watch(void *user, const char *stage, uint64_t done, uint64_t total)
{
    script *s = user;
    assert_string_equal(stage, "prompt");
    assert_true(done >= s->progress && done <= total);
    s->progress = done;
    s->total = total;
    return !s->stop_progress;
}

static void say(script *s, const char *text)
{
    for (; *text; text++)
        s->said[s->said_count++] = (uint8_t)*text;
}

static zm_status run(script *s, zm_generate_params params, scratch_log *seen, zm_generation **out)
{
    static const int32_t prompt[] = {'A', 'b'};
    const zm_language_model model = {
        take_step, rewind_to, s, {VOCABULARY, POSITIONS, 1, 1, ZM_NORM_LAYER}};
    void *user = s;
    if (!params.tokens) {
        params.tokens = prompt;
        params.token_count = 2;
    }
    s->prompt = params.token_count;
    params.progress = watch;
    params.progress_user = s;
    scratch_log_init(seen);
    params.log = &seen->log;
    return zm_generate_with(&model, tokenizer, &params, 1, listen, &user, out);
}

/* Text, stop, how many tokens; what was told is the text. */
static void assert_says(script *s, zm_generate_params params, const char *text, zm_stop stop,
                        size_t tokens)
{
    scratch_log seen;
    zm_generation *result = NULL;
    if (run(s, params, &seen, &result) != ZM_OK)
        fail_msg("%s", seen.error);
    assert_string_equal(result->text, text);
    assert_int_equal(result->text_size, strlen(text));
    assert_string_equal(s->text, text);
    assert_string_equal(zm_stop_name(result->stop), zm_stop_name(stop));
    assert_int_equal(result->token_count, tokens);
    assert_memory_equal(result->tokens, s->said, tokens * sizeof(int32_t));
    assert_int_equal(result->held, s->held);
    assert_int_equal(result->decoded_tokens + result->prompt_tokens + params.held, s->held);
    zm_generation_destroy(&result);
    assert_null(result);
}

static void test_text(void **state)
{
    (void)state;
    script s = {0};
    say(&s, " hello");
    assert_says(&s, (zm_generate_params){0}, " hello", ZM_STOP_END, 6);
    assert_int_equal(s.pieces, 6);
    assert_int_equal(s.progress, 2);
    assert_int_equal(s.held, 8); /* all but the end */
    script n = {0};
    say(&n, " hello");
    assert_says(&n, (zm_generate_params){.max_tokens = 3}, " he", ZM_STOP_LENGTH, 3);
    assert_int_equal(n.held, 4); /* the last one was not decoded */
    script nothing = {0};
    assert_says(&nothing, (zm_generate_params){0}, "", ZM_STOP_END, 0);
}

static void test_past_end(void **state)
{
    (void)state;
    script s = {.said = {'a', END, SPECIAL, NONE, 'b'}, .said_count = 5};
    assert_says(&s, (zm_generate_params){.past_end = true, .max_tokens = 5}, "ab", ZM_STOP_LENGTH,
                5);
}

/* Characters of four bytes, one that never becomes whole, bytes that are none. */
static void test_characters(void **state)
{
    (void)state;
    script s = {0};
    say(&s, "\xF0\x9F\x98\x80\xC3\xA9");
    assert_says(&s, (zm_generate_params){0}, "\xF0\x9F\x98\x80\xC3\xA9", ZM_STOP_END, 6);
    assert_int_equal(s.pieces, 2);
    script cut = {0};
    say(&cut, "a\xF0\x9F\x98");
    assert_says(&cut, (zm_generate_params){0}, "a\xEF\xBF\xBD", ZM_STOP_END, 4);
    script bad = {.said = {0xFF, 'x', 0, 'y'}, .said_count = 4};
    assert_says(&bad, (zm_generate_params){0}, "\xEF\xBF\xBDx\xEF\xBF\xBDy", ZM_STOP_END, 4);
}

static void stops_at(const char *said, const char *text, zm_stop stop, size_t tokens, const char *a,
                     const char *b)
{
    const char *stops[] = {a, b};
    script s = {0};
    say(&s, said);
    assert_says(&s, (zm_generate_params){.stops = stops, .stop_count = b ? 2 : 1}, text, stop,
                tokens);
}

static void test_stop_strings(void **state)
{
    (void)state;
    stops_at("one\ntwo", "one", ZM_STOP_STRING, 4, "\n", NULL);
    stops_at("xaabaac!", "x", ZM_STOP_STRING, 7, "aabaac", NULL);
    stops_at("aaaab", "aa", ZM_STOP_STRING, 5, "aab", NULL); /* begins anew inside */
    stops_at("ends in aab", "ends in aab", ZM_STOP_END, 11, "aabc", NULL);
    stops_at("abcd", "a", ZM_STOP_STRING, 4, "abcX", "bc"); /* held for the longer one */
    stops_at("abc", "a", ZM_STOP_END, 3, "abcX", "bc");     /* ... to the very end */
    stops_at("abcd", "", ZM_STOP_STRING, 2, "abX", "ab");   /* whole beats beginning */
    stops_at("abcX", "", ZM_STOP_STRING, 4, "bcX", "abcX"); /* what begins first */
    stops_at("a\xC3\xA9z", "a", ZM_STOP_STRING, 3, "\xC3\xA9", NULL);
    stops_at("a\xC3\xA8z", "a\xC3\xA8z", ZM_STOP_END, 4, "\xC3\xA9", NULL);
    script s = {.said = {'a', STOP, 'b'}, .said_count = 3}; /* inside of one token */
    const char *stops[] = {"to"};
    assert_says(&s, (zm_generate_params){.stops = stops, .stop_count = 1}, "as", ZM_STOP_STRING, 2);
}

static void test_long_prompt(void **state)
{
    (void)state;
    static int32_t prompt[POSITIONS];
    scratch_log seen;
    zm_generation *result = NULL;
    for (int i = 0; i < POSITIONS; i++)
        prompt[i] = i % 100;
    script s = {0};
    say(&s, "ok");
    zm_generate_params params = {.tokens = prompt, .token_count = 1100};
    assert_says(&s, params, "ok", ZM_STOP_END, 2);
    assert_int_equal(s.largest, ZM_PROMPT_CHUNK);
    assert_int_equal(s.calls, 3 + 2);
    assert_memory_equal(s.seen, prompt, 1100 * sizeof(int32_t));
    /* Goes on from what is held. */
    s = (script){.held = 1050};
    params.held = 1000;
    say(&s, "ok");
    assert_says(&s, params, "ok", ZM_STOP_END, 2);
    assert_memory_equal(s.seen + 1000, prompt + 1000, 100 * sizeof(int32_t));
    assert_int_equal(s.total, 100);
    /* The context ends. */
    s = (script){0};
    say(&s, "abcdef");
    params = (zm_generate_params){.tokens = prompt, .token_count = POSITIONS - 3};
    assert_says(&s, params, "abc", ZM_STOP_CONTEXT, 3);
    s = (script){0};
    params.token_count = POSITIONS;
    assert_int_equal(run(&s, params, &seen, &result), ZM_ERROR_LIMIT);
    assert_non_null(strstr(seen.error, "has 2000 tokens"));
    assert_int_equal(s.calls, 0);
    assert_null(result);
}

static void test_cancel(void **state)
{
    (void)state;
    scratch_log seen;
    zm_generation *result = NULL;
    script s = {.cancel_at = 2};
    say(&s, "abc");
    assert_int_equal(run(&s, (zm_generate_params){0}, &seen, &result), ZM_ERROR_CANCELLED);
    assert_string_equal(result->text, "ab");
    assert_int_equal(result->stop, ZM_STOP_CANCELLED);
    assert_int_equal(result->token_count, 2);
    assert_int_equal(result->held, s.held);
    zm_generation_destroy(&result);
    /* The session was told to stop. */
    s = (script){.fail_at = 3, .error = ZM_ERROR_CANCELLED};
    say(&s, "abc");
    assert_int_equal(run(&s, (zm_generate_params){0}, &seen, &result), ZM_ERROR_CANCELLED);
    assert_string_equal(result->text, "ab");
    assert_int_equal(result->held, 3);
    zm_generation_destroy(&result);
    s = (script){.stop_progress = true};
    assert_int_equal(run(&s, (zm_generate_params){0}, &seen, &result), ZM_ERROR_CANCELLED);
    assert_int_equal(result->held, 0);
    assert_int_equal(s.calls, 0);
    zm_generation_destroy(&result);
}

static zm_status run_two(script *s, scratch_log *seen, zm_generation **out)
{
    static const int32_t prompts[][3] = {{'A', 'b'}, {'x', 'y', 'z'}};
    const zm_language_model model = {
        take_step, rewind_to, s, {VOCABULARY, POSITIONS, 2, 2, ZM_NORM_LAYER}};
    const zm_generate_params params[] = {
        {.tokens = prompts[0], .token_count = 2, .log = &seen->log},
        {.tokens = prompts[1], .token_count = 3, .log = &seen->log}};
    void *users[] = {&s[0], &s[1]};
    scratch_log_init(seen);
    s[0].prompt = 2;
    s[1].prompt = 3;
    return zm_generate_with(&model, tokenizer, params, 2, listen, users, out);
}

/* One text ends before the other one, whose rest is decoded alone; or is cancelled, which ends
 * both, with what there is of them. */
static void test_batch(void **state)
{
    (void)state;
    for (size_t cancel = 0; cancel < 2; cancel++) {
        script s[2] = {{.cancel_at = 0}, {.cancel_at = cancel ? 4 : 0}};
        scratch_log seen;
        zm_generation *out[2] = {NULL, NULL};
        say(&s[0], "short");
        say(&s[1], "the longer one");
        assert_int_equal(run_two(s, &seen, out), cancel ? ZM_ERROR_CANCELLED : ZM_OK);
        assert_string_equal(out[0]->text, cancel ? "shor" : "short");
        assert_string_equal(out[1]->text, cancel ? "the " : "the longer one");
        assert_int_equal(out[0]->stop, cancel ? ZM_STOP_CANCELLED : ZM_STOP_END);
        assert_int_equal(out[1]->stop, cancel ? ZM_STOP_CANCELLED : ZM_STOP_END);
        assert_string_equal(s[0].text, out[0]->text);
        assert_string_equal(s[1].text, out[1]->text);
        assert_int_equal(out[0]->decoded_tokens, cancel ? 3 : 5);
        assert_int_equal(out[1]->decoded_tokens, cancel ? 3 : 14);
        assert_int_equal(out[1]->prompt_tokens, 3);
        assert_int_equal(s[1].held, out[1]->held);
        assert_int_equal(s[0].calls, cancel ? 4 : 15);
        zm_generation_destroy(&out[0]);
        zm_generation_destroy(&out[1]);
    }
    script s[2] = {{.poison = 0}, {.poison = NAN}};
    scratch_log seen;
    zm_generation *out[2] = {NULL, NULL};
    assert_int_equal(run_two(s, &seen, out), ZM_ERROR_DEVICE);
    assert_true(!out[0] && !out[1]);
}

static void test_failures(void **state)
{
    (void)state;
    const int32_t odd[] = {1, VOCABULARY};
    const char *empty[] = {""};
    const zm_generate_params bad[] = {
        {.tokens = odd, .token_count = 0},
        {.tokens = odd, .token_count = 2},
        {.tokens = odd, .token_count = 1, .held = 1},
        {.stops = empty, .stop_count = 1},
        {.sampling = {.top_p = 2}},
    };
    scratch_log seen;
    zm_generation *result = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        script s = {0};
        assert_int_equal(run(&s, bad[i], &seen, &result), ZM_ERROR_INVALID_ARGUMENT);
        assert_int_equal(seen.errors, 1);
        assert_int_equal(s.calls, 0);
    }
    for (int i = 0; i < 2; i++) {
        script s = {.poison = i ? NAN : INFINITY};
        assert_int_equal(run(&s, (zm_generate_params){0}, &seen, &result), ZM_ERROR_DEVICE);
        assert_non_null(strstr(seen.error, "not finite"));
    }
    script s = {.fail_at = 1, .error = ZM_ERROR_DEVICE};
    assert_int_equal(run(&s, (zm_generate_params){0}, &seen, &result), ZM_ERROR_DEVICE);
    assert_null(result);
    assert_int_equal(zm_generate(NULL, tokenizer, NULL, NULL, NULL, &result),
                     ZM_ERROR_INVALID_ARGUMENT);
}

static zm_status measure(script *s, zm_perplexity_params params, scratch_log *seen,
                         zm_perplexity_result *out)
{
    const zm_language_model model = {
        take_step, rewind_to, s, {VOCABULARY, POSITIONS, 1, s->rows ? s->rows : 1, ZM_NORM_LAYER}};
    scratch_log_init(seen);
    params.log = &seen->log;
    return zm_perplexity_with(&model, &params, out);
}

/* The model is sure of END, by 5, and of nothing else. */
static void check_perplexity(uint32_t rows)
{
    static const int32_t tokens[] = {'a', END, 'b', END, END, 'c', END};
    const double sum = exp(5) + VOCABULARY - 1, end = log(sum) - 5, other = log(sum);
    scratch_log seen;
    zm_perplexity_result result;
    script s = {.rows = rows};
    zm_perplexity_params params = {.tokens = tokens, .token_count = 7};
    assert_int_equal(measure(&s, params, &seen, &result), ZM_OK);
    const double mean = (4 * end + 2 * other) / 6;
    assert_true(fabs(result.mean - mean) < 1e-6 && fabs(result.perplexity / exp(mean) - 1) < 1e-6);
    assert_true(fabs(result.deviation - 5 * sqrt(4.0 * 2 / 6 / 5 / 6)) < 1e-6);
    assert_int_equal(result.token_count, 6);
    assert_int_equal(result.window, 512);
    assert_int_equal(result.window_count, 1);
    assert_int_equal(s.calls, (6 + rows - 1) / rows);
    params.window = 3; /* a END b | END END c | END: the last one is not predicted */
    assert_int_equal(measure(&s, params, &seen, &result), ZM_OK);
    assert_int_equal(result.token_count, 4);
    assert_int_equal(result.window_count, 2);
    assert_true(fabs(result.mean - (2 * end + 2 * other) / 4) < 1e-6);
    assert_int_equal(s.held, 2);
}

static void test_perplexity(void **state)
{
    (void)state;
    for (uint32_t rows = 1; rows <= 6; rows++)
        check_perplexity(rows);
}

static void test_perplexity_failures(void **state)
{
    (void)state;
    static const int32_t tokens[] = {1, 2, VOCABULARY};
    const zm_perplexity_params bad[] = {
        {.tokens = tokens, .token_count = 1},
        {.tokens = tokens, .token_count = 3},
        {.tokens = tokens, .token_count = 2, .window = 1},
        {.tokens = tokens, .token_count = 2, .window = POSITIONS + 1},
        {.token_count = 2},
    };
    scratch_log seen;
    zm_perplexity_result result;
    script s = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(measure(&s, bad[i], &seen, &result), ZM_ERROR_INVALID_ARGUMENT);
        assert_int_equal(seen.errors, 1);
    }
    const zm_perplexity_params good = {.tokens = tokens, .token_count = 2};
    s = (script){.poison = NAN};
    assert_int_equal(measure(&s, good, &seen, &result), ZM_ERROR_DEVICE);
    s = (script){.fail_at = 1, .error = ZM_ERROR_CANCELLED};
    assert_int_equal(measure(&s, good, &seen, &result), ZM_ERROR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),        cmocka_unit_test(test_past_end),
        cmocka_unit_test(test_characters),  cmocka_unit_test(test_stop_strings),
        cmocka_unit_test(test_long_prompt), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_batch),       cmocka_unit_test(test_failures),
        cmocka_unit_test(test_perplexity),  cmocka_unit_test(test_perplexity_failures),
    };
    return cmocka_run_group_tests_name("generate", tests, open_tokenizer, close_tokenizer);
}

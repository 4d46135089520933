/* SPDX-License-Identifier: Apache-2.0 */
/* Transcription from samples to segments, with a model that follows a script and with real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/audio.h>

#include "scratch.h"
#include "scripted_whisper.h"

typedef struct fixture {
    scripted_whisper whisper;
    zm_transcribe_params params;
    float *samples;
    scratch_log log;
    char streamed[4096];
    size_t pieces;
    double last_seconds;
    zm_segment segments[256]; /* as told; texts are copies, tokens are not kept */
    int32_t segment_tokens[256];
    size_t segment_count;
    size_t text_stop, segment_stop, progress_stop; /* cancel at the n-th call; 0 = never */
    size_t progress_calls;
    uint64_t last_done;
} fixture;

static bool hear(void *user, const char *utf8, double seconds)
{
    fixture *f = user;
    size_t used = strlen(f->streamed);
    assert_true(*utf8 != 0);
    assert_int_equal(zm_utf8_whole(utf8, strlen(utf8)), strlen(utf8));
    assert_true(used + strlen(utf8) < sizeof(f->streamed));
    strcpy(f->streamed + used, utf8);
    assert_true(seconds >= f->last_seconds);
    f->last_seconds = seconds;
    return ++f->pieces != f->text_stop;
}

/* Its text has been heard, and no more. */
static bool note_segment(void *user, const zm_segment *segment)
{
    fixture *f = user;
    const size_t heard = strlen(f->streamed), size = strlen(segment->text);
    assert_true(f->segment_count < 256 && segment->token_count > 0);
    assert_true(heard >= size && strcmp(f->streamed + heard - size, segment->text) == 0);
    zm_segment *noted = &f->segments[f->segment_count];
    *noted = *segment;
    noted->text = strdup(segment->text);
    assert_non_null(noted->text);
    f->segment_tokens[f->segment_count++] = segment->tokens[0];
    return f->segment_count != f->segment_stop;
}

static bool watch(void *user, const char *stage, uint64_t done, uint64_t total)
{
    fixture *f = user;
    assert_string_equal(stage, "transcribe");
    assert_int_equal(total, f->params.sample_count);
    assert_true(done >= f->last_done && done <= total);
    f->last_done = done;
    return ++f->progress_calls != f->progress_stop;
}

static void make_fixture(fixture *f, double seconds)
{
    memset(f, 0, sizeof(*f));
    scripted_whisper_init(&f->whisper);
    scratch_log_init(&f->log);
    f->params.sample_count = (size_t)(seconds * ZM_AUDIO_RATE + 0.5);
    f->samples = calloc(f->params.sample_count, sizeof(float));
    assert_non_null(f->samples);
    for (size_t i = 0; i < f->params.sample_count; i++)
        f->samples[i] = (float)((i * 7919 + i / 16000 * 977) % 1009) / 1009 - 0.5f;
    f->params.samples = f->samples;
    f->params.text = hear;
    f->params.segment = note_segment;
    f->params.progress = watch;
    f->params.user = f;
    f->params.log = &f->log.log;
}

static void finish_fixture(fixture *f)
{
    scripted_whisper_finish(&f->whisper);
    for (size_t i = 0; i < f->segment_count; i++)
        free((char *)f->segments[i].text);
    free(f->samples);
}

static zm_status run(fixture *f, zm_transcript **out)
{
    const zm_speech_model model = scripted_whisper_model(&f->whisper);
    return zm_transcribe_with(&model, &f->whisper.info, f->whisper.tokenizer, &f->params, out);
}

#define SAY(f, window, ...)                                                     \
    scripted_whisper_say(&(f)->whisper, window, (const int32_t[]){__VA_ARGS__}, \
                         sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void assert_segments_told(const fixture *f, const zm_transcript *transcript)
{
    assert_int_equal(f->segment_count, transcript->segment_count);
    for (size_t i = 0; i < f->segment_count; i++) {
        const zm_segment *told = &f->segments[i], *segment = &transcript->segments[i];
        assert_string_equal(told->text, segment->text);
        assert_true(told->start == segment->start && told->end == segment->end);
        assert_int_equal(told->token_count, segment->token_count);
        assert_int_equal(f->segment_tokens[i], segment->tokens[0]);
    }
}

static zm_transcript *transcribe(fixture *f)
{
    zm_transcript *transcript = NULL;
    zm_status status = run(f, &transcript);
    if (status != ZM_OK)
        fail_msg("%s: %s", zm_status_name(status), f->log.error);
    assert_int_equal(f->log.errors, 0);
    assert_string_equal(f->streamed, transcript->text);
    assert_segments_told(f, transcript);
    assert_int_equal(f->last_done, f->params.sample_count);
    return transcript;
}

static void assert_asked(const fixture *f, size_t window, const int32_t *tokens, size_t count)
{
    assert_true(f->whisper.asked_count[window] >= count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(f->whisper.asked[window][i], tokens[i]);
}

#define ASSERT_ASKED(f, window, ...)                        \
    assert_asked(f, window, (const int32_t[]){__VA_ARGS__}, \
                 sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void assert_segment(const zm_transcript *transcript, size_t index, double start, double end,
                           const char *text, size_t tokens)
{
    assert_true(index < transcript->segment_count);
    const zm_segment *segment = &transcript->segments[index];
    assert_string_equal(segment->text, text);
    assert_true(fabs(segment->start - start) < 1e-9 && fabs(segment->end - end) < 1e-9);
    assert_int_equal(segment->token_count, tokens);
}

static void test_one_window(void **state)
{
    (void)state;
    fixture f;
    make_fixture(&f, 2.5);
    SAY(&f, 0, SAY_AND, SAY_SO, SAY_STOP);
    zm_transcript *transcript = transcribe(&f);
    ASSERT_ASKED(&f, 0, SAY_START, SAY_EN, SAY_TRANSCRIBE, SAY_NO_TIMESTAMPS, SAY_AND, SAY_SO);
    assert_string_equal(transcript->text, "And so.");
    assert_int_equal(f.pieces, 3);
    assert_int_equal(transcript->token_count, 3);
    assert_int_equal(transcript->tokens[1], SAY_SO);
    assert_int_equal(transcript->segment_count, 1);
    assert_segment(transcript, 0, 0, 2.5, "And so.", 3);
    assert_string_equal(transcript->language, "en");
    assert_true(transcript->audio_seconds == 2.5);
    assert_true(transcript->mel_seconds > 0 && transcript->encode_seconds >= 0);
    assert_int_equal(f.whisper.windows, 1);
    assert_int_equal(f.log.warnings, 0);
    zm_transcript_destroy(&transcript);
    assert_null(transcript);
    zm_transcript_destroy(&transcript);
    zm_transcript_destroy(NULL);
    finish_fixture(&f);
}

static void test_characters_are_streamed_whole(void **state)
{
    (void)state;
    fixture f;
    make_fixture(&f, 1);
    SAY(&f, 0, SAY_AND, SAY_EURO1, SAY_EURO2, SAY_EURO1, SAY_SO, SAY_NUL, SAY_EURO1);
    zm_transcript *transcript = transcribe(&f);
    assert_string_equal(transcript->text, "And\xE2\x82\xAC\xEF\xBF\xBD so\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_string_equal(transcript->segments[0].text, transcript->text);
    assert_int_equal(transcript->token_count, 7);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);
}

static void test_tasks_and_languages(void **state)
{
    (void)state;
    static const struct {
        const char *language;
        bool translate, multilingual;
        zm_status expected;
        const char *code;
        int32_t prompt[2];
    } cases[] = {
        {NULL, false, true, ZM_OK, "en", {SAY_EN, SAY_TRANSCRIBE}},
        {"en", false, true, ZM_OK, "en", {SAY_EN, SAY_TRANSCRIBE}},
        {"de", false, true, ZM_OK, "de", {SAY_DE, SAY_TRANSCRIBE}},
        {"de", true, true, ZM_OK, "de", {SAY_DE, SAY_TRANSLATE}},
        {"auto", false, true, ZM_OK, "de", {SAY_DE, SAY_TRANSCRIBE}},
        {"fr", false, true, ZM_ERROR_NOT_FOUND, "", {0}},
        {"", false, true, ZM_ERROR_NOT_FOUND, "", {0}},
        {"other", false, true, ZM_ERROR_NOT_FOUND, "", {0}}, /* a token, but of no language */
        {"endoftext", false, true, ZM_ERROR_NOT_FOUND, "", {0}},
        {"a language with a long name", false, true, ZM_ERROR_NOT_FOUND, "", {0}},
        {NULL, false, false, ZM_OK, "", {SAY_NO_TIMESTAMPS, SAY_AND}},
        {"en", false, false, ZM_OK, "", {SAY_NO_TIMESTAMPS, SAY_AND}},
        {"auto", false, false, ZM_OK, "", {SAY_NO_TIMESTAMPS, SAY_AND}},
        {"de", false, false, ZM_ERROR_NOT_FOUND, "", {0}},
        {NULL, true, false, ZM_ERROR_UNSUPPORTED, "", {0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture f;
        zm_transcript *transcript = NULL;
        make_fixture(&f, 1);
        f.whisper.language = SAY_DE;
        if (!cases[i].multilingual) {
            f.whisper.info.language_count = 0;
            f.whisper.info.first_language_token = f.whisper.info.transcribe_token =
                f.whisper.info.translate_token = -1;
        }
        SAY(&f, 0, SAY_AND);
        f.params.language = cases[i].language;
        f.params.translate = cases[i].translate;
        zm_status status = run(&f, &transcript);
        if (status != cases[i].expected)
            fail_msg("case %zu: %s", i, zm_status_name(status));
        assert_int_equal(f.log.errors, status == ZM_OK ? 0 : 1);
        if (status == ZM_OK) {
            assert_string_equal(transcript->language, cases[i].code);
            ASSERT_ASKED(&f, 0, SAY_START, cases[i].prompt[0], cases[i].prompt[1]);
        }
        zm_transcript_destroy(&transcript);
        finish_fixture(&f);
    }
}

/* The next window begins at the last pair of timestamps, and reads the samples from there. */
static void test_windows(void **state)
{
    (void)state;
    fixture f;
    make_fixture(&f, 35);
    SAY(&f, 0, SAY_T0, SAY_AND, SAY_T0 + 250, SAY_T0 + 260, SAY_SO, SAY_STOP);
    SAY(&f, 1, SAY_T0 + 10, SAY_SO, SAY_STOP, SAY_T0 + 500);
    zm_transcript *transcript = transcribe(&f);
    ASSERT_ASKED(&f, 0, SAY_START, SAY_EN, SAY_TRANSCRIBE, SAY_T0, SAY_AND);
    assert_int_equal(f.whisper.windows, 2);
    assert_string_equal(transcript->text, "And so.");
    assert_int_equal(transcript->segment_count, 2);
    assert_segment(transcript, 0, 0, 5, "And", 1);
    assert_segment(transcript, 1, 5.2, 15, "so.", 2);
    assert_ptr_equal(transcript->segments[1].tokens, transcript->tokens + 1);
    float *mel = malloc((size_t)ZM_MEL_FRAMES * 80 * sizeof(float));
    assert_non_null(mel);
    assert_int_equal(zm_log_mel(f.samples + 80000, 480000, 80, mel), ZM_OK);
    assert_memory_equal(mel, f.whisper.mel[1], (size_t)ZM_MEL_FRAMES * 80 * sizeof(float));
    free(mel);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);
}

static void test_a_window_of_nothing_is_passed(void **state)
{
    (void)state;
    fixture f;
    make_fixture(&f, 65);
    SAY(&f, 0, SAY_T0, SAY_AND, SAY_T0 + 1450);
    SAY(&f, 2, SAY_T0, SAY_SO, SAY_T0 + 200);
    zm_transcript *transcript = transcribe(&f);
    assert_int_equal(f.whisper.windows, 3);
    assert_int_equal(transcript->segment_count, 2);
    assert_segment(transcript, 0, 0, 29, "And", 1);
    assert_segment(transcript, 1, 60, 64, "so", 1);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);
}

/* The model is not asked about silence, not even for the language. */
static void test_silence(void **state)
{
    (void)state;
    fixture f;
    make_fixture(&f, 70);
    for (size_t i = 0; i < 480000; i++)
        f.samples[i] = i % 2 ? 0.9e-4f : -0.9e-4f;
    f.samples[479999] = 0;
    f.params.language = "auto";
    f.whisper.language = SAY_DE;
    SAY(&f, 0, SAY_T0, SAY_AND, SAY_T0 + 100);
    SAY(&f, 1, SAY_T0, SAY_SO, SAY_T0 + 100);
    zm_transcript *transcript = transcribe(&f);
    assert_int_equal(f.whisper.windows, 2);
    assert_segment(transcript, 0, 30, 32, "And", 1);
    assert_string_equal(transcript->language, "de");
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);

    make_fixture(&f, 3);
    memset(f.samples, 0, f.params.sample_count * sizeof(float));
    f.params.language = "auto";
    transcript = transcribe(&f);
    assert_int_equal(f.whisper.windows, 0);
    assert_string_equal(transcript->text, "");
    assert_string_equal(transcript->language, "");
    assert_int_equal(transcript->segment_count, 0);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);

    make_fixture(&f, 3); /* one sample is enough */
    memset(f.samples, 0, f.params.sample_count * sizeof(float));
    f.samples[f.params.sample_count - 1] = -1.1e-4f;
    SAY(&f, 0, SAY_AND);
    transcript = transcribe(&f);
    assert_string_equal(transcript->text, "And");
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);
}

/* Segments end with the audio, and what is left must be long enough for a word. */
static void test_the_end_of_the_audio(void **state)
{
    (void)state;
    fixture f;
    make_fixture(&f, 3);
    f.params.timestamps = true;
    SAY(&f, 0, SAY_T0, SAY_AND, SAY_T0 + 500);
    zm_transcript *transcript = transcribe(&f);
    assert_segment(transcript, 0, 0, 3, "And", 1);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);

    make_fixture(&f, 5.05);
    f.params.timestamps = true;
    SAY(&f, 0, SAY_T0, SAY_AND, SAY_T0 + 250, SAY_T0 + 250);
    f.params.progress = NULL;
    assert_int_equal(run(&f, &transcript), ZM_OK);
    assert_int_equal(f.whisper.windows, 1);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);

    make_fixture(&f, 5.2);
    f.params.timestamps = true;
    SAY(&f, 0, SAY_T0, SAY_AND, SAY_T0 + 250, SAY_T0 + 250);
    SAY(&f, 1, SAY_T0, SAY_SO);
    transcript = transcribe(&f);
    assert_int_equal(f.whisper.windows, 2);
    assert_segment(transcript, 1, 5, 5.2, "so", 1);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);
}

/* Silence: the model heard no speech and is unsure of its text. One of the two is not enough. */
static void test_windows_without_speech(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        const bool no_speech = i & 1, unsure = i & 2, timestamps = i & 4;
        fixture f;
        make_fixture(&f, 4);
        f.params.timestamps = timestamps;
        SAY(&f, 0, SAY_T0, SAY_AND, SAY_SO, SAY_T0 + 100, SAY_T0 + 100, SAY_SO, SAY_STOP,
            SAY_T0 + 190);
        if (!timestamps)
            SAY(&f, 0, SAY_AND, SAY_SO, SAY_SO, SAY_STOP);
        f.whisper.script[0].no_speech = no_speech;
        f.whisper.script[0].unsure = unsure;
        zm_transcript *transcript = transcribe(&f);
        assert_string_equal(transcript->text, no_speech && unsure ? "" : "And so so.");
        assert_int_equal(transcript->token_count, no_speech && unsure ? 0 : 4);
        assert_int_equal(transcript->segment_count, no_speech && unsure ? 0 : 1 + timestamps);
        assert_int_equal(f.whisper.windows, 1);
        zm_transcript_destroy(&transcript);
        finish_fixture(&f);
    }
}

static void test_loops_and_limits(void **state)
{
    (void)state;
    int32_t tokens[2 * SAY_LIMIT];
    fixture f;
    make_fixture(&f, 2);
    for (size_t i = 0; i < 2 * SAY_LIMIT; i++)
        tokens[i] = i < 3 ? SAY_SO : SAY_AND;
    scripted_whisper_say(&f.whisper, 0, tokens, 2 * SAY_LIMIT);
    zm_transcript *transcript = transcribe(&f);
    assert_int_equal(transcript->token_count, 3 + 24);
    assert_int_equal(f.log.warnings, 1);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);

    make_fixture(&f, 2);
    for (size_t i = 0; i < 2 * SAY_LIMIT; i++)
        tokens[i] = (int32_t)(7 + i * i % 13);
    scripted_whisper_say(&f.whisper, 0, tokens, 2 * SAY_LIMIT);
    transcript = transcribe(&f);
    assert_int_equal(transcript->token_count, SAY_LIMIT);
    assert_int_equal(f.log.warnings, 0);
    zm_transcript_destroy(&transcript);
    finish_fixture(&f);
}

static void test_cancelling(void **state)
{
    (void)state;
    for (size_t i = 1; i <= 9; i++) {
        fixture f;
        zm_transcript *transcript = (zm_transcript *)&f;
        make_fixture(&f, 2);
        SAY(&f, 0, SAY_AND, SAY_SO, SAY_STOP);
        f.text_stop = i <= 3 ? i : 0;
        f.progress_stop = i > 3 && i < 9 ? i - 3 : 0;
        f.segment_stop = i == 9;
        assert_int_equal(run(&f, &transcript), ZM_ERROR_CANCELLED);
        assert_int_equal(f.log.errors, 0);
        assert_ptr_equal(transcript, &f);
        if (i < 9)
            assert_int_equal(i <= 3 ? f.pieces : f.progress_calls, i <= 3 ? i : i - 3);
        finish_fixture(&f);
    }
}

static void test_failures(void **state)
{
    (void)state;
    static const zm_status expected[] = {
        ZM_ERROR_DEVICE,           ZM_ERROR_OUT_OF_MEMORY,    ZM_ERROR_DEVICE,
        ZM_ERROR_BAD_FORMAT,       ZM_ERROR_INVALID_ARGUMENT, ZM_ERROR_INVALID_ARGUMENT,
        ZM_ERROR_INVALID_ARGUMENT, ZM_ERROR_UNSUPPORTED,      ZM_ERROR_UNSUPPORTED,
        ZM_ERROR_UNSUPPORTED,      ZM_ERROR_BAD_FORMAT,       ZM_ERROR_DEVICE,
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        fixture f;
        zm_transcript *transcript = (zm_transcript *)&f;
        make_fixture(&f, 1);
        SAY(&f, 0, SAY_AND, SAY_NONE);
        switch (i) {
        case 0: f.whisper.encode_error = ZM_ERROR_DEVICE; break;
        case 1: f.whisper.decode_error = ZM_ERROR_OUT_OF_MEMORY; break;
        case 2: f.whisper.not_numbers = true; break;
        case 3: break; /* a token that the tokenizer has not */
        case 4: f.samples[999] = NAN; break;
        case 5: f.params.sample_count = 0; break;
        case 6: f.params.samples = NULL; break;
        case 7: f.whisper.info.encoder_positions = 1499; break;
        case 8: f.whisper.info.mel_bins = 81; break;
        case 9: f.whisper.info.decoder_positions = 7; break;
        case 10: f.whisper.info.vocabulary = SAY_VOCABULARY - 1; break;
        case 11:
            f.params.language = "auto";
            f.whisper.not_numbers = true;
            break;
        }
        zm_status status = run(&f, &transcript);
        if (status != expected[i])
            fail_msg("case %zu: %s", i, zm_status_name(status));
        assert_ptr_equal(transcript, &f);
        assert_int_equal(f.log.errors, i < 2 ? 0 : 1); /* the model says its reason itself */
        finish_fixture(&f);
    }
}

/* Whatever a model says, transcription ends and keeps its promises. */
static void test_any_logits(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 24; seed++) {
        fixture f;
        make_fixture(&f, seed % 3 ? 31 + seed : 1 + seed);
        f.whisper.noise = seed;
        f.whisper.info.decoder_positions = 16 + seed;
        /* the token without bytes */
        const int32_t none = SAY_NONE;
        f.whisper.info.suppress = &none;
        f.whisper.info.suppress_count = 1;
        f.params.timestamps = seed % 2;
        zm_transcript *transcript = NULL;
        zm_status status = run(&f, &transcript);
        if (status != ZM_OK)
            fail_msg("seed %u: %s: %s", (unsigned)seed, zm_status_name(status), f.log.error);
        assert_string_equal(f.streamed, transcript->text);
        assert_segments_told(&f, transcript);
        size_t tokens = 0;
        double time = 0;
        for (size_t i = 0; i < transcript->segment_count; i++) {
            const zm_segment *segment = &transcript->segments[i];
            assert_true(segment->start >= time && segment->end >= segment->start);
            assert_true(segment->end <= transcript->audio_seconds && segment->token_count > 0);
            time = segment->start;
            tokens += segment->token_count;
        }
        assert_int_equal(tokens, transcript->token_count);
        zm_transcript_destroy(&transcript);
        finish_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_window),
        cmocka_unit_test(test_characters_are_streamed_whole),
        cmocka_unit_test(test_tasks_and_languages),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_a_window_of_nothing_is_passed),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_the_end_of_the_audio),
        cmocka_unit_test(test_windows_without_speech),
        cmocka_unit_test(test_loops_and_limits),
        cmocka_unit_test(test_cancelling),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_any_logits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

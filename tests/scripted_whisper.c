/* SPDX-License-Identifier: Apache-2.0 */
#include "scripted_whisper.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/audio.h>

#include "scratch.h"
#include "support/random.h"

static const char tokenizer_json[] =
    "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{"
    "\"\\u0120And\":0,\"\\u0120so\":1,\".\":2,\"\\u00e2\\u0124\":3,\"\\u00ac\":4,\"\\u0100\":5,"
    "\"g\":7,\"h\":8,\"i\":9,\"j\":10,\"k\":11,\"l\":12,\"m\":13,\"n\":14,\"o\":15,\"p\":16,"
    "\"q\":17,\"r\":18,\"s\":19}},\"added_tokens\":["
    "{\"id\":20,\"content\":\"<|endoftext|>\",\"special\":true},"
    "{\"id\":21,\"content\":\"<|startoftranscript|>\",\"special\":true},"
    "{\"id\":22,\"content\":\"<|en|>\",\"special\":true},"
    "{\"id\":23,\"content\":\"<|de|>\",\"special\":true},"
    "{\"id\":24,\"content\":\"<|translate|>\",\"special\":true},"
    "{\"id\":25,\"content\":\"<|transcribe|>\",\"special\":true},"
    "{\"id\":26,\"content\":\"<|other|>\",\"special\":true},"
    "{\"id\":28,\"content\":\"<|nospeech|>\",\"special\":true},"
    "{\"id\":29,\"content\":\"<|notimestamps|>\",\"special\":true}]}";

static void open_tokenizer(scripted_whisper *self)
{
    void *folder = NULL;
    assert_int_equal(scratch_setup(&folder), 0);
    const char *path = scratch_path(&folder, "tokenizer.json");
    scratch_write(path, tokenizer_json, strlen(tokenizer_json));
    assert_int_equal(zm_tokenizer_open(path, NULL, &self->tokenizer), ZM_OK);
    scratch_teardown(&folder);
}

void scripted_whisper_init(scripted_whisper *self)
{
    static const int32_t begin_suppress[] = {SAY_END};
    *self = (scripted_whisper){.language = SAY_EN,
                               .info = {.mel_bins = 80,
                                        .encoder_positions = 1500,
                                        .decoder_positions = 2 * SAY_LIMIT,
                                        .vocabulary = SAY_VOCABULARY,
                                        .start_token = SAY_START,
                                        .end_token = SAY_END,
                                        .no_timestamps_token = SAY_NO_TIMESTAMPS,
                                        .first_timestamp_token = SAY_T0,
                                        .transcribe_token = SAY_TRANSCRIBE,
                                        .translate_token = SAY_TRANSLATE,
                                        .first_language_token = SAY_EN,
                                        .language_count = 2,
                                        .begin_suppress = begin_suppress,
                                        .begin_suppress_count = 0}};
    open_tokenizer(self);
}

void scripted_whisper_finish(scripted_whisper *self)
{
    for (size_t i = 0; i < SAY_WINDOWS; i++)
        free(self->mel[i]);
    zm_tokenizer_close(&self->tokenizer);
}

void scripted_whisper_say(scripted_whisper *self, size_t window, const int32_t *tokens,
                          size_t count)
{
    assert_true(window < SAY_WINDOWS && count <= 2 * SAY_LIMIT);
    memcpy(self->script[window].tokens, tokens, count * sizeof(*tokens));
    self->script[window].count = count;
}

static zm_status scripted_encode(void *user, const float *mel)
{
    scripted_whisper *self = user;
    const size_t size = (size_t)ZM_MEL_FRAMES * 80 * sizeof(float);
    if (self->encode_error != ZM_OK)
        return self->encode_error;
    if (self->windows < SAY_WINDOWS) {
        self->mel[self->windows] = malloc(size);
        assert_non_null(self->mel[self->windows]);
        memcpy(self->mel[self->windows], mel, size);
    } else {
        assert_int_not_equal(self->noise, 0);
    }
    self->windows++;
    return ZM_OK;
}

static zm_status scripted_decode(void *user, const int32_t *tokens, uint32_t count, float *logits)
{
    scripted_whisper *self = user;
    if (self->decode_error != ZM_OK)
        return self->decode_error;
    for (uint32_t i = 0; i < SAY_VOCABULARY; i++)
        logits[i] = self->not_numbers ? NAN : -20;
    for (uint32_t i = 0; self->noise && i < SAY_VOCABULARY; i++)
        logits[i] = (float)test_random_between(&self->noise, -10, 10);
    if (self->noise || self->not_numbers)
        return ZM_OK;
    const size_t window = self->windows - 1;
    assert_true(window < SAY_WINDOWS);
    const scripted_window *script = &self->script[window];
    size_t *asked = &self->asked_count[window];
    for (uint32_t i = 0; i < count; i++)
        self->asked[window][(*asked)++] = tokens[i];
    size_t said = 0; /* what came behind the prompt */
    for (size_t i = 0; i < *asked; i++)
        said += self->asked[window][i] < SAY_END || self->asked[window][i] >= SAY_T0;
    if (*asked == 1) {
        logits[self->language] = 0;
        logits[SAY_NO_SPEECH] = script->no_speech ? 15 : -20;
    }
    const int32_t next = said < script->count ? script->tokens[said] : SAY_END;
    /* Unsure between all texts, of which next is a little better. */
    for (int32_t i = 0; script->unsure && next <= SAY_END && i <= SAY_END; i++)
        logits[i] = 9.9f;
    logits[next] = 10;
    return ZM_OK;
}

zm_speech_model scripted_whisper_model(scripted_whisper *self)
{
    return (zm_speech_model){scripted_encode, scripted_decode, self};
}

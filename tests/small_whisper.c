/* SPDX-License-Identifier: Apache-2.0 */
#include "small_whisper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"

static const int32_t suppress[] = {1, 2, 29}, begin_suppress[] = {3, 10};
const test_whisper small_whisper = {
    .seed = SMALL_SEED,
    .type = ZM_F16,
    .info = {.mel_bins = 4,
             .d = SMALL_D,
             .encoder_layers = 1,
             .encoder_heads = 2,
             .encoder_ff = 12,
             .encoder_positions = 6,
             .decoder_layers = 2,
             .decoder_heads = 4,
             .decoder_ff = 12,
             .decoder_positions = 5,
             .vocabulary = SMALL_VOCABULARY,
             .start_token = 11,
             .end_token = 10,
             .no_timestamps_token = 19,
             .transcribe_token = 16,
             .translate_token = 15,
             .first_language_token = 12,
             .language_count = 3,
             .suppress = suppress,
             .suppress_count = 3,
             .begin_suppress = begin_suppress,
             .begin_suppress_count = 2},
};

/* ---- files ---- */

void small_write_changed(void *const *state, const test_changes *changes)
{
    const char *whole = scratch_path(state, "whole");
    test_write_whisper(whole, &small_whisper);
    test_copy_model(whole, *state, changes);
}

void small_write_put(void *const *state, const zm_model_tensor *tensor)
{
    small_write_changed(state, &(test_changes){.put = tensor, .put_count = 1});
}

/* The tensors of the whole model. */
zm_safetensors *small_open_weights(void *const *state)
{
    const char *whole = scratch_path(state, "whole");
    zm_safetensors *file = NULL;
    test_write_whisper(whole, &small_whisper);
    assert_int_equal(zm_safetensors_open(scratch_path(state, "whole/" WEIGHTS), NULL, &file),
                     ZM_OK);
    assert_int_equal(file->tensor_count, SMALL_TENSORS);
    return file;
}

void small_write_configs(void *const *state)
{
    test_write_whisper(*state, &small_whisper);
    assert_int_equal(unlink(scratch_path(state, WEIGHTS)), 0);
}

char *small_read_text(void *const *state, const char *name)
{
    size_t size;
    char *text = test_read_file(*state, name, &size);
    assert_non_null(text);
    return text;
}

/* ---- assertions ---- */

zm_model *assert_opens(const char *path, unsigned warnings)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_model *model = NULL;
    zm_status status = zm_model_open(path, &log.log, &model);
    if (status != ZM_OK)
        print_error("%s\n", log.error);
    assert_int_equal(status, ZM_OK);
    assert_int_equal(log.errors, 0);
    assert_int_equal(log.warnings, warnings);
    return model;
}

void assert_refused(const char *path, zm_status expected, const char *message)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_model *model = NULL;
    zm_status status = zm_model_open(path, &log.log, &model);
    if (status != expected || !strstr(log.error, message))
        print_error("expected '%s', got %s '%s'\n", message, zm_status_name(status), log.error);
    assert_int_equal(status, expected);
    assert_null(model);
    assert_int_equal(log.errors, 1);
    assert_non_null(strstr(log.error, message));
    assert_int_equal(zm_model_open(path, NULL, &model), expected);
}

/* The file with its first `from` replaced by `to` */
void assert_text_refused(void *const *state, const char *name, const char *from, const char *to,
                         zm_status status, const char *message)
{
    char *text = small_read_text(state, name), *place = strstr(text, from);
    assert_non_null(place);
    char *changed = test_format("%.*s%s%s", (int)(place - text), text, to, place + strlen(from));
    test_write_text(*state, name, changed);
    assert_refused(*state, status, message);
    test_write_text(*state, name, text);
    free(changed);
    free(text);
}

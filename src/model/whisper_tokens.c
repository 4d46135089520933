/* SPDX-License-Identifier: Apache-2.0 */
#include "model/whisper_tokens.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/file.h"
#include "format/json.h"

#define MAX_CONFIG_SIZE ((uint64_t)16 << 20)

/* Fields may be in generation_config.json or, in older models, in config.json. */
typedef struct source {
    const char *path; /* of generation_config.json, for messages */
    const json_t *generation;
    const json_t *config;
    uint32_t vocabulary;
    const zm_log *log;
} source;

static const json_t *object_with(const source *s, const char *field)
{
    return json_object_get(s->generation, field) ? s->generation : s->config;
}

static zm_status read_token(const source *s, const json_t *object, const char *field, int32_t *out)
{
    uint32_t token = 0;
    zm_status status = zm_json_u32(object, field, 0, s->vocabulary - 1, s->path, s->log, &token);
    if (status == ZM_OK)
        *out = (int32_t)token;
    return status;
}

static bool token_of(const json_t *value, uint32_t vocabulary, int32_t *out)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number >= (json_int_t)vocabulary)
        return false;
    *out = (int32_t)number;
    return true;
}

/* Missing and null mean an empty list. */
static zm_status read_list(const source *s, const char *field, const int32_t **out, size_t *count)
{
    const json_t *list = json_object_get(object_with(s, field), field);
    if (!list || json_is_null(list))
        return ZM_OK;
    size_t size = json_array_size(list);
    int32_t *tokens = json_is_array(list) ? zm_calloc(size, sizeof(*tokens)) : NULL;
    if (!json_is_array(list))
        return zm_fail(s->log, ZM_ERROR_BAD_FORMAT, "%s: %s is not an array", s->path, field);
    if (!tokens)
        return zm_fail(s->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for %s", s->path, field);
    *out = tokens;
    for (size_t i = 0; i < size; i++)
        if (!token_of(json_array_get(list, i), s->vocabulary, &tokens[i]))
            return zm_fail(s->log, ZM_ERROR_BAD_FORMAT,
                           "%s: %s[%zu] is not a token of the vocabulary (0 to %u)", s->path, field,
                           i, s->vocabulary - 1);
    *count = size;
    return ZM_OK;
}

/* The tokens of the languages are neighbours; which is which, the tokenizer says. */
static zm_status read_languages(const source *s, zm_whisper_info *info)
{
    json_t *map = json_object_get(s->generation, "lang_to_id");
    int32_t first = INT32_MAX, last = -1, token;
    const char *language;
    json_t *value;
    if (!json_is_object(map) || json_object_size(map) == 0)
        return zm_fail(s->log, ZM_ERROR_BAD_FORMAT, "%s: lang_to_id is not an object of languages",
                       s->path);
    json_object_foreach(map, language, value)
    {
        if (!token_of(value, s->vocabulary, &token))
            return zm_fail(s->log, ZM_ERROR_BAD_FORMAT,
                           "%s: lang_to_id has something that is not a token of the vocabulary",
                           s->path);
        first = token < first ? token : first;
        last = token > last ? token : last;
    }
    if ((size_t)(last - first) + 1 != json_object_size(map))
        return zm_fail(s->log, ZM_ERROR_BAD_FORMAT,
                       "%s: the tokens of lang_to_id are not successive numbers", s->path);
    info->first_language_token = first;
    info->language_count = (uint32_t)json_object_size(map);
    return ZM_OK;
}

static zm_status read_tasks(const source *s, zm_whisper_info *info)
{
    const json_t *tasks = json_object_get(s->generation, "task_to_id");
    if (!json_is_object(tasks))
        return zm_fail(s->log, ZM_ERROR_BAD_FORMAT, "%s: task_to_id is not a JSON object", s->path);
    zm_status status = read_token(s, tasks, "transcribe", &info->transcribe_token);
    return status == ZM_OK ? read_token(s, tasks, "translate", &info->translate_token) : status;
}

/* English-only models have neither field, or say that they are not multilingual. */
static zm_status read_multilingual(const source *s, zm_whisper_info *info)
{
    info->transcribe_token = info->translate_token = info->first_language_token = -1;
    if (json_is_false(json_object_get(s->generation, "is_multilingual")) ||
        !json_object_get(s->generation, "lang_to_id"))
        return ZM_OK;
    zm_status status = read_languages(s, info);
    return status == ZM_OK ? read_tasks(s, info) : status;
}

static zm_status read_tokens(const source *s, zm_whisper_info *info)
{
    const struct {
        const char *field;
        int32_t *out;
    } fields[] = {
        {"decoder_start_token_id", &info->start_token},
        {"eos_token_id", &info->end_token},
        {"no_timestamps_token_id", &info->no_timestamps_token},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        zm_status status =
            read_token(s, object_with(s, fields[i].field), fields[i].field, fields[i].out);
        if (status != ZM_OK)
            return status;
    }
    info->first_timestamp_token = info->no_timestamps_token + 1;
    if ((uint32_t)info->first_timestamp_token >= s->vocabulary)
        return zm_fail(s->log, ZM_ERROR_BAD_FORMAT,
                       "%s: no timestamp tokens behind no_timestamps_token_id %d in a vocabulary "
                       "of %u",
                       s->path, info->no_timestamps_token, s->vocabulary);
    zm_status status = read_list(s, "suppress_tokens", &info->suppress, &info->suppress_count);
    if (status == ZM_OK)
        status = read_list(s, "begin_suppress_tokens", &info->begin_suppress,
                           &info->begin_suppress_count);
    return status == ZM_OK ? read_multilingual(s, info) : status;
}

zm_status zm_whisper_tokens_read(const char *directory, const json_t *config, const zm_log *log,
                                 zm_whisper_info *info)
{
    char *path = zm_path_join(directory, "generation_config.json");
    json_t *generation = NULL;
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", directory);
    zm_status status = zm_json_read(path, MAX_CONFIG_SIZE, log, &generation);
    if (status == ZM_OK) {
        source s = {path, generation, config, info->vocabulary, log};
        status = read_tokens(&s, info);
    }
    json_decref(generation);
    free(path);
    return status;
}

void zm_whisper_tokens_free(zm_model_info *info)
{
    zm_whisper_info *w = &info->whisper;
    free((void *)(uintptr_t)w->suppress);
    free((void *)(uintptr_t)w->begin_suppress);
    w->suppress = w->begin_suppress = NULL;
    w->suppress_count = w->begin_suppress_count = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary as the metadata of a GGUF file have it. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/sources.h"

typedef struct reader {
    const zm_model *model;
    const char *path;
    const zm_log *log;
    zm_vocabulary vocabulary;
    uint32_t ids[3]; /* bos, eos, unknown */
    int32_t *types;
    float *scores;
} reader;

static const zm_metadata_value *find(const reader *r, const char *key)
{
    return zm_model_find_value(r->model, key);
}

static zm_status bad(const reader *r, const char *key, const char *what)
{
    return zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: %s is no %s", r->path, key, what);
}

/* NULL where it is not there. */
static zm_status read_text(const reader *r, const char *key, const char **out)
{
    const zm_metadata_value *value = find(r, key);
    zm_text text;
    if (!value)
        return ZM_OK;
    if (value->is_array || !zm_metadata_string(value, 0, &text))
        return bad(r, key, "string");
    *out = text.data;
    return ZM_OK;
}

static zm_status read_texts(const reader *r, const char *key, const zm_text **out, size_t *count)
{
    const zm_metadata_value *value = find(r, key);
    if (!value || value->count == 0)
        return ZM_OK;
    if (!value->is_array || !value->texts)
        return bad(r, key, "array of strings");
    *out = value->texts;
    *count = (size_t)value->count;
    return ZM_OK;
}

static zm_status read_id(reader *r, const char *key, size_t place, const uint32_t **out)
{
    const zm_metadata_value *value = find(r, key);
    int64_t id;
    if (!value)
        return ZM_OK;
    if (value->is_array || !zm_metadata_integer(value, 0, &id) || id < 0 || id > UINT32_MAX)
        return bad(r, key, "token");
    r->ids[place] = (uint32_t)id;
    *out = &r->ids[place];
    return ZM_OK;
}

static zm_status read_switch(const reader *r, const char *key, int *out)
{
    const zm_metadata_value *value = find(r, key);
    bool on;
    if (!value)
        return ZM_OK;
    if (value->is_array || !zm_metadata_bool(value, 0, &on))
        return bad(r, key, "bool");
    *out = on ? 1 : -1;
    return ZM_OK;
}

/* One number for each token. */
static zm_status check_numbers(const reader *r, const char *key, const zm_metadata_value *value)
{
    if (!value->is_array || value->count != r->vocabulary.token_count)
        return bad(r, key, "array with a number for each token");
    return ZM_OK;
}

static zm_status read_types(reader *r)
{
    static const char key[] = "tokenizer.ggml.token_type";
    const zm_metadata_value *value = find(r, key);
    zm_status status = value ? check_numbers(r, key, value) : ZM_OK;
    if (status != ZM_OK || !value)
        return status;
    r->types = zm_calloc(value->count, sizeof(*r->types));
    if (!r->types)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", r->path);
    for (uint64_t i = 0; i < value->count; i++) {
        int64_t type;
        if (!zm_metadata_integer(value, i, &type) || type < 0 || type > INT32_MAX)
            return bad(r, key, "array of types of tokens");
        r->types[i] = (int32_t)type;
    }
    r->vocabulary.types = r->types;
    return ZM_OK;
}

static zm_status read_scores(reader *r)
{
    static const char key[] = "tokenizer.ggml.scores";
    const zm_metadata_value *value = find(r, key);
    zm_status status = value ? check_numbers(r, key, value) : ZM_OK;
    if (status != ZM_OK || !value)
        return status;
    r->scores = zm_calloc(value->count, sizeof(*r->scores));
    if (!r->scores)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", r->path);
    for (uint64_t i = 0; i < value->count; i++) {
        double score;
        if (!zm_metadata_real(value, i, &score))
            return bad(r, key, "array of numbers");
        r->scores[i] = (float)score;
    }
    r->vocabulary.scores = r->scores;
    return ZM_OK;
}

static zm_status read_numbers(reader *r)
{
    zm_vocabulary *v = &r->vocabulary;
    zm_status status = read_types(r);
    if (status == ZM_OK)
        status = read_scores(r);
    if (status == ZM_OK)
        status = read_id(r, "tokenizer.ggml.bos_token_id", 0, &v->bos);
    if (status == ZM_OK)
        status = read_id(r, "tokenizer.ggml.eos_token_id", 1, &v->eos);
    if (status == ZM_OK)
        status = read_id(r, "tokenizer.ggml.unknown_token_id", 2, &v->unknown);
    if (status == ZM_OK)
        status = read_switch(r, "tokenizer.ggml.add_bos_token", &v->add_bos);
    if (status == ZM_OK)
        status = read_switch(r, "tokenizer.ggml.add_eos_token", &v->add_eos);
    if (status == ZM_OK)
        status = read_switch(r, "tokenizer.ggml.add_space_prefix", &v->add_space);
    v->has_character_map = find(r, "tokenizer.ggml.precompiled_charsmap") != NULL;
    return status;
}

static zm_status read_vocabulary(reader *r)
{
    zm_vocabulary *v = &r->vocabulary;
    zm_status status = read_text(r, "tokenizer.ggml.model", &v->model);
    if (status == ZM_OK)
        status = read_text(r, "tokenizer.ggml.pre", &v->pre);
    if (status == ZM_OK)
        status = read_texts(r, "tokenizer.ggml.tokens", &v->tokens, &v->token_count);
    if (status == ZM_OK)
        status = read_texts(r, "tokenizer.ggml.merges", &v->merges, &v->merge_count);
    if (status == ZM_OK && (!v->model || !v->tokens))
        return zm_fail(r->log, ZM_ERROR_NOT_FOUND, "%s: has no tokenizer in its metadata", r->path);
    return status == ZM_OK ? read_numbers(r) : status;
}

static zm_status read_ending(const reader *r, zm_tokenizer *tokenizer)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    const char *text = NULL;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int64_t id;
        if (zm_metadata_integer(find(r, keys[i]), 0, &id))
            zm_ending_add(tokenizer, id);
    }
    zm_status status = read_text(r, "tokenizer.chat_template", &text);
    if (status != ZM_OK || !text)
        return status;
    tokenizer->chat_template = zm_strdup(text);
    return tokenizer->chat_template
               ? ZM_OK
               : zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", r->path);
}

zm_status zm_gguf_tokenizer_read(const zm_model *model, const zm_log *log, zm_tokenizer **out)
{
    const char *path = zm_model_get_info(model)->path;
    zm_tokenizer *tokenizer = NULL;
    reader r = {.model = model, .path = path, .log = log, .vocabulary = {.name = path, .log = log}};
    zm_status status = read_vocabulary(&r);
    if (status == ZM_OK)
        status = zm_tokenizer_create(&r.vocabulary, &tokenizer);
    if (status == ZM_OK)
        status = read_ending(&r, tokenizer);
    if (status == ZM_OK)
        *out = tokenizer;
    else
        zm_tokenizer_close(&tokenizer);
    free(r.types);
    free(r.scores);
    return status;
}

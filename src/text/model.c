/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of a model. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/log.h"
#include "text/tokenizer.h"

/* What zm_vocabulary points at. */
typedef struct parts {
    char *model, *pre; /* NUL-terminated */
    int32_t *types;
    float *scores;
    uint32_t bos, eos, unknown;
} parts;

static const zm_metadata_value *find(const zm_model *model, const char *name)
{
    char key[64] = "tokenizer.ggml.";
    strncat(key, name, sizeof(key) - strlen(key) - 1);
    return zm_model_find_value(model, key);
}

/* *out stays NULL when there is none, or it holds a NUL. */
static zm_status copy_string(const zm_model *model, const char *name, char **out)
{
    zm_text text;
    if (!zm_metadata_string(find(model, name), 0, &text) || memchr(text.data, 0, text.length))
        return ZM_OK;
    *out = zm_calloc(text.length + 1, 1);
    if (!*out)
        return ZM_ERROR_OUT_OF_MEMORY;
    memcpy(*out, text.data, text.length);
    return ZM_OK;
}

/* -1 where it is no type at all, which is refused later. */
static zm_status copy_types(const zm_metadata_value *types, zm_vocabulary *from, parts *p)
{
    if (!types || types->count < from->token_count)
        return ZM_OK;
    from->types = p->types = zm_calloc(from->token_count, sizeof(*p->types));
    if (!p->types)
        return ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < from->token_count; i++) {
        int64_t type = -1;
        zm_metadata_integer(types, i, &type);
        p->types[i] = type >= 0 && type <= ZM_TOKEN_BYTE ? (int32_t)type : -1;
    }
    return ZM_OK;
}

static zm_status copy_scores(const zm_metadata_value *scores, zm_vocabulary *from, parts *p)
{
    if (!scores || scores->count < from->token_count)
        return ZM_OK;
    from->scores = p->scores = zm_calloc(from->token_count, sizeof(*p->scores));
    if (!p->scores)
        return ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < from->token_count; i++) {
        double score = 0;
        zm_metadata_real(scores, i, &score);
        p->scores[i] = (float)score;
    }
    return ZM_OK;
}

static const uint32_t *copy_id(const zm_model *model, const char *name, uint32_t *out)
{
    int64_t id;
    if (!zm_metadata_integer(find(model, name), 0, &id) || id < 0 || id > UINT32_MAX)
        return NULL;
    *out = (uint32_t)id;
    return out;
}

static int choice(const zm_model *model, const char *name)
{
    bool yes;
    return !zm_metadata_bool(find(model, name), 0, &yes) ? 0 : yes ? 1 : -1;
}

static zm_status collect(const zm_model *model, zm_vocabulary *from, parts *p)
{
    const zm_metadata_value *tokens = find(model, "tokens"), *merges = find(model, "merges");
    if (!tokens || !tokens->texts || tokens->count == 0)
        return zm_fail(from->log, ZM_ERROR_BAD_FORMAT, "%s: has no tokenizer.ggml.tokens",
                       from->name);
    from->tokens = tokens->texts;
    from->token_count = (size_t)tokens->count;
    from->merges = merges ? merges->texts : NULL;
    from->merge_count = from->merges ? (size_t)merges->count : 0;
    from->bos = copy_id(model, "bos_token_id", &p->bos);
    from->eos = copy_id(model, "eos_token_id", &p->eos);
    from->unknown = copy_id(model, "unknown_token_id", &p->unknown);
    from->add_bos = choice(model, "add_bos_token");
    from->add_eos = choice(model, "add_eos_token");
    from->add_space = choice(model, "add_space_prefix");
    from->has_character_map = find(model, "precompiled_charsmap") != NULL;
    zm_status status = copy_string(model, "model", &p->model);
    if (status == ZM_OK)
        status = copy_string(model, "pre", &p->pre);
    if (status == ZM_OK)
        status = copy_types(find(model, "token_type"), from, p);
    if (status == ZM_OK)
        status = copy_scores(find(model, "scores"), from, p);
    if (status != ZM_OK)
        return zm_fail(from->log, status, "%s: out of memory", from->name);
    from->model = p->model ? p->model : "";
    from->pre = p->pre;
    return ZM_OK;
}

zm_status zm_tokenizer_open_model(const zm_model *model, const zm_log *log, zm_tokenizer **out)
{
    if (!model || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_tokenizer_open_model: a NULL argument");
    const char *path = zm_model_get_info(model)->path;
    if (zm_path_is_directory(path)) {
        char *json = zm_path_join(path, "tokenizer.json");
        zm_status status = json ? zm_tokenizer_open(json, log, out)
                                : zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", path);
        free(json);
        return status;
    }
    zm_vocabulary from = {.name = path, .log = log};
    parts p = {0};
    zm_status status = collect(model, &from, &p);
    if (status == ZM_OK)
        status = zm_tokenizer_create(&from, out);
    free(p.model);
    free(p.pre);
    free(p.types);
    free(p.scores);
    return status;
}

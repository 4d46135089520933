/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json, the files of Hugging Face's tokenizers. */
#include "text/huggingface.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/sources.h"

enum { FILE_BYTES_MAX = 128 << 20 };

static zm_status read_vocabulary(const zm_token_reader *in, json_t *vocabulary)
{
    const zm_token about = {.in_model = true};
    const char *text;
    json_t *id;
    if (!json_is_object(vocabulary) || json_object_size(vocabulary) == 0)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: no object model.vocab", in->name);
    json_object_foreach(vocabulary, text, id)
    {
        if (!json_is_integer(id))
            return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: token '%.60s' has no integer id",
                           in->name, text);
        zm_status status = zm_token_add(in, json_integer_value(id), text, strlen(text), &about);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

static zm_status read_piece(const zm_token_reader *in, size_t id, const json_t *piece)
{
    const zm_token about = {.in_model = true};
    const json_t *text = json_array_get(piece, 0), *score = json_array_get(piece, 1);
    if (!json_is_string(text) || !json_is_number(score))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: token %zu is not a text with a score",
                       in->name, id);
    in->tokenizer->scores[id] = json_number_value(score);
    return zm_token_add(in, (int64_t)id, json_string_value(text), json_string_length(text), &about);
}

static zm_status read_pieces(const zm_token_reader *in, const json_t *vocabulary)
{
    size_t i;
    json_t *piece;
    if (!json_is_array(vocabulary) || json_array_size(vocabulary) == 0)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: no array model.vocab", in->name);
    in->tokenizer->scores = zm_calloc(json_array_size(vocabulary), sizeof(double));
    if (!in->tokenizer->scores)
        return zm_token_out_of_memory(in);
    json_array_foreach(vocabulary, i, piece)
    {
        zm_status status = read_piece(in, i, piece);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

static zm_status read_added_token(const zm_token_reader *in, const json_t *entry)
{
    const json_t *content = json_object_get(entry, "content");
    const json_t *id = json_object_get(entry, "id");
    const zm_token about = {
        .added = true,
        .special = json_is_true(json_object_get(entry, "special")),
        .left_strip = json_is_true(json_object_get(entry, "lstrip")),
        .right_strip = json_is_true(json_object_get(entry, "rstrip")),
        .single_word = json_is_true(json_object_get(entry, "single_word")),
        .normalized = json_is_true(json_object_get(entry, "normalized")),
    };
    if (!json_is_string(content) || !json_is_integer(id))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT,
                       "%s: an entry of added_tokens without id or content", in->name);
    return zm_token_add(in, json_integer_value(id), json_string_value(content),
                        json_string_length(content), &about);
}

static zm_status read_added_tokens(const zm_token_reader *in, const json_t *added)
{
    size_t i;
    json_t *entry;
    if (added && !json_is_null(added) && !json_is_array(added))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: added_tokens is no array", in->name);
    json_array_foreach(added, i, entry)
    {
        zm_status status = read_added_token(in, entry);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

static zm_status read_merge(const zm_token_reader *in, uint32_t rank, const json_t *merge)
{
    const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
    if (json_is_string(merge))
        return zm_merge_add_line(in, rank, json_string_value(merge), json_string_length(merge));
    if (!json_is_string(left) || !json_is_string(right) || json_array_size(merge) != 2)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: merge %" PRIu32 " is not of two tokens",
                       in->name, rank);
    return zm_merge_add(in, rank, json_string_value(left), json_string_length(left),
                        json_string_value(right), json_string_length(right));
}

static zm_status read_merges(const zm_token_reader *in, const json_t *merges)
{
    size_t i;
    json_t *merge;
    if (merges && !json_is_array(merges))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: model.merges is no array", in->name);
    json_array_foreach(merges, i, merge)
    {
        zm_status status = read_merge(in, (uint32_t)i, merge);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

/* Refuses what is done to words that no family here has. */
static zm_status read_bpe(const zm_token_reader *in, const json_t *model)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    const char *prefix = zm_json_string(model, "continuing_subword_prefix");
    const char *suffix = zm_json_string(model, "end_of_word_suffix");
    if (prefix && prefix[0])
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED,
                       "%s: BPE with a continuing_subword_prefix is not supported", in->name);
    if (suffix && strlen(suffix) >= sizeof(tokenizer->word_end))
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED,
                       "%s: BPE with an end_of_word_suffix of over %zu bytes is not supported",
                       in->name, sizeof(tokenizer->word_end) - 1);
    snprintf(tokenizer->word_end, sizeof(tokenizer->word_end), "%s", suffix ? suffix : "");
    if (json_number_value(json_object_get(model, "dropout")) != 0)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: BPE with dropout is not supported",
                       in->name);
    tokenizer->whole_words = json_is_true(json_object_get(model, "ignore_merges"));
    tokenizer->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    const char *unknown = zm_json_string(model, "unk_token");
    if (unknown)
        tokenizer->unknown = zm_token_find(tokenizer, unknown, strlen(unknown));
    if (unknown && tokenizer->unknown < 0)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: the unk_token '%.40s' is no token",
                       in->name, unknown);
    return read_merges(in, json_object_get(model, "merges"));
}

static zm_status read_unigram(const zm_token_reader *in, const json_t *model)
{
    const json_t *unknown = json_object_get(model, "unk_id");
    const json_int_t id = json_is_integer(unknown) ? json_integer_value(unknown) : -1;
    if (unknown && !json_is_null(unknown) && (id < 0 || id >= in->tokenizer->size))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: its unk_id is no token", in->name);
    in->tokenizer->unknown = (int32_t)id;
    return zm_unigram_finish(in);
}

/* Everything that only encoding needs. */
static zm_status read_encoding(const zm_token_reader *in, const void *source)
{
    const json_t *root = source, *model = json_object_get(root, "model");
    in->tokenizer->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    zm_status status =
        in->tokenizer->model == ZM_TOKEN_MODEL_BPE ? read_bpe(in, model) : read_unigram(in, model);
    if (status == ZM_OK)
        status = zm_huggingface_steps(in, root);
    if (status == ZM_OK)
        status = zm_huggingface_frame(in, root);
    return status == ZM_OK ? zm_added_finish(in) : status;
}

static zm_status read_root(const zm_token_reader *in, const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    json_t *vocabulary = json_object_get(model, "vocab");
    const char *type = zm_json_string(model, "type");
    if (!json_is_object(model))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: no object 'model'", in->name);
    const bool unigram = type && strcmp(type, "Unigram") == 0;
    if (type && !unigram && strcmp(type, "BPE") != 0)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: a tokenizer of the kind '%.40s'",
                       in->name, type);
    in->tokenizer->model = unigram ? ZM_TOKEN_MODEL_UNIGRAM : ZM_TOKEN_MODEL_BPE;
    zm_status status = zm_huggingface_decoder(in, root);
    if (status == ZM_OK)
        status = read_added_tokens(in, json_object_get(root, "added_tokens"));
    if (status == ZM_OK)
        status = unigram ? read_pieces(in, vocabulary) : read_vocabulary(in, vocabulary);
    if (status == ZM_OK)
        status = zm_token_finish(in);
    return status == ZM_OK ? zm_token_read_encoding(in, read_encoding, root) : status;
}

zm_status zm_huggingface_read(const json_t *root, const char *name, const zm_log *log,
                              zm_tokenizer **out)
{
    zm_tokenizer *tokenizer = zm_tokenizer_make();
    const zm_token_reader in = {.tokenizer = tokenizer, .name = name, .log = log};
    zm_status status = tokenizer ? read_root(&in, root) : zm_token_out_of_memory(&in);
    if (status == ZM_OK)
        *out = tokenizer;
    else
        zm_tokenizer_close(&tokenizer);
    return status;
}

zm_status zm_huggingface_open(const char *path, const zm_log *log, zm_tokenizer **out)
{
    json_t *root = NULL;
    zm_status status = zm_json_read(path, FILE_BYTES_MAX, log, &root);
    if (status != ZM_OK)
        return status;
    status = zm_huggingface_read(root, path, log, out);
    json_decref(root);
    return status;
}

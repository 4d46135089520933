/* SPDX-License-Identifier: Apache-2.0 */
/* From tokenizer.json to metadata of GGUF. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "text/exchange.h"
#include "text/huggingface.h"
#include "text/pre_tokenizers.h"
#include "text/sources.h"

#define KEY(name) "tokenizer.ggml." name

enum { CONFIG_BYTES_MAX = 16 << 20, UNUSED_BYTES = 24 };

/* Everything of the vocabulary that points to something. */
typedef struct writer {
    zm_token_reader in;
    const char *directory;
    zm_vocabulary made;
    zm_text *tokens, *merges;
    char *unused;     /* the names of tokens that nobody uses */
    char *merge_text; /* of all merges */
    int32_t *types;
    float *scores;
    uint32_t bos, eos, unknown;
    bool has_bos;
} writer;

static zm_status refuse(const writer *w, const char *what)
{
    return zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED, "%s: GGUF has no way to say %s", w->in.name,
                   what);
}

static zm_status choose_kind(writer *w)
{
    const zm_tokenizer *t = w->in.tokenizer;
    if (t->spelling.byte_alphabet) {
        w->made.model = "gpt2";
        return t->model == ZM_TOKEN_MODEL_BPE ? ZM_OK : refuse(w, "unigram of bytes");
    }
    w->made.model = t->model == ZM_TOKEN_MODEL_BPE ? "llama" : "t5";
    w->made.add_space = -1;
    for (size_t i = 0; i < t->step_count; i++)
        if (t->steps[i].kind == ZM_STEP_PREFIX)
            w->made.add_space = 1;
    return strcmp(t->spelling.space, "\xE2\x96\x81") == 0
               ? ZM_OK
               : refuse(w, "that a space is spelt otherwise than in SentencePiece");
}

/* The name of the steps that are in front of a byte-level BPE. */
static zm_status choose_pre_tokenizer(writer *w)
{
    const zm_pre_tokenizer *pre;
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && (pre = zm_pre_tokenizer_get(i)) != NULL; i++) {
        zm_tokenizer *other = zm_tokenizer_make();
        const zm_token_reader in = {.tokenizer = other, .name = w->in.name, .log = w->in.log};
        status = other ? zm_step_add_simple(&in, ZM_STEP_ADDED) : zm_token_out_of_memory(&w->in);
        if (status == ZM_OK)
            status = zm_pre_tokenizer_steps(&in, pre);
        const bool equal = status == ZM_OK && zm_steps_equal(w->in.tokenizer, other) &&
                           other->whole_words == w->in.tokenizer->whole_words;
        zm_tokenizer_close(&other);
        if (equal) {
            w->made.pre = pre->names[0];
            return ZM_OK;
        }
    }
    return status == ZM_OK ? refuse(w, "its normalizer and pre-tokenizer") : status;
}

static int32_t type_of(const zm_tokenizer *t, uint32_t id)
{
    const zm_token *token = &t->tokens[id];
    const char *text = t->arena.bytes + token->text_offset;
    unsigned byte;
    if (!token->present)
        return ZM_TOKEN_UNUSED;
    if (token->added)
        return !token->special                                           ? ZM_TOKEN_USER_DEFINED
               : !t->spelling.byte_alphabet && (int32_t)id == t->unknown ? ZM_TOKEN_UNKNOWN
                                                                         : ZM_TOKEN_CONTROL;
    if (t->spelling.byte_tokens && token->text_size == 6 && sscanf(text, "<0x%2X>", &byte) == 1 &&
        t->byte_tokens[byte] == (int32_t)id)
        return ZM_TOKEN_BYTE;
    return ZM_TOKEN_NORMAL;
}

static zm_status write_tokens(writer *w, uint32_t vocabulary)
{
    const zm_tokenizer *t = w->in.tokenizer;
    if (t->size > vocabulary)
        return zm_fail(w->in.log, ZM_ERROR_BAD_FORMAT,
                       "%s: has %u tokens, and the model has rows for %u", w->in.name, t->size,
                       vocabulary);
    w->tokens = zm_calloc(vocabulary, sizeof(*w->tokens));
    w->types = zm_calloc(vocabulary, sizeof(*w->types));
    w->unused = zm_calloc(vocabulary, UNUSED_BYTES);
    if (!w->tokens || !w->types || !w->unused)
        return zm_token_out_of_memory(&w->in);
    for (uint32_t id = 0; id < vocabulary; id++) {
        const bool present = id < t->size && t->tokens[id].present;
        char *name = w->unused + (size_t)id * UNUSED_BYTES;
        if (present)
            w->tokens[id] =
                (zm_text){t->arena.bytes + t->tokens[id].text_offset, t->tokens[id].text_size};
        else
            w->tokens[id] = (zm_text){name, (size_t)snprintf(name, UNUSED_BYTES, "[PAD%u]", id)};
        w->types[id] = present ? type_of(t, id) : ZM_TOKEN_UNUSED;
    }
    w->made.tokens = w->tokens;
    w->made.types = w->types;
    w->made.token_count = vocabulary;
    return ZM_OK;
}

/* "left right" */
static zm_status write_merges(writer *w, const zm_merge_pair *pairs, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += w->tokens[pairs[i].left].length + w->tokens[pairs[i].right].length + 1;
    w->merges = zm_calloc(count, sizeof(*w->merges));
    w->merge_text = zm_calloc(size + 1, 1);
    if (!w->merges || !w->merge_text)
        return zm_token_out_of_memory(&w->in);
    char *at = w->merge_text;
    for (size_t i = 0; i < count; i++) {
        const zm_text *left = &w->tokens[pairs[i].left], *right = &w->tokens[pairs[i].right];
        memcpy(at, left->data, left->length);
        at[left->length] = ' ';
        memcpy(at + left->length + 1, right->data, right->length);
        w->merges[i] = (zm_text){at, left->length + 1 + right->length};
        at += w->merges[i].length;
    }
    w->made.merges = w->merges;
    w->made.merge_count = count;
    return ZM_OK;
}

/* SentencePiece's BPE merges what makes the token of the highest score. */
static void score_by_rank(writer *w, const zm_merge_pair *pairs, size_t count)
{
    uint32_t rank = 0;
    for (size_t i = 0; i < w->made.token_count; i++)
        w->scores[i] = -(float)(count + i);
    for (size_t i = 0; i < count; i++) {
        rank += i > 0 && pairs[i].id != pairs[i - 1].id;
        w->scores[pairs[i].id] = -(float)rank;
    }
}

static zm_status write_model(writer *w)
{
    const zm_tokenizer *t = w->in.tokenizer;
    zm_merge_pair *pairs = NULL;
    size_t count = 0;
    zm_status status = zm_merge_list(&w->in, &pairs, &count);
    if (status == ZM_OK && t->spelling.byte_alphabet)
        status = write_merges(w, pairs, count);
    if (status == ZM_OK && !t->spelling.byte_alphabet) {
        w->scores = zm_calloc(w->made.token_count, sizeof(*w->scores));
        if (!w->scores)
            status = zm_token_out_of_memory(&w->in);
        else if (t->model == ZM_TOKEN_MODEL_BPE)
            score_by_rank(w, pairs, count);
        for (uint32_t i = 0; w->scores && t->scores && i < t->size; i++)
            w->scores[i] = t->tokens[i].in_model ? (float)t->scores[i] : 0;
        w->made.scores = w->scores;
    }
    free(pairs);
    return status;
}

/* ---- the tokens around a text, and those that config.json names ---- */

static zm_status read_config(const writer *w, const char *name, json_t **out)
{
    char *path = zm_path_join(w->directory, name);
    if (!path)
        return zm_token_out_of_memory(&w->in);
    zm_status status =
        zm_path_exists(path) ? zm_json_read(path, CONFIG_BYTES_MAX, w->in.log, out) : ZM_OK;
    free(path);
    return status;
}

static bool find_id(const writer *w, const json_t *id, uint32_t *out)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) >= (json_int_t)w->in.tokenizer->size)
        return false;
    *out = (uint32_t)json_integer_value(id);
    return true;
}

/* tokenizer_config.json says it in words, config.json in numbers. */
static zm_status find_bos(writer *w)
{
    json_t *config = NULL;
    zm_status status = read_config(w, "tokenizer_config.json", &config);
    const json_t *bos = json_object_get(config, "bos_token");
    const char *name =
        json_is_object(bos) ? zm_json_string(bos, "content") : json_string_value(bos);
    const int32_t id = name ? zm_tokenizer_find_special(w->in.tokenizer, name) : -1;
    json_decref(config);
    config = NULL;
    w->has_bos = id >= 0;
    w->bos = (uint32_t)id;
    if (status == ZM_OK && !w->has_bos)
        status = read_config(w, "config.json", &config);
    w->has_bos = w->has_bos || find_id(w, json_object_get(config, "bos_token_id"), &w->bos);
    json_decref(config);
    return status;
}

static zm_status write_frame(writer *w)
{
    const zm_tokenizer *t = w->in.tokenizer;
    zm_status status = find_bos(w);
    if (status != ZM_OK)
        return status;
    if (t->before_count > 1 || t->after_count > 1)
        return refuse(w, "that several tokens are in front of or behind each text");
    if (t->before_count == 1)
        w->bos = (uint32_t)t->before[0];
    w->has_bos = w->has_bos || t->before_count == 1;
    w->made.bos = w->has_bos ? &w->bos : NULL;
    w->made.add_bos = t->before_count ? 1 : -1;
    w->eos = (uint32_t)(t->after_count ? t->after[0] : t->end_count ? t->ends[0] : 0);
    w->made.eos = t->after_count + t->end_count ? &w->eos : NULL;
    w->made.add_eos = t->after_count ? 1 : -1;
    w->unknown = (uint32_t)t->unknown;
    w->made.unknown = t->unknown >= 0 ? &w->unknown : NULL;
    return ZM_OK;
}

static zm_status add_ends(const writer *w, zm_metadata_list *out)
{
    static const char *const keys[] = {KEY("eot_token_id"), KEY("eom_token_id")};
    const zm_tokenizer *t = w->in.tokenizer;
    size_t used = 0;
    for (size_t i = 0; i < t->end_count; i++) {
        if ((uint32_t)t->ends[i] == w->eos)
            continue;
        if (used == 2)
            return refuse(w, "that over three tokens end a text");
        zm_metadata_list_u32(out, keys[used++], (uint32_t)t->ends[i]);
    }
    return ZM_OK;
}

static zm_status add_padding(const writer *w, zm_metadata_list *out)
{
    json_t *config = NULL;
    uint32_t id;
    zm_status status = read_config(w, "config.json", &config);
    if (find_id(w, json_object_get(config, "pad_token_id"), &id))
        zm_metadata_list_u32(out, KEY("padding_token_id"), id);
    json_decref(config);
    return status;
}

/* ---- all of it ---- */

static zm_status check(const writer *w)
{
    zm_tokenizer *made = NULL;
    zm_status status = zm_tokenizer_create(&w->made, &made);
    const char *what = status == ZM_OK ? zm_tokenizer_difference(w->in.tokenizer, made) : NULL;
    if (status == ZM_OK && made->refusal)
        status = zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED, "%s", made->refusal);
    else if (what)
        status = zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED, "%s: GGUF can't say the same of %s",
                         w->in.name, what);
    zm_tokenizer_close(&made);
    return status;
}

static zm_status make(writer *w, uint32_t vocabulary)
{
    if (w->in.tokenizer->refusal)
        return zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED, "%s", w->in.tokenizer->refusal);
    zm_status status = choose_kind(w);
    if (status == ZM_OK && w->in.tokenizer->spelling.byte_alphabet)
        status = choose_pre_tokenizer(w);
    if (status == ZM_OK)
        status = write_tokens(w, vocabulary);
    if (status == ZM_OK)
        status = write_model(w);
    if (status == ZM_OK)
        status = write_frame(w);
    return status == ZM_OK ? check(w) : status;
}

static zm_status add_all(const writer *w, zm_metadata_list *out)
{
    const zm_vocabulary *v = &w->made;
    zm_metadata_list_string(out, KEY("model"), v->model);
    /* Files of SentencePiece have a name there as well, and it says nothing. */
    zm_metadata_list_string(out, KEY("pre"), v->pre ? v->pre : "default");
    zm_metadata_list_texts(out, KEY("tokens"), v->tokens, v->token_count);
    zm_metadata_list_numbers(out, KEY("token_type"), ZM_METADATA_I32, v->types, v->token_count);
    if (v->scores)
        zm_metadata_list_numbers(out, KEY("scores"), ZM_METADATA_F32, v->scores, v->token_count);
    else
        zm_metadata_list_texts(out, KEY("merges"), v->merges, v->merge_count);
    if (v->bos)
        zm_metadata_list_u32(out, KEY("bos_token_id"), *v->bos);
    if (v->eos)
        zm_metadata_list_u32(out, KEY("eos_token_id"), *v->eos);
    if (v->unknown)
        zm_metadata_list_u32(out, KEY("unknown_token_id"), *v->unknown);
    zm_metadata_list_bool(out, KEY("add_bos_token"), v->add_bos > 0);
    zm_metadata_list_bool(out, KEY("add_eos_token"), v->add_eos > 0);
    if (v->scores)
        zm_metadata_list_bool(out, KEY("add_space_prefix"), v->add_space > 0);
    if (w->in.tokenizer->chat_template)
        zm_metadata_list_string(out, "tokenizer.chat_template", w->in.tokenizer->chat_template);
    zm_status status = add_ends(w, out);
    if (status == ZM_OK)
        status = add_padding(w, out);
    return status == ZM_OK && out->failed ? zm_token_out_of_memory(&w->in) : status;
}

zm_status zm_tokenizer_to_gguf(const char *directory, uint32_t vocabulary, const zm_log *log,
                               zm_metadata_list *out)
{
    zm_tokenizer *tokenizer = NULL;
    char *path = zm_path_join(directory, "tokenizer.json");
    writer w = {.in = {.name = path, .log = log}, .directory = directory};
    zm_status status = path ? zm_huggingface_open(path, log, &tokenizer)
                            : zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", directory);
    if (status == ZM_OK)
        status = zm_ending_read_directory(tokenizer, directory, log);
    w.in.tokenizer = tokenizer;
    w.made.name = path;
    w.made.log = log;
    if (status == ZM_OK)
        status = make(&w, vocabulary);
    if (status == ZM_OK)
        status = add_all(&w, out);
    zm_tokenizer_close(&tokenizer);
    free(w.tokens);
    free(w.types);
    free(w.unused);
    free(w.merges);
    free(w.merge_text);
    free(w.scores);
    free(path);
    return status;
}

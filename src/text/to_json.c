/* SPDX-License-Identifier: Apache-2.0 */
/* From metadata of GGUF to tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/metadata.h"
#include "text/exchange.h"
#include "text/huggingface.h"
#include "text/pre_tokenizers.h"
#include "text/sources.h"

typedef struct writer {
    zm_token_reader in;
    const zm_metadata_value *types; /* NULL: there are none */
    const char *pre;
    json_t *root;
} writer;

static zm_status refuse(const writer *w, const char *what)
{
    return zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED, "%s: a tokenizer.json has no way to say %s",
                   w->in.name, what);
}

/* NULL where it is no UTF-8. */
static json_t *text_of(const zm_tokenizer *t, uint32_t id)
{
    return json_stringn(t->arena.bytes + t->tokens[id].text_offset, t->tokens[id].text_size);
}

/* Names of tokens that no text has: a tokenizer.json leaves them out. */
static bool is_unused(const writer *w, uint32_t id)
{
    int64_t type;
    return zm_metadata_integer(w->types, id, &type) && type == ZM_TOKEN_UNUSED;
}

static json_t *added_token(const zm_tokenizer *t, uint32_t id)
{
    return json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (int)id, "content",
                     text_of(t, id), "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
                     "special", (int)t->tokens[id].special);
}

static zm_status add_token(writer *w, uint32_t id, json_t *added, json_t *vocabulary)
{
    const zm_tokenizer *t = w->in.tokenizer;
    json_t *text = text_of(t, id);
    if (!text)
        return zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED,
                       "%s: token %u is no UTF-8, which a tokenizer.json can't say", w->in.name,
                       id);
    const char *name = json_string_value(text);
    zm_status status = ZM_OK;
    if (json_is_object(vocabulary) && json_object_get(vocabulary, name))
        status = zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED,
                         "%s: two tokens are '%.60s', which a tokenizer.json can't say", w->in.name,
                         name);
    else if (json_is_object(vocabulary))
        json_object_set_new(vocabulary, name, json_integer(id));
    else
        json_array_append_new(vocabulary, json_pack("[O, f]", text, t->scores[id]));
    if (t->tokens[id].added)
        json_array_append_new(added, added_token(t, id));
    json_decref(text);
    return status;
}

static zm_status add_tokens(writer *w, json_t *vocabulary)
{
    const zm_tokenizer *t = w->in.tokenizer;
    json_t *added = json_array();
    zm_status status = ZM_OK;
    uint32_t end = t->size;
    while (end > 0 && is_unused(w, end - 1))
        end--;
    for (uint32_t id = 0; id < end && status == ZM_OK; id++)
        if (json_is_array(vocabulary) || !is_unused(w, id)) /* an array has no gaps */
            status = add_token(w, id, added, vocabulary);
    json_object_set_new(w->root, "added_tokens", added);
    return status;
}

/* ---- what is in front of the model ---- */

static json_t *split(const char *pattern)
{
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pattern,
                     "behavior", "Isolated", "invert", 0);
}

static json_t *byte_level(bool words)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", (int)words);
}

static void add_byte_level(writer *w)
{
    const zm_pre_tokenizer *pre = zm_pre_tokenizer_find(w->pre);
    json_t *parts = json_array();
    if (pre->falcon)
        json_array_append_new(
            parts, json_pack("{s:s, s:s}", "type", "Punctuation", "behavior", "Contiguous"));
    if (pre->digits)
        json_array_append_new(parts,
                              json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1));
    if (pre->pattern)
        json_array_append_new(parts, split(pre->pattern));
    json_array_append_new(parts, byte_level(pre->gpt2));
    if (pre->falcon)
        json_array_append_new(parts,
                              json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 0));
    if (pre->falcon)
        json_array_append_new(parts, split("[0-9][0-9][0-9]"));
    json_object_set_new(w->root, "normalizer",
                        pre->nfc ? json_pack("{s:s}", "type", "NFC") : json_null());
    json_object_set_new(w->root, "pre_tokenizer",
                        json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", parts));
    json_object_set_new(w->root, "decoder", byte_level(true));
}

static json_t *replace(const char *from, const char *to)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from, "content",
                     to);
}

static void add_sentencepiece(writer *w)
{
    const zm_spelling *spelling = &w->in.tokenizer->spelling;
    const bool prefix = spelling->strip == ZM_STRIP_ONE;
    json_t *front = json_array(), *back = json_array();
    if (prefix)
        json_array_append_new(
            front, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", spelling->space));
    json_array_append_new(front, replace(" ", spelling->space));
    json_array_append_new(back, replace(spelling->space, " "));
    json_array_append_new(back, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(back, json_pack("{s:s}", "type", "Fuse"));
    if (prefix)
        json_array_append_new(back, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content",
                                              " ", "start", 1, "stop", 0));
    json_object_set_new(w->root, "normalizer",
                        json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", front));
    json_object_set_new(w->root, "pre_tokenizer", json_null());
    json_object_set_new(w->root, "decoder",
                        json_pack("{s:s, s:o}", "type", "Sequence", "decoders", back));
}

/* ---- the tokens around a text ---- */

static void add_specials(const writer *w, const int32_t *ids, size_t count, json_t *list,
                         json_t *specials)
{
    for (size_t i = 0; i < count; i++) {
        json_t *name = text_of(w->in.tokenizer, (uint32_t)ids[i]);
        json_array_append_new(
            list, json_pack("{s:{s:O, s:i}}", "SpecialToken", "id", name, "type_id", 0));
        json_object_set_new(
            specials, json_string_value(name),
            json_pack("{s:O, s:[i], s:[O]}", "id", name, "ids", (int)ids[i], "tokens", name));
        json_decref(name);
    }
}

static void add_frame(writer *w)
{
    const zm_tokenizer *t = w->in.tokenizer;
    if (t->before_count + t->after_count == 0) {
        json_object_set_new(w->root, "post_processor",
                            t->spelling.byte_alphabet ? byte_level(true) : json_null());
        return;
    }
    json_t *single = json_array(), *pair = json_array(), *specials = json_object();
    add_specials(w, t->before, t->before_count, single, specials);
    json_array_append_new(single, json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0));
    add_specials(w, t->after, t->after_count, single, specials);
    json_array_extend(pair, single);
    add_specials(w, t->before, t->before_count, pair, specials);
    json_array_append_new(pair, json_pack("{s:{s:s, s:i}}", "Sequence", "id", "B", "type_id", 1));
    add_specials(w, t->after, t->after_count, pair, specials);
    json_object_set_new(w->root, "post_processor",
                        json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single",
                                  single, "pair", pair, "special_tokens", specials));
}

/* ---- the model ---- */

static zm_status add_merges(writer *w, json_t *model)
{
    const zm_tokenizer *t = w->in.tokenizer;
    zm_merge_pair *pairs = NULL;
    size_t count = 0;
    zm_status status = zm_merge_list(&w->in, &pairs, &count);
    json_t *merges = json_array();
    for (size_t i = 0; i < count && status == ZM_OK; i++)
        json_array_append_new(
            merges, json_pack("[o, o]", text_of(t, pairs[i].left), text_of(t, pairs[i].right)));
    json_object_set_new(model, "merges", merges);
    free(pairs);
    return status;
}

static zm_status add_model(writer *w)
{
    const zm_tokenizer *t = w->in.tokenizer;
    const bool unigram = t->model == ZM_TOKEN_MODEL_UNIGRAM;
    json_t *vocabulary = unigram ? json_array() : json_object();
    zm_status status = add_tokens(w, vocabulary);
    json_t *model = json_pack("{s:s, s:o, s:b}", "type", unigram ? "Unigram" : "BPE", "vocab",
                              vocabulary, "byte_fallback", (int)t->byte_fallback);
    if (unigram && t->unknown >= 0)
        json_object_set_new(model, "unk_id", json_integer(t->unknown));
    if (!unigram) {
        json_object_set_new(model, "dropout", json_null());
        json_object_set_new(model, "unk_token",
                            t->unknown >= 0 ? text_of(t, (uint32_t)t->unknown) : json_null());
        json_object_set_new(model, "continuing_subword_prefix", json_null());
        json_object_set_new(model, "end_of_word_suffix", json_null());
        json_object_set_new(model, "fuse_unk", json_boolean(!t->spelling.byte_alphabet));
        json_object_set_new(model, "ignore_merges", json_boolean(t->whole_words));
    }
    json_object_set_new(w->root, "model", model);
    return status == ZM_OK && !unigram ? add_merges(w, model) : status;
}

/* What was written is read. */
static zm_status check(const writer *w)
{
    zm_tokenizer *made = NULL;
    zm_status status = zm_huggingface_read(w->root, w->in.name, w->in.log, &made);
    const char *what = NULL;
    if (status == ZM_OK && made->refusal)
        status = zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED, "%s", made->refusal);
    else if (status == ZM_OK)
        what = zm_tokenizer_difference(made, w->in.tokenizer);
    if (what)
        status = refuse(w, what);
    zm_tokenizer_close(&made);
    return status;
}

static zm_status make(writer *w)
{
    const zm_tokenizer *t = w->in.tokenizer;
    if (t->refusal)
        return zm_fail(w->in.log, ZM_ERROR_UNSUPPORTED, "%s", t->refusal);
    w->root = json_pack("{s:s, s:n, s:n}", "version", "1.0", "truncation", "padding");
    if (!w->root)
        return zm_token_out_of_memory(&w->in);
    if (t->spelling.byte_alphabet)
        add_byte_level(w);
    else
        add_sentencepiece(w);
    add_frame(w);
    zm_status status = add_model(w);
    return status == ZM_OK ? check(w) : status;
}

static json_t *id_of(const writer *w, const zm_model *model, const char *key)
{
    int64_t id;
    return zm_metadata_integer(zm_model_find_value(model, key), 0, &id) && id >= 0 &&
                   id < w->in.tokenizer->size
               ? json_integer(id)
               : NULL;
}

static void set_name(const writer *w, json_t *config, const char *key, const json_t *id)
{
    if (id)
        json_object_set_new(config, key,
                            text_of(w->in.tokenizer, (uint32_t)json_integer_value(id)));
}

static zm_status make_config(const writer *w, const zm_model *model, zm_tokenizer_files *out)
{
    const zm_tokenizer *t = w->in.tokenizer;
    out->config = json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                            "clean_up_tokenization_spaces", 0);
    out->bos = id_of(w, model, "tokenizer.ggml.bos_token_id");
    out->padding = id_of(w, model, "tokenizer.ggml.padding_token_id");
    out->ends = t->end_count > 1 ? json_array() : NULL;
    for (size_t i = 0; i < t->end_count && t->end_count > 1; i++)
        json_array_append_new(out->ends, json_integer(t->ends[i]));
    if (t->end_count == 1)
        out->ends = json_integer(t->ends[0]);
    set_name(w, out->config, "bos_token", out->bos);
    set_name(w, out->config, "pad_token", out->padding);
    set_name(w, out->config, "eos_token",
             t->end_count > 1 ? json_array_get(out->ends, 0) : out->ends);
    if (t->chat_template)
        json_object_set_new(out->config, "chat_template", json_string(t->chat_template));
    return out->config && (!t->chat_template || json_object_get(out->config, "chat_template"))
               ? ZM_OK
               : refuse(w, "its chat template, which is no UTF-8");
}

zm_status zm_tokenizer_to_files(const zm_model *model, const zm_log *log, zm_tokenizer_files *out)
{
    zm_tokenizer *tokenizer = NULL;
    if (!zm_model_find_value(model, "tokenizer.ggml.model"))
        return ZM_ERROR_NOT_FOUND;
    zm_status status = zm_gguf_tokenizer_read(model, log, &tokenizer);
    const zm_metadata_value *pre = zm_model_find_value(model, "tokenizer.ggml.pre");
    writer w = {.in = {.tokenizer = tokenizer, .name = zm_model_get_info(model)->path, .log = log},
                .types = zm_model_find_value(model, "tokenizer.ggml.token_type"),
                .pre = pre && !pre->is_array && pre->texts ? pre->texts[0].data : NULL};
    if (status == ZM_OK)
        status = make(&w);
    out->tokenizer = w.root;
    if (status == ZM_OK)
        status = make_config(&w, model, out);
    if (status != ZM_OK)
        zm_tokenizer_files_clear(out);
    zm_tokenizer_close(&tokenizer);
    return status;
}

void zm_tokenizer_files_clear(zm_tokenizer_files *files)
{
    json_decref(files->tokenizer);
    json_decref(files->config);
    json_decref(files->bos);
    json_decref(files->ends);
    json_decref(files->padding);
    *files = (zm_tokenizer_files){0};
}

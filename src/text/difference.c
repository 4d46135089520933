/* SPDX-License-Identifier: Apache-2.0 */
/* Are two tokenizers the same? */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "text/exchange.h"
#include "text/utf8.h"

static int compare_pairs(const void *left, const void *right)
{
    const zm_merge_pair *a = left, *b = right;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->left != b->left)
        return a->left < b->left ? -1 : 1;
    return a->right < b->right ? -1 : a->right > b->right;
}

zm_status zm_merge_list(const zm_token_reader *in, zm_merge_pair **out, size_t *count)
{
    const zm_table *merges = &in->tokenizer->merges;
    zm_merge_pair *pairs = zm_calloc(merges->count, sizeof(*pairs));
    if (!pairs)
        return zm_token_out_of_memory(in);
    *count = 0;
    for (size_t i = 0; i < merges->capacity; i++) {
        const zm_table_entry *e = &merges->entries[i];
        if (e->key != UINT64_MAX)
            pairs[(*count)++] = (zm_merge_pair){.rank = e->a,
                                                .left = (uint32_t)(e->key >> 32),
                                                .right = (uint32_t)e->key,
                                                .id = e->b};
    }
    if (*count > 0)
        qsort(pairs, *count, sizeof(*pairs), compare_pairs);
    *out = pairs;
    return ZM_OK;
}

static bool same_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static bool same_pattern(const zm_pattern *a, const zm_pattern *b)
{
    return !a->regex == !b->regex && same_bytes(a->string, a->size, b->string, b->size);
}

static bool same_step(const zm_step *a, const zm_step *b)
{
    return a->kind == b->kind && same_pattern(&a->pattern, &b->pattern) &&
           a->behavior == b->behavior && a->invert == b->invert &&
           same_bytes(a->text, a->text_size, b->text, b->text_size) &&
           a->unless_there == b->unless_there && a->only_first == b->only_first &&
           a->form == b->form && a->normalized == b->normalized;
}

/* What replaces spaces and what puts such a one in front may change places. */
static bool are_swapped(const zm_step *a, const zm_step *b)
{
    return a[0].kind == ZM_STEP_PREFIX && a[1].kind == ZM_STEP_REPLACE &&
           b[0].kind == ZM_STEP_REPLACE && !memchr(a[0].text, ' ', a[0].text_size) &&
           same_step(&a[0], &b[1]) && same_step(&a[1], &b[0]);
}

bool zm_steps_equal(const zm_tokenizer *json, const zm_tokenizer *gguf)
{
    size_t end = json->normalizer_end;
    bool equal = json->step_count == gguf->step_count;
    /* Where nothing is normalized it does not matter on which side of it a step is. */
    for (size_t i = 0; i < json->step_count && equal; i++) {
        const zm_step *a = &json->steps[i], *b = &gguf->steps[i];
        if (i + 1 < json->step_count && are_swapped(a, b))
            i++;
        else
            equal = same_step(a, b);
    }
    return equal && end == gguf->normalizer_end;
}

/* Normalizers leave them as they are, so it does not matter when they are looked for. */
static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r\n", text[i]) || text[i] == '\0')
            return false;
    return true;
}

static const char *token_difference(const zm_tokenizer *json, const zm_tokenizer *gguf, uint32_t id)
{
    const zm_token *a = &json->tokens[id], *b = &gguf->tokens[id];
    const char *text = json->arena.bytes + a->text_offset;
    const bool normalizes = json->normalizer_end > 1;
    if (!b->present ||
        !same_bytes(text, a->text_size, gguf->arena.bytes + b->text_offset, b->text_size))
        return "their texts";
    if (a->added != b->added || a->special != b->special)
        return "which tokens are special or are looked for in the text as it is";
    if (a->added && (a->left_strip || a->right_strip || a->single_word ||
                     (a->normalized && normalizes && !is_blank(text, a->text_size))))
        return "how an added token is looked for (lstrip, rstrip, single_word, normalized)";
    const bool one = a->text_size > 0 && zm_utf8_length(text[0]) >= a->text_size;
    const bool matters = json->model == ZM_TOKEN_MODEL_UNIGRAM ? !a->added : one;
    return matters && a->in_model != b->in_model ? "which tokens the model makes" : NULL;
}

static const char *merges_difference(const zm_tokenizer *json, const zm_tokenizer *gguf)
{
    static const char reason[] = "their merges";
    zm_merge_pair *pairs[2] = {NULL, NULL};
    size_t counts[2];
    const zm_tokenizer *const both[2] = {json, gguf};
    bool equal = true;
    for (size_t i = 0; i < 2 && equal; i++) {
        const zm_token_reader in = {.tokenizer = (zm_tokenizer *)(uintptr_t)both[i], .name = ""};
        equal = zm_merge_list(&in, &pairs[i], &counts[i]) == ZM_OK;
    }
    equal = equal && counts[0] == counts[1];
    /* The merges that make one token may be in any order: they are one rank where there are scores.
     */
    for (size_t i = 0; equal && i < counts[0]; i++) {
        const zm_merge_pair *a = &pairs[0][i], *b = &pairs[1][i];
        const uint64_t key = (uint64_t)a->left << 32 | a->right;
        const zm_table_entry *found = zm_table_find(&gguf->merges, key);
        equal = a->id == b->id && found && found->b == a->id;
    }
    free(pairs[0]);
    free(pairs[1]);
    return equal ? NULL : reason;
}

static bool same_ids(const int32_t *a, size_t a_count, const int32_t *b, size_t b_count)
{
    return a_count == b_count && (a_count == 0 || memcmp(a, b, a_count * sizeof(*a)) == 0);
}

static bool same_spelling(const zm_spelling *a, const zm_spelling *b)
{
    return a->byte_alphabet == b->byte_alphabet && a->byte_tokens == b->byte_tokens &&
           strcmp(a->space, b->space) == 0 && a->strip == b->strip;
}

static bool has_all_bytes(const zm_tokenizer *t)
{
    for (size_t i = 0; i < 256; i++)
        if (t->byte_tokens[i] < 0)
            return false;
    return t->byte_fallback;
}

static bool same_unknown(const zm_tokenizer *a, const zm_tokenizer *b)
{
    if (a->spelling.byte_alphabet || (has_all_bytes(a) && has_all_bytes(b)))
        return true; /* there is nothing unknown */
    return a->unknown == b->unknown && a->byte_fallback == b->byte_fallback &&
           (a->fuse_unknown == b->fuse_unknown || a->model == ZM_TOKEN_MODEL_UNIGRAM);
}

static bool same_scores(const zm_tokenizer *json, const zm_tokenizer *gguf)
{
    for (uint32_t i = 0; json->model == ZM_TOKEN_MODEL_UNIGRAM && i < json->size; i++)
        if (json->tokens[i].in_model && json->scores[i] != gguf->scores[i])
            return false;
    return true;
}

const char *zm_tokenizer_difference(const zm_tokenizer *json, const zm_tokenizer *gguf)
{
    if (json->model != gguf->model || json->size > gguf->size)
        return "their kind or number";
    if (!same_spelling(&json->spelling, &gguf->spelling))
        return "how bytes and spaces are spelt";
    if (!zm_steps_equal(json, gguf) || json->whole_words != gguf->whole_words ||
        strcmp(json->word_end, gguf->word_end) != 0)
        return "its normalizer or its pre-tokenizer";
    if (!same_ids(json->before, json->before_count, gguf->before, gguf->before_count) ||
        !same_ids(json->after, json->after_count, gguf->after, gguf->after_count))
        return "the tokens around a text";
    if (!same_unknown(json, gguf))
        return "what becomes of unknown characters";
    for (uint32_t i = 0; i < json->size; i++) {
        const char *what = json->tokens[i].present ? token_difference(json, gguf, i) : NULL;
        if (what)
            return what;
    }
    if (!same_scores(json, gguf))
        return "their scores";
    return merges_difference(json, gguf);
}

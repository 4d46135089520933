/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer from the metadata of a GGUF file. */
#include <math.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/pre_tokenizers.h"

static zm_status read_gpt2(const zm_token_reader *in, const zm_vocabulary *from)
{
    const zm_pre_tokenizer *pre = zm_pre_tokenizer_find(from->pre);
    zm_status status = zm_step_add_simple(in, ZM_STEP_ADDED);
    if (!pre)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: the pre-tokenizer '%.40s' is not known",
                       in->name, from->pre ? from->pre : "");
    if (status == ZM_OK)
        status = zm_pre_tokenizer_steps(in, pre);
    for (size_t i = 0; status == ZM_OK && i < from->merge_count; i++)
        status = zm_merge_add_line(in, (uint32_t)i, from->merges[i].data, from->merges[i].length);
    return status;
}

/* BPE and unigram of SentencePiece, which know no words. */
static zm_status read_sentencepiece(const zm_token_reader *in, const zm_vocabulary *from)
{
    const bool unigram = in->tokenizer->model == ZM_TOKEN_MODEL_UNIGRAM;
    in->tokenizer->byte_fallback = true;
    if (from->has_character_map)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED,
                       "%s: a vocabulary with a precompiled_charsmap is not supported", in->name);
    zm_status status = zm_step_add_simple(in, ZM_STEP_ADDED);
    if (status == ZM_OK)
        status = zm_step_add_replace(in, false, " ", in->tokenizer->spelling.space);
    if (status == ZM_OK && from->add_space >= 0)
        status = zm_step_add_prefix(in, in->tokenizer->spelling.space, false, false);
    if (status == ZM_OK)
        status = zm_step_end_normalizers(in);
    if (status != ZM_OK)
        return status;
    return unigram ? zm_unigram_finish(in) : zm_merge_add_by_score(in, from->scores);
}

/* Everything that only encoding needs. */
static zm_status read_encoding(const zm_token_reader *in, const void *source)
{
    const zm_vocabulary *from = source;
    zm_status status =
        in->tokenizer->spelling.byte_alphabet ? read_gpt2(in, from) : read_sentencepiece(in, from);
    return status == ZM_OK ? zm_added_finish(in) : status;
}

static zm_status read_token(const zm_token_reader *in, const zm_vocabulary *from, size_t id)
{
    const int32_t type = from->types ? from->types[id] : ZM_TOKEN_NORMAL;
    const bool special = type == ZM_TOKEN_CONTROL || type == ZM_TOKEN_UNKNOWN;
    const zm_token about = {
        /* Merges may make special tokens of byte-level BPE, and do where they are found as text. */
        .in_model = in->tokenizer->spelling.byte_alphabet || (!special && type != ZM_TOKEN_BYTE),
        .added = special || type == ZM_TOKEN_USER_DEFINED,
        .special = special,
    };
    if (type < ZM_TOKEN_DEFAULT || type > ZM_TOKEN_BYTE)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: token %zu has the type %d", in->name, id,
                       (int)type);
    return zm_token_add(in, (int64_t)id, from->tokens[id].data, from->tokens[id].length, &about);
}

/* A token in front of, or behind, each text. */
static zm_status read_frame(const zm_token_reader *in, const uint32_t *id, int add, bool otherwise,
                            int32_t *ids, size_t *count)
{
    const bool wanted = add > 0 || (add == 0 && otherwise && id);
    if (!wanted)
        return ZM_OK;
    if (!id || *id >= in->tokenizer->size)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT,
                       "%s: the token that each text begins or ends with is no token", in->name);
    ids[(*count)++] = (int32_t)*id;
    return ZM_OK;
}

static zm_status read_all(const zm_token_reader *in, const zm_vocabulary *from)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    const bool unigram = tokenizer->model == ZM_TOKEN_MODEL_UNIGRAM;
    const bool bytes = tokenizer->spelling.byte_alphabet;
    zm_status status = ZM_OK;
    for (size_t id = 0; status == ZM_OK && id < from->token_count; id++)
        status = read_token(in, from, id);
    if (status == ZM_OK)
        status = zm_token_finish(in);
    if (status == ZM_OK && from->unknown && *from->unknown >= tokenizer->size)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: its unknown token is no token", in->name);
    if (from->unknown)
        tokenizer->unknown = (int32_t)*from->unknown;
    if (status == ZM_OK)
        status = read_frame(in, from->bos, from->add_bos, !bytes && !unigram, tokenizer->before,
                            &tokenizer->before_count);
    if (status == ZM_OK)
        status = read_frame(in, from->eos, from->add_eos, unigram, tokenizer->after,
                            &tokenizer->after_count);
    return status == ZM_OK ? zm_token_read_encoding(in, read_encoding, from) : status;
}

static zm_status choose_model(const zm_token_reader *in, const zm_vocabulary *from)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    if (strcmp(from->model, "gpt2") == 0) {
        tokenizer->spelling.byte_alphabet = true;
        return ZM_OK;
    }
    const bool unigram = strcmp(from->model, "t5") == 0;
    if (!unigram && strcmp(from->model, "llama") != 0)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: a tokenizer of the kind '%.40s'",
                       in->name, from->model);
    if (!from->scores)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: its tokens have no scores", in->name);
    for (size_t i = 0; i < from->token_count; i++)
        if (!isfinite(from->scores[i]))
            return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: the score of token %zu is %g",
                           in->name, i, (double)from->scores[i]);
    strcpy(tokenizer->spelling.space, "\xE2\x96\x81");
    tokenizer->spelling.byte_tokens = true;
    tokenizer->spelling.strip = from->add_space >= 0 ? ZM_STRIP_ONE : ZM_STRIP_NONE;
    tokenizer->model = unigram ? ZM_TOKEN_MODEL_UNIGRAM : ZM_TOKEN_MODEL_BPE;
    if (!unigram)
        return ZM_OK;
    tokenizer->scores = zm_calloc(from->token_count, sizeof(double));
    if (!tokenizer->scores)
        return zm_token_out_of_memory(in);
    for (size_t i = 0; i < from->token_count; i++)
        tokenizer->scores[i] = (double)from->scores[i];
    return ZM_OK;
}

zm_status zm_tokenizer_create(const zm_vocabulary *from, zm_tokenizer **out)
{
    if (!from || !out || !from->model || !from->tokens || from->token_count == 0 ||
        (!from->merges && from->merge_count > 0))
        return zm_fail(from ? from->log : NULL, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_tokenizer_create: a NULL argument, or no tokens");
    zm_tokenizer *tokenizer = zm_tokenizer_make();
    const zm_token_reader in = {.tokenizer = tokenizer,
                                .name = from->name ? from->name : "the vocabulary",
                                .log = from->log};
    if (!tokenizer)
        return zm_token_out_of_memory(&in);
    zm_status status = choose_model(&in, from);
    if (status == ZM_OK)
        status = read_all(&in, from);
    if (status == ZM_OK)
        *out = tokenizer;
    else
        zm_tokenizer_close(&tokenizer);
    return status;
}

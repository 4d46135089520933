/* SPDX-License-Identifier: Apache-2.0 */
/* Text to tokens and back. */
#ifndef ZEROMEAN_TEXT_H
#define ZEROMEAN_TEXT_H

#include <zeromean/common.h>
#include <zeromean/log.h>
#include <zeromean/metadata.h>
#include <zeromean/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Read-only after opening: may be shared between threads. */
typedef struct zm_tokenizer zm_tokenizer;

/* The tokenizer of a model: path is a model directory with a tokenizer.json, such a file (Hugging
 * Face tokenizers; BPE or unigram), a .safetensors file beside one, or a GGUF file, whose metadata
 * have it. A normalizer, pre-tokenizer or post-processor that is not known, or not in this build,
 * is no failure here: decoding works, and zm_tokenizer_encode refuses with the reason. Truncation
 * and padding are left to the caller. Characters newer than the Unicode of the PCRE2 in use belong
 * to no class of its patterns. ZM_ERROR_NOT_FOUND, ZM_ERROR_BAD_FORMAT; ZM_ERROR_UNSUPPORTED:
 * another model, or a decoder that is not known. */
ZM_API zm_status zm_tokenizer_open(const char *path, const zm_log *log, zm_tokenizer **out);
/* That of a model that is open, the same as of its path: a GGUF file is not read again. It does not
 * need the model any more. */
ZM_API zm_status zm_tokenizer_open_model(const zm_model *model, const zm_log *log,
                                         zm_tokenizer **out);
ZM_API void zm_tokenizer_close(zm_tokenizer **tokenizer);

/* What a token is; the numbers are those of GGUF. */
typedef enum zm_token_type {
    ZM_TOKEN_DEFAULT = 0, /* = ZM_TOKEN_NORMAL */
    ZM_TOKEN_NORMAL = 1,
    ZM_TOKEN_UNKNOWN = 2,
    ZM_TOKEN_CONTROL = 3,      /* special: it has no text */
    ZM_TOKEN_USER_DEFINED = 4, /* found in the text as it stands, before all else */
    ZM_TOKEN_UNUSED = 5,
    ZM_TOKEN_BYTE = 6 /* spelt "<0x0A>" */
} zm_token_type;

/* A tokenizer as the metadata of a GGUF file describe it (tokenizer.ggml.*). */
typedef struct zm_vocabulary {
    const char *name;      /* for messages: the path; NULL = "the vocabulary" */
    const char *model;     /* "gpt2": byte-level BPE, with merges; "llama": SentencePiece's BPE, by
                              scores; "t5": SentencePiece's unigram, by scores */
    const char *pre;       /* gpt2: the name of the pre-tokenizer: "gpt-2", "llama-bpe", "qwen2",
                              "smollm", "starcoder", "falcon", "bloom", "mpt", ... NULL or another:
                              encoding is refused */
    const zm_text *tokens; /* by id, as the file spells them */
    size_t token_count;
    const int32_t *types;  /* a zm_token_type for each token; NULL = all are normal */
    const float *scores;   /* llama, t5: one for each token */
    const zm_text *merges; /* gpt2: "left right"; what comes first is merged first */
    size_t merge_count;
    const uint32_t *bos, *eos, *unknown; /* ids; NULL = there is none */
    /* 0 = as this model does by default, > 0 yes, < 0 no. The default is BOS for llama, EOS for t5,
     * and a space in front of the text for both. */
    int add_bos, add_eos, add_space;
    bool has_character_map; /* t5: there is a tokenizer.ggml.precompiled_charsmap; encoding is then
                               refused */
    const zm_log *log;
} zm_vocabulary;

/* Copies what it needs. ZM_ERROR_INVALID_ARGUMENT, ZM_ERROR_BAD_FORMAT; ZM_ERROR_UNSUPPORTED:
 * another model. As with zm_tokenizer_open, what only encoding needs does not fail here. */
ZM_API zm_status zm_tokenizer_create(const zm_vocabulary *vocabulary, zm_tokenizer **out);

/* One more than the largest token. */
ZM_API uint32_t zm_tokenizer_size(const zm_tokenizer *tokenizer);

/* The bytes of one token, not NUL-terminated and not always whole UTF-8 characters; special tokens
 * have none unless special is set. *bytes lives as long as the tokenizer. ZM_ERROR_NOT_FOUND: the
 * tokenizer has no such token. */
ZM_API zm_status zm_tokenizer_bytes(const zm_tokenizer *tokenizer, int32_t token, bool special,
                                    const char **bytes, size_t *size);

/* The added token, special or not, of that text, "<|en|>"; -1 when there is none. */
ZM_API int32_t zm_tokenizer_find_special(const zm_tokenizer *tokenizer, const char *text);

/* The tokens that end a text, and their number: those that the files of a model directory or GGUF
 * file name (eos_token_id and its like), and special tokens that always do, "<|endoftext|>" or
 * "<|im_end|>". None for zm_tokenizer_create. *tokens lives as long as the tokenizer. */
ZM_API size_t zm_tokenizer_get_ends(const zm_tokenizer *tokenizer, const int32_t **tokens);

/* How the model directory or GGUF file writes conversations, in Jinja (chat.h knows some of them);
 * NULL when it doesn't say. Lives as long as the tokenizer. */
ZM_API const char *zm_tokenizer_get_chat_template(const zm_tokenizer *tokenizer);

typedef struct zm_encode_params {
    const char *text; /* each sequence of bytes that is no UTF-8 is read as one U+FFFD, cut as
                         Unicode recommends (Python's errors="replace"); NUL is a character */
    size_t size;      /* at most 256 MB */
    bool bare;        /* without the tokens that the model wants around a text (BOS, EOS) */
    bool literal;     /* "<|endoftext|>" and other special tokens in the text are only text */
    const zm_log *log;
} zm_encode_params;

/* Free *tokens with free(); it is NULL when there are none. The time is proportional to the size of
 * the text (n log n in the longest word).
 * ZM_ERROR_INVALID_ARGUMENT; ZM_ERROR_UNSUPPORTED: it can't encode, or a character is no token and
 * there is none for what is unknown; ZM_ERROR_LIMIT: too long, or a pattern of the file takes too
 * many steps; ZM_ERROR_OUT_OF_MEMORY. */
ZM_API zm_status zm_tokenizer_encode(const zm_tokenizer *tokenizer, const zm_encode_params *params,
                                     int32_t **tokens, size_t *count);

/* The bytes of all tokens, which need not be UTF-8, and a NUL behind them. Without `special`,
 * special tokens are skipped. Free *bytes with free(). ZM_ERROR_NOT_FOUND: there is no such token;
 * ZM_ERROR_INVALID_ARGUMENT, ZM_ERROR_OUT_OF_MEMORY. */
ZM_API zm_status zm_tokenizer_decode(const zm_tokenizer *tokenizer, const int32_t *tokens,
                                     size_t count, bool special, char **bytes, size_t *size);

/* The same token by token, in pieces that cut no UTF-8 character. For one thread at a time. */
typedef struct zm_decoder zm_decoder;

/* The tokenizer must outlive it. ZM_ERROR_INVALID_ARGUMENT, ZM_ERROR_OUT_OF_MEMORY. */
ZM_API zm_status zm_decoder_create(const zm_tokenizer *tokenizer, bool special, zm_decoder **out);
/* *bytes: what is whole by now, possibly nothing; until the next call. ZM_ERROR_NOT_FOUND: there is
 * no such token; ZM_ERROR_OUT_OF_MEMORY. */
ZM_API zm_status zm_decoder_add(zm_decoder *decoder, int32_t token, const char **bytes,
                                size_t *size);
/* The beginning of a character that has been held back; *size is 0 to 3. */
ZM_API void zm_decoder_rest(const zm_decoder *decoder, const char **bytes, size_t *size);
ZM_API void zm_decoder_destroy(zm_decoder **decoder);

/* How many of the first size bytes are whole UTF-8 characters; what follows may be the beginning
 * of one. Invalid bytes count as whole. */
ZM_API size_t zm_utf8_whole(const char *bytes, size_t size);

/* A copy as valid UTF-8, NUL-terminated: U+FFFD stands where bytes are invalid, cut off or NUL.
 * Free *out with free(). ZM_ERROR_OUT_OF_MEMORY. */
ZM_API zm_status zm_utf8_repair(const char *bytes, size_t size, char **out);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to text. */
#ifndef ZEROMEAN_TEXT_H
#define ZEROMEAN_TEXT_H

#include <zeromean/common.h>
#include <zeromean/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Read-only after opening: may be shared between threads. */
typedef struct zm_tokenizer zm_tokenizer;

/* Reads a tokenizer.json (Hugging Face tokenizers) with a byte-level BPE model.
 * ZM_ERROR_NOT_FOUND, ZM_ERROR_BAD_FORMAT, ZM_ERROR_UNSUPPORTED. */
ZM_API zm_status zm_tokenizer_open(const char *path, const zm_log *log, zm_tokenizer **out);
ZM_API void zm_tokenizer_close(zm_tokenizer **tokenizer);

/* One more than the largest token. */
ZM_API uint32_t zm_tokenizer_size(const zm_tokenizer *tokenizer);

/* The bytes of one token, not NUL-terminated and not always whole UTF-8 characters; special tokens
 * have none unless special is set. *bytes lives as long as the tokenizer. ZM_ERROR_NOT_FOUND: the
 * tokenizer has no such token. */
ZM_API zm_status zm_tokenizer_bytes(const zm_tokenizer *tokenizer, int32_t token, bool special,
                                    const char **bytes, size_t *size);

/* The added token, special or not, of that text, "<|en|>"; -1 when there is none. */
ZM_API int32_t zm_tokenizer_find_special(const zm_tokenizer *tokenizer, const char *text);

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

/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations with models that were made for them: what is said, as tokens that zm_generate goes
 * on from.
 *
 * A model's files say how it wants to be spoken to in the template language Jinja. Zeromean runs
 * none of it: it knows some formats, and finds out by their marks which one a template is of. */
#ifndef ZEROMEAN_CHAT_H
#define ZEROMEAN_CHAT_H

#include <zeromean/text.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum zm_chat_format {
    ZM_CHAT_NONE = 0,
    ZM_CHAT_CHATML, /* <|im_start|>user (SmolLM2, Qwen) */
    ZM_CHAT_LLAMA3, /* <|start_header_id|>user<|end_header_id|> */
    ZM_CHAT_GEMMA,  /* <start_of_turn>user */
    ZM_CHAT_ZEPHYR, /* <|user|> */
    ZM_CHAT_LLAMA2, /* [INST] with <<SYS>> */
    ZM_CHAT_INST,   /* [INST] (Mistral) */
    ZM_CHAT_FORMAT_COUNT
} zm_chat_format;

/* "chatml", "llama3", ...; "none" otherwise. Static storage. */
ZM_API const char *zm_chat_format_name(zm_chat_format format);
/* That of a template; ZM_CHAT_NONE for NULL and for what is not known. */
ZM_API zm_chat_format zm_chat_format_find(const char *chat_template);

/* For one thread at a time. */
typedef struct zm_chat zm_chat;

/* system: what the model is told first; NULL = what its template says by default, if anything; "" =
 * nothing. The tokenizer must outlive the conversation. ZM_ERROR_UNSUPPORTED: the files carry no
 * chat template, or one of a format that is not known, or the tokenizer lacks a token of it.
 * ZM_ERROR_INVALID_ARGUMENT, ZM_ERROR_OUT_OF_MEMORY; the errors of zm_chat_ask. */
ZM_API zm_status zm_chat_create(const zm_tokenizer *tokenizer, const char *system,
                                const zm_log *log, zm_chat **out);
ZM_API void zm_chat_destroy(zm_chat **chat);

/* Adds what the user says and the beginning of the answer. White space around it goes.
 * ZM_ERROR_INVALID_ARGUMENT: the text has marks of the format in it, or other special tokens: the
 * model would take them for the end of what the user says. The errors of zm_tokenizer_encode; the
 * conversation is then as it was. */
ZM_API zm_status zm_chat_ask(zm_chat *chat, const char *text, size_t size);
/* Adds what the model answered, without the token that ended it. */
ZM_API zm_status zm_chat_answer(zm_chat *chat, const int32_t *tokens, size_t count);
/* Forgets all of it but the system's text. */
ZM_API void zm_chat_clear(zm_chat *chat);

/* All of it, for zm_generate; until the next call. */
ZM_API size_t zm_chat_get_tokens(const zm_chat *chat, const int32_t **tokens);

#ifdef __cplusplus
}
#endif
#endif

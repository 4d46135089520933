/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/chat.h>

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "generate/chat_format.h"

struct zm_chat {
    const zm_tokenizer *tokenizer;
    const zm_chat_marks *marks;
    zm_log log;
    char *system; /* NULL = none */
    int32_t *tokens;
    size_t count, capacity;
};

void zm_chat_destroy(zm_chat **chat)
{
    if (!chat || !*chat)
        return;
    free((*chat)->system);
    free((*chat)->tokens);
    free(*chat);
    *chat = NULL;
}

static zm_status out_of_memory(const zm_chat *chat)
{
    return zm_fail(&chat->log, ZM_ERROR_OUT_OF_MEMORY, "chat: out of memory");
}

static zm_status choose_format(zm_chat *chat)
{
    const char *source = zm_tokenizer_get_chat_template(chat->tokenizer);
    const zm_chat_format format = zm_chat_format_find(source);
    if (!source)
        return zm_fail(&chat->log, ZM_ERROR_UNSUPPORTED,
                       "the model's files carry no chat template: it was not made for "
                       "conversations");
    if (format == ZM_CHAT_NONE)
        return zm_fail(&chat->log, ZM_ERROR_UNSUPPORTED,
                       "the model's chat template is of no known format (known: ChatML, Llama 2 "
                       "and 3, Gemma, Zephyr, Mistral's [INST])");
    chat->marks = zm_chat_marks_get(format);
    if (zm_tokenizer_find_special(chat->tokenizer, chat->marks->special) < 0)
        return zm_fail(&chat->log, ZM_ERROR_UNSUPPORTED,
                       "the model's chat template is of the format %s, but its tokenizer lacks "
                       "the token %s",
                       chat->marks->name, chat->marks->special);
    return ZM_OK;
}

static zm_status encode(const zm_chat *chat, const char *text, size_t size, bool bare, bool literal,
                        int32_t **tokens, size_t *count)
{
    const zm_encode_params params = {
        .text = text, .size = size, .bare = bare, .literal = literal, .log = &chat->log};
    return zm_tokenizer_encode(chat->tokenizer, &params, tokens, count);
}

/* Special tokens in it would be more than text. */
static zm_status check_text(const zm_chat *chat, const char *who, const char *text, size_t size)
{
    int32_t *plain = NULL, *rich = NULL;
    size_t plain_count = 0, rich_count = 0;
    zm_status status = encode(chat, text, size, true, true, &plain, &plain_count);
    if (status == ZM_OK)
        status = encode(chat, text, size, true, false, &rich, &rich_count);
    const bool same = plain_count == rich_count &&
                      (plain_count == 0 || memcmp(plain, rich, plain_count * sizeof(*rich)) == 0);
    free(plain);
    free(rich);
    if (status == ZM_OK && !same)
        return zm_fail(&chat->log, ZM_ERROR_INVALID_ARGUMENT,
                       "the text of the %s holds special tokens of the model, such as %s", who,
                       chat->marks->special);
    return status;
}

zm_status zm_chat_create(const zm_tokenizer *tokenizer, const char *system, const zm_log *log,
                         zm_chat **out)
{
    if (!tokenizer || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_chat_create: a NULL argument");
    zm_chat *chat = zm_calloc(1, sizeof(*chat));
    if (!chat)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "chat: out of memory");
    chat->tokenizer = tokenizer;
    chat->log = zm_log_copy(log);
    zm_status status = choose_format(chat);
    if (status == ZM_OK && system && *system) {
        chat->system = zm_strdup(system);
        status =
            chat->system ? check_text(chat, "system", system, strlen(system)) : out_of_memory(chat);
    } else if (status == ZM_OK && !system) {
        status = zm_chat_default_system(chat->marks, zm_tokenizer_get_chat_template(tokenizer),
                                        &chat->system);
    }
    if (status == ZM_OK)
        *out = chat;
    else
        zm_chat_destroy(&chat);
    return status;
}

void zm_chat_clear(zm_chat *chat)
{
    chat->count = 0;
}

size_t zm_chat_get_tokens(const zm_chat *chat, const int32_t **tokens)
{
    *tokens = chat->tokens;
    return chat->count;
}

zm_status zm_chat_answer(zm_chat *chat, const int32_t *tokens, size_t count)
{
    if (!chat || (!tokens && count > 0))
        return ZM_ERROR_INVALID_ARGUMENT;
    if (!zm_array_reserve((void **)&chat->tokens, &chat->capacity, chat->count + count,
                          sizeof(*tokens)))
        return out_of_memory(chat);
    if (count > 0)
        memcpy(chat->tokens + chat->count, tokens, count * sizeof(*tokens));
    chat->count += count;
    return ZM_OK;
}

/* What a turn adds: all parts in one text, since tokens may span two of them. NULL: out of memory.
 */
static char *write_turn(const zm_chat *chat, const char *text, size_t size, size_t *length)
{
    const zm_chat_marks *marks = chat->marks;
    const bool first = chat->count == 0, system = first && chat->system;
    const char *parts[6];
    size_t count = 0, used = 0, total = size + strlen(marks->behind_user) + 1;
    parts[count++] = first ? "" : marks->behind_answer;
    if (marks->system_in_user)
        parts[count++] = marks->user;
    if (system) {
        parts[count++] = marks->system;
        parts[count++] = chat->system;
        parts[count++] = marks->behind_system;
    }
    if (!marks->system_in_user)
        parts[count++] = marks->user;
    for (size_t i = 0; i < count; i++)
        total += strlen(parts[i]);
    char *turn = zm_calloc(total, 1);
    if (!turn)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const size_t part = strlen(parts[i]);
        memcpy(turn + used, parts[i], part);
        used += part;
    }
    memcpy(turn + used, text, size);
    strcpy(turn + used + size, marks->behind_user);
    *length = total - 1;
    return turn;
}

/* All begins with the format's own token, whether the tokenizer says so or not. */
static zm_status add_begin(zm_chat *chat, const int32_t *tokens, size_t count)
{
    const int32_t begin =
        chat->marks->begin ? zm_tokenizer_find_special(chat->tokenizer, chat->marks->begin) : -1;
    if (chat->count > 0 || begin < 0 || (count > 0 && tokens[0] == begin))
        return ZM_OK;
    return zm_chat_answer(chat, &begin, 1);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

zm_status zm_chat_ask(zm_chat *chat, const char *text, size_t size)
{
    if (!chat || (!text && size > 0))
        return ZM_ERROR_INVALID_ARGUMENT;
    while (size > 0 && is_space(text[0])) {
        text++;
        size--;
    }
    while (size > 0 && is_space(text[size - 1]))
        size--;
    size_t length = 0, count = 0;
    int32_t *tokens = NULL;
    zm_status status = check_text(chat, "user", text, size);
    if (status != ZM_OK)
        return status;
    char *turn = write_turn(chat, text, size, &length);
    if (!turn)
        return out_of_memory(chat);
    status = encode(chat, turn, length, chat->count > 0, false, &tokens, &count);
    const size_t before = chat->count;
    if (status == ZM_OK)
        status = add_begin(chat, tokens, count);
    if (status == ZM_OK)
        status = zm_chat_answer(chat, tokens, count);
    if (status != ZM_OK)
        chat->count = before;
    free(tokens);
    free(turn);
    return status;
}

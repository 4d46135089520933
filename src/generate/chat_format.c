/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/chat_format.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

static const zm_chat_marks formats[ZM_CHAT_FORMAT_COUNT] = {
    [ZM_CHAT_CHATML] = {.name = "chatml",
                        .has = {"<|im_start|>", "<|im_end|>"},
                        .without = "<|im_sep|>",
                        .special = "<|im_start|>",
                        .system = "<|im_start|>system\n",
                        .behind_system = "<|im_end|>\n",
                        .user = "<|im_start|>user\n",
                        .behind_user = "<|im_end|>\n<|im_start|>assistant\n",
                        .behind_answer = "<|im_end|>\n"},
    [ZM_CHAT_LLAMA3] = {.name = "llama3",
                        .has = {"<|start_header_id|>", "<|eot_id|>"},
                        .begin = "<|begin_of_text|>",
                        .special = "<|start_header_id|>",
                        .system = "<|start_header_id|>system<|end_header_id|>\n\n",
                        .behind_system = "<|eot_id|>",
                        .user = "<|start_header_id|>user<|end_header_id|>\n\n",
                        .behind_user =
                            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                        .behind_answer = "<|eot_id|>"},
    [ZM_CHAT_GEMMA] = {.name = "gemma",
                       .has = {"<start_of_turn>", "<end_of_turn>"},
                       .begin = "<bos>",
                       .special = "<start_of_turn>",
                       .system = "",
                       .behind_system = "\n\n",
                       .system_in_user = true,
                       .user = "<start_of_turn>user\n",
                       .behind_user = "<end_of_turn>\n<start_of_turn>model\n",
                       .behind_answer = "<end_of_turn>\n"},
    [ZM_CHAT_ZEPHYR] = {.name = "zephyr",
                        .has = {"<|user|>", "<|assistant|>"},
                        .without = "<|end|>",
                        .special = "</s>",
                        .system = "<|system|>\n",
                        .behind_system = "</s>\n",
                        .user = "<|user|>\n",
                        .behind_user = "</s>\n<|assistant|>\n",
                        .behind_answer = "</s>\n"},
    [ZM_CHAT_LLAMA2] = {.name = "llama2",
                        .has = {"[INST]", "<<SYS>>"},
                        .begin = "<s>",
                        .special = "</s>",
                        .system = "<<SYS>>\n",
                        .behind_system = "\n<</SYS>>\n\n",
                        .system_in_user = true,
                        .user = "[INST] ",
                        .behind_user = " [/INST]",
                        .behind_answer = " </s><s>"},
    [ZM_CHAT_INST] = {.name = "inst",
                      .has = {"[INST]", "[/INST]"},
                      .without = "<<SYS>>",
                      .begin = "<s>",
                      .special = "</s>",
                      .system = "",
                      .behind_system = "\n\n",
                      .system_in_user = true,
                      .user = "[INST] ",
                      .behind_user = " [/INST]",
                      .behind_answer = "</s>"},
};

const zm_chat_marks *zm_chat_marks_get(zm_chat_format format)
{
    return &formats[format];
}

const char *zm_chat_format_name(zm_chat_format format)
{
    return format > ZM_CHAT_NONE && format < ZM_CHAT_FORMAT_COUNT ? formats[format].name : "none";
}

zm_chat_format zm_chat_format_find(const char *chat_template)
{
    for (int i = ZM_CHAT_NONE + 1; chat_template && i < ZM_CHAT_FORMAT_COUNT; i++) {
        const zm_chat_marks *marks = &formats[i];
        if (strstr(chat_template, marks->has[0]) && strstr(chat_template, marks->has[1]) &&
            !(marks->without && strstr(chat_template, marks->without)))
            return (zm_chat_format)i;
    }
    return ZM_CHAT_NONE;
}

/* Where text goes on behind the mark, whose line ends may be written "\n"; NULL: it isn't there. */
static const char *behind(const char *text, const char *mark)
{
    for (; *mark; mark++) {
        if (*mark == '\n' && text[0] == '\\' && text[1] == 'n')
            text += 2;
        else if (*text++ != *mark)
            return NULL;
    }
    return text;
}

/* The text as a string of Jinja means it, in place; false: it is more than a string. */
static bool read_string(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (strchr("'\"{}", *from) || (*from == '\\' && !from[1]))
            return false;
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        *to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from;
    }
    *to = '\0';
    return true;
}

zm_status zm_chat_default_system(const zm_chat_marks *marks, const char *chat_template, char **out)
{
    *out = NULL;
    if (!marks->system[0])
        return ZM_OK;
    for (const char *at = chat_template; *at; at++) {
        const char *begin = behind(at, marks->system), *end = begin;
        while (end && *end && !behind(end, marks->behind_system))
            end++;
        if (!begin || !*end || end == begin)
            continue;
        char *text = zm_calloc((size_t)(end - begin) + 1, 1);
        if (!text)
            return ZM_ERROR_OUT_OF_MEMORY;
        memcpy(text, begin, (size_t)(end - begin));
        if (read_string(text)) {
            *out = text;
            return ZM_OK;
        }
        free(text);
    }
    return ZM_OK;
}

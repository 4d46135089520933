/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokens end a text, and how a model wants to be spoken to. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/log.h"
#include "format/json.h"
#include "text/sources.h"

enum { CONFIG_BYTES_MAX = 16 << 20 };

void zm_ending_add(zm_tokenizer *tokenizer, int64_t id)
{
    if (id < 0 || id >= tokenizer->size || !tokenizer->tokens[id].present)
        return;
    for (size_t i = 0; i < tokenizer->end_count; i++)
        if (tokenizer->ends[i] == id)
            return;
    if (tokenizer->end_count < ZM_ENDS_MAX)
        tokenizer->ends[tokenizer->end_count++] = (int32_t)id;
}

void zm_ending_add_known(zm_tokenizer *tokenizer)
{
    static const char *const names[] = {
        "<|endoftext|>", "<|im_end|>",    "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>",
        "<|end|>",       "<|endofturn|>", "</s>",       "<eos>",           "<|eom_id|>",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const int32_t id = zm_tokenizer_find_special(tokenizer, names[i]);
        if (id >= 0 && tokenizer->tokens[id].special)
            zm_ending_add(tokenizer, id);
    }
}

/* The object in a file of the directory; NULL without an error where there is no such file. */
static zm_status read_config(const char *directory, const char *name, const zm_log *log,
                             json_t **out)
{
    char *path = zm_path_join(directory, name);
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its name", directory);
    zm_status status = ZM_OK;
    if (zm_path_exists(path))
        status = zm_json_read(path, CONFIG_BYTES_MAX, log, out);
    free(path);
    return status;
}

/* A number, or several. */
static void add_ids(zm_tokenizer *tokenizer, const json_t *ids)
{
    size_t i;
    json_t *id;
    if (json_is_integer(ids))
        zm_ending_add(tokenizer, json_integer_value(ids));
    json_array_foreach(ids, i, id)
    {
        if (json_is_integer(id))
            zm_ending_add(tokenizer, json_integer_value(id));
    }
}

/* A text, or several with names, of which the default one counts. */
static const char *find_template(const json_t *config)
{
    size_t i;
    json_t *entry;
    const json_t *templates = json_object_get(config, "chat_template");
    json_array_foreach(templates, i, entry)
    {
        const char *name = zm_json_string(entry, "name");
        if (name && strcmp(name, "default") == 0)
            return zm_json_string(entry, "template");
    }
    return json_string_value(templates);
}

static zm_status read_tokenizer_config(zm_tokenizer *tokenizer, const json_t *config,
                                       const zm_log *log)
{
    const json_t *eos = json_object_get(config, "eos_token");
    const char *name =
        json_is_object(eos) ? zm_json_string(eos, "content") : json_string_value(eos);
    const char *text = find_template(config);
    if (name)
        zm_ending_add(tokenizer, zm_tokenizer_find_special(tokenizer, name));
    if (!text)
        return ZM_OK;
    tokenizer->chat_template = zm_strdup(text);
    return tokenizer->chat_template ? ZM_OK : zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "out of memory");
}

/* A file of its own beats what tokenizer_config.json has. */
static zm_status read_template_file(zm_tokenizer *tokenizer, const char *directory,
                                    const zm_log *log)
{
    char *path = zm_path_join(directory, "chat_template.jinja"), *text = NULL;
    size_t size;
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its name", directory);
    zm_status status = ZM_OK;
    if (zm_path_exists(path))
        status = zm_file_read(path, CONFIG_BYTES_MAX, log, &text, &size);
    free(path);
    if (status == ZM_OK && text) {
        free(tokenizer->chat_template);
        tokenizer->chat_template = text;
    }
    return status;
}

zm_status zm_ending_read_directory(zm_tokenizer *tokenizer, const char *directory,
                                   const zm_log *log)
{
    static const char *const names[] = {"generation_config.json", "config.json"};
    json_t *config = NULL;
    zm_status status = ZM_OK;
    for (size_t i = 0; i < 2 && status == ZM_OK; i++) {
        status = read_config(directory, names[i], log, &config);
        add_ids(tokenizer, json_object_get(config, "eos_token_id"));
        json_decref(config);
        config = NULL;
    }
    if (status == ZM_OK)
        status = read_config(directory, "tokenizer_config.json", log, &config);
    if (status == ZM_OK)
        status = read_tokenizer_config(tokenizer, config, log);
    json_decref(config);
    return status == ZM_OK ? read_template_file(tokenizer, directory, log) : status;
}

size_t zm_tokenizer_get_ends(const zm_tokenizer *tokenizer, const int32_t **tokens)
{
    *tokens = tokenizer->ends;
    return tokenizer->end_count;
}

const char *zm_tokenizer_get_chat_template(const zm_tokenizer *tokenizer)
{
    return tokenizer->chat_template;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean tokenize: text to tokens and back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zeromean/text.h>

#include "cli/input.h"
#include "cli/options.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "common/log.h"

typedef struct job {
    const char *prompt;
    bool decode, bare, literal, json;
    const char *model;
    zm_tokenizer *tokenizer;
    char *text; /* what was given; the text of the tokens with decode, once they are known */
    size_t size;
    int32_t *tokens;
    size_t count, capacity;
} job;

/* Numbers with white space or commas between them. */
static zm_status read_tokens(job *j)
{
    static const char between[] = " \t\r\n,[]";
    const char *at = j->text + strspn(j->text, between);
    for (char *end; at < j->text + j->size; at = end + strspn(end, between)) {
        errno = 0;
        const long id = strtol(at, &end, 10);
        const char *bytes;
        size_t size;
        if (end == at || errno != 0 || id < 0 || id > INT32_MAX || (*end && !strchr(between, *end)))
            return zm_fail(zm_cli_log(), ZM_ERROR_INVALID_ARGUMENT, "'%.20s' is no token", at);
        if (zm_tokenizer_bytes(j->tokenizer, (int32_t)id, true, &bytes, &size) != ZM_OK)
            return zm_fail(zm_cli_log(), ZM_ERROR_NOT_FOUND, "%s: has no token %ld", j->model, id);
        if (!zm_array_reserve((void **)&j->tokens, &j->capacity, j->count + 1, sizeof(int32_t)))
            return ZM_ERROR_OUT_OF_MEMORY;
        j->tokens[j->count++] = (int32_t)id;
    }
    free(j->text);
    j->text = NULL;
    return zm_tokenizer_decode(j->tokenizer, j->tokens, j->count, !j->bare, &j->text, &j->size);
}

static zm_status encode(job *j)
{
    const zm_encode_params params = {.text = j->text,
                                     .size = j->size,
                                     .bare = j->bare,
                                     .literal = j->literal,
                                     .log = zm_cli_log()};
    return zm_tokenizer_encode(j->tokenizer, &params, &j->tokens, &j->count);
}

static json_t *text_json(const char *bytes, size_t size)
{
    char *valid = NULL;
    if (zm_utf8_repair(bytes, size, &valid) != ZM_OK)
        return NULL;
    json_t *text = json_string(valid);
    free(valid);
    return text;
}

static zm_cli_exit print_json(const job *j)
{
    json_t *tokens = json_array(), *pieces = json_array();
    for (size_t i = 0; i < j->count; i++) {
        const char *bytes = "";
        size_t size = 0;
        zm_tokenizer_bytes(j->tokenizer, j->tokens[i], true, &bytes, &size);
        json_array_append_new(tokens, json_integer(j->tokens[i]));
        json_array_append_new(pieces, text_json(bytes, size));
    }
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.tokenize/1")},
        {"version", json_string(zm_version())},
        {"model", zm_cli_json_text(j->model)},
        {"vocabulary", json_integer(zm_tokenizer_size(j->tokenizer))},
        {"text", text_json(j->text, j->size)},
        {"tokens", tokens},
        {"pieces", pieces},
    };
    return zm_cli_json_print(zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0])));
}

static void print_plain(const job *j)
{
    if (j->decode)
        fwrite(j->text, 1, j->size, stdout);
    for (size_t i = 0; !j->decode && i < j->count; i++)
        printf("%s%d", i ? " " : "", (int)j->tokens[i]);
    if (!j->decode || j->size == 0 || j->text[j->size - 1] != '\n')
        putchar('\n');
}

static zm_cli_exit run_job(job *j, const zm_cli_arguments *arguments)
{
    if (j->prompt && arguments->count > 1) {
        zm_cli_error("tokenize: FILE and --prompt exclude each other (see 'zeromean tokenize "
                     "--help')");
        return ZM_CLI_USAGE;
    }
    j->model = arguments->values[0];
    zm_status status = zm_tokenizer_open(j->model, zm_cli_log(), &j->tokenizer);
    if (status == ZM_OK)
        status = zm_cli_input_read(j->prompt, arguments->count > 1 ? arguments->values[1] : NULL,
                                   &j->text, &j->size);
    if (status == ZM_OK)
        status = j->decode ? read_tokens(j) : encode(j);
    zm_cli_exit code = zm_cli_result(status);
    if (code != ZM_CLI_OK)
        return code;
    if (j->json)
        return print_json(j);
    print_plain(j);
    return ZM_CLI_OK;
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {0};
    const zm_cli_option options[] = {
        {"prompt", 'p', "TEXT", "the text (default: FILE, or else standard input)", ZM_CLI_TEXT,
         &j.prompt},
        {"decode", 0, NULL, "from tokens to text: the input is numbers", ZM_CLI_FLAG, &j.decode},
        {"bare", 0, NULL, "no tokens around the text; with --decode no special ones", ZM_CLI_FLAG,
         &j.bare},
        {"literal", 0, NULL, "special tokens in the text are only text", ZM_CLI_FLAG, &j.literal},
        {"json", 0, NULL, "print JSON (schema zeromean.tokenize/1)", ZM_CLI_FLAG, &j.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_tokenize, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    code = run_job(&j, &arguments);
    free(j.text);
    free(j.tokens);
    zm_tokenizer_close(&j.tokenizer);
    return code;
}

const zm_cli_command zm_cli_tokenize = {
    .name = "tokenize",
    .synopsis = "MODEL [FILE]",
    .summary = "Cut text into tokens, or put it together again",
    .details = "MODEL is a model directory with a tokenizer.json, such a file, or a GGUF file. "
               "Prints the\n"
               "numbers of the tokens. Bytes that are no UTF-8 are read as U+FFFD.\n",
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};

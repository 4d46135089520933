/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean perplexity: how well a model predicts a text. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/input.h"
#include "cli/language.h"
#include "cli/model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"

/* Tokens whose logits are there at once: products of so many rows are near their best, and 50,000
 * logits of each are 26 MB. */
enum { ROWS = 128 };

typedef struct job {
    zm_cli_language language;
    uint32_t window;
    bool json;
    char *text;
    size_t size;
    int32_t *tokens;
    size_t count;
    zm_perplexity_result result;
} job;

static zm_status encode(job *j, const char *path)
{
    zm_status status = zm_cli_input_read(NULL, path, &j->text, &j->size);
    const zm_encode_params params = {
        .text = j->text, .size = j->size, .literal = true, .log = zm_cli_log()};
    if (status == ZM_OK)
        status = zm_tokenizer_encode(j->language.tokenizer, &params, &j->tokens, &j->count);
    return status;
}

static zm_status measure(job *j)
{
    const zm_perplexity_params params = {.tokens = j->tokens,
                                         .token_count = j->count,
                                         .window = j->window,
                                         .progress = zm_cli_progress,
                                         .log = zm_cli_log()};
    const zm_status status = zm_perplexity(j->language.session, &params, &j->result);
    zm_cli_progress_hide();
    return status;
}

static zm_cli_exit print_json(const job *j)
{
    const zm_perplexity_result *result = &j->result;
    const zm_cli_split *devices = &j->language.devices;
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.perplexity/1")},
        {"version", json_string(zm_version())},
        {"device", zm_cli_device_json(zm_device_get_info(devices->all[0]))},
        {"model", zm_cli_model_json(j->language.model)},
        {"perplexity", zm_cli_json_real(result->perplexity)},
        {"mean", zm_cli_json_real(result->mean)},
        {"deviation", zm_cli_json_real(result->deviation)},
        {"tokens", json_integer((json_int_t)result->token_count)},
        {"window", json_integer(result->window)},
        {"windows", json_integer((json_int_t)result->window_count)},
        {"load_seconds", zm_cli_json_real(j->language.load_seconds)},
        {"seconds", zm_cli_json_real(result->seconds)},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    zm_cli_split_add_json(devices, "split", object);
    return zm_cli_json_print(object);
}

static zm_cli_exit run_job(job *j, const zm_cli_arguments *arguments)
{
    zm_cli_exit code = zm_cli_language_open(&j->language, arguments->values[0]);
    if (code == ZM_CLI_OK)
        code = zm_cli_result(encode(j, arguments->count > 1 ? arguments->values[1] : NULL));
    if (code == ZM_CLI_OK)
        code = zm_cli_language_load(&j->language, j->json);
    if (code == ZM_CLI_OK)
        code = zm_cli_result(measure(j));
    if (code != ZM_CLI_OK)
        return code;
    const zm_perplexity_result *result = &j->result;
    if (j->json)
        return print_json(j);
    printf("perplexity %.4f +- %.4f, %llu tokens predicted, %llu windows of %u\n",
           result->perplexity, result->perplexity * result->deviation,
           (unsigned long long)result->token_count, (unsigned long long)result->window_count,
           (unsigned)result->window);
    return ZM_CLI_OK;
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {.language = {.logits = ROWS}};
    const zm_cli_option options[] = {
        {"window", 'w', "N", "tokens that the model sees at once (default: 512, or its context)",
         ZM_CLI_COUNT, &j.window},
        ZM_CLI_LANGUAGE_OPTIONS(&j.language),
        {"json", 0, NULL, "print JSON (schema zeromean.perplexity/1)", ZM_CLI_FLAG, &j.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_perplexity, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    zm_cli_progress_start();
    code = run_job(&j, &arguments);
    free(j.text);
    free(j.tokens);
    zm_cli_language_close(&j.language);
    return code;
}

const zm_cli_command zm_cli_perplexity = {
    .name = "perplexity",
    .synopsis = "MODEL [FILE]",
    .summary = "Measure how well a model predicts a text",
    .details = ZM_CLI_LANGUAGE_HELP
    "The text of FILE, or of standard input, is cut into windows of --window tokens, and each\n"
    "token but the first of its window is predicted from those before it. The result is\n"
    "exp(mean of -log p) with its standard error. Special tokens in the text are only "
    "text.\n\n" ZM_CLI_DEVICE_HELP ZM_CLI_SPLIT_HELP,
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};

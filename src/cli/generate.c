/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean generate: a text goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <zeromean/chat.h>

#include "cli/input.h"
#include "cli/language.h"
#include "cli/memory.h"
#include "cli/model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "common/clock.h"
#include "common/log.h"

enum { TOKENS_DEFAULT = 256 };

typedef struct job {
    zm_cli_language language;
    zm_cli_sampling sampling;
    zm_cli_texts stops;
    const char *prompt, *system;
    uint32_t max_tokens;
    bool chat, past_end, json;
    char *text; /* the prompt */
    size_t size;
    int32_t *tokens;
    size_t count;
    zm_generation *generation;
    double total_seconds;
} job;

/* The line end that editors and echo put behind a text is none of it. */
static zm_status read_prompt(job *j, const char *path)
{
    zm_status status = zm_cli_input_read(j->prompt, path, &j->text, &j->size);
    if (status == ZM_OK && !j->prompt && j->size > 0 && j->text[j->size - 1] == '\n')
        j->size -= j->size > 1 && j->text[j->size - 2] == '\r' ? 2 : 1;
    return status;
}

static zm_status encode_chat(job *j)
{
    zm_chat *chat = NULL;
    const int32_t *tokens;
    zm_status status = zm_chat_create(j->language.tokenizer, j->system, zm_cli_log(), &chat);
    if (status == ZM_OK)
        status = zm_chat_ask(chat, j->text, j->size);
    if (status == ZM_OK) {
        j->count = zm_chat_get_tokens(chat, &tokens);
        j->tokens = calloc(j->count + 1, sizeof(*tokens));
        status = j->tokens ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
        for (size_t i = 0; j->tokens && i < j->count; i++)
            j->tokens[i] = tokens[i];
    }
    zm_chat_destroy(&chat);
    return status;
}

static zm_status encode(job *j)
{
    const zm_encode_params params = {.text = j->text, .size = j->size, .log = zm_cli_log()};
    if (j->chat)
        return encode_chat(j);
    zm_status status = zm_tokenizer_encode(j->language.tokenizer, &params, &j->tokens, &j->count);
    if (status == ZM_OK && j->count == 0)
        return zm_fail(zm_cli_log(), ZM_ERROR_INVALID_ARGUMENT, "the prompt is empty");
    return status;
}

static bool print_piece(void *user, const char *utf8, size_t size)
{
    (void)user;
    zm_cli_progress_yield();
    fwrite(utf8, 1, size, stdout);
    fflush(stdout);
    return !zm_cli_interrupted();
}

static bool go_on(void *user, const char *utf8, size_t size)
{
    (void)user, (void)utf8, (void)size;
    return !zm_cli_interrupted();
}

static double rate(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

static zm_cli_exit generate(job *j)
{
    const zm_generate_params params = {.tokens = j->tokens,
                                       .token_count = j->count,
                                       .max_tokens = j->max_tokens,
                                       .past_end = j->past_end,
                                       .stops = j->stops.values,
                                       .stop_count = j->stops.count,
                                       .sampling = zm_cli_sampling_get(&j->sampling),
                                       .progress = zm_cli_progress,
                                       .log = zm_cli_log()};
    const zm_status status = zm_generate(j->language.session, j->language.tokenizer, &params,
                                         j->json ? go_on : print_piece, NULL, &j->generation);
    if (!j->json && j->generation)
        putchar('\n');
    fflush(stdout);
    zm_cli_progress_resume();
    zm_cli_progress_hide();
    return zm_cli_result(status);
}

static void print_summary(const job *j)
{
    const zm_generation *g = j->generation;
    zm_cli_note("load %.2f s; prompt %u tokens, %.1f tok/s; text %zu tokens, %.1f tok/s; stop: %s",
                j->language.load_seconds, (unsigned)g->prompt_tokens,
                rate(g->prompt_tokens, g->prompt_seconds), g->token_count,
                rate(g->decoded_tokens, g->decode_seconds), zm_stop_name(g->stop));
}

static json_t *timings_json(const job *j)
{
    const zm_generation *g = j->generation;
    const zm_cli_field fields[] = {
        {"load_seconds", zm_cli_json_real(j->language.load_seconds)},
        {"prompt_seconds", zm_cli_json_real(g->prompt_seconds)},
        {"prompt_tokens_per_second", zm_cli_json_real(rate(g->prompt_tokens, g->prompt_seconds))},
        {"decode_seconds", zm_cli_json_real(g->decode_seconds)},
        {"decoded_tokens", json_integer(g->decoded_tokens)},
        {"decode_tokens_per_second", zm_cli_json_real(rate(g->decoded_tokens, g->decode_seconds))},
        {"total_seconds", zm_cli_json_real(j->total_seconds)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static zm_cli_exit print_json(const job *j)
{
    const zm_generation *g = j->generation;
    const zm_cli_split *devices = &j->language.devices;
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.generate/1")},
        {"version", json_string(zm_version())},
        {"device", zm_cli_device_json(zm_device_get_info(devices->all[0]))},
        {"model", zm_cli_model_json(j->language.model)},
        {"prompt_tokens", zm_cli_tokens_json(j->tokens, j->count)},
        {"text", zm_cli_json_text(g->text)},
        {"tokens", zm_cli_tokens_json(g->tokens, g->token_count)},
        {"stop", json_string(zm_stop_name(g->stop))},
        {"timings", timings_json(j)},
        {"peak_rss_bytes", json_integer((json_int_t)zm_cli_peak_memory())},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    zm_cli_split_add_json(devices, "split", object);
    return zm_cli_json_print(object);
}

/* Room for what the text can come to, where that is less than what there would be: caches are
 * cleared before they are used, which takes longer than all else of loading a small model. */
static void choose_context(job *j)
{
    uint32_t model = zm_model_get_info(j->language.model)->text.positions;
    uint64_t most = model && model < ZM_DEFAULT_POSITIONS ? model : ZM_DEFAULT_POSITIONS;
    uint64_t wanted = (uint64_t)j->count + j->max_tokens;
    if (!j->language.context && wanted < most)
        j->language.context = (uint32_t)wanted;
}

/* What can fail fast comes first. */
static zm_cli_exit run_job(job *j, const zm_cli_arguments *arguments)
{
    const uint64_t start = zm_clock_ns();
    zm_cli_exit code = zm_cli_language_open(&j->language, arguments->values[0]);
    if (code == ZM_CLI_OK)
        code = zm_cli_result(read_prompt(j, arguments->count > 1 ? arguments->values[1] : NULL));
    if (code == ZM_CLI_OK)
        code = zm_cli_result(encode(j));
    if (code == ZM_CLI_OK) {
        choose_context(j);
        code = zm_cli_language_load(&j->language, j->json);
    }
    if (code == ZM_CLI_OK)
        code = generate(j);
    j->total_seconds = zm_clock_since(start);
    if (code != ZM_CLI_OK)
        return code;
    if (j->json)
        return print_json(j);
    print_summary(j);
    return ZM_CLI_OK;
}

static zm_cli_exit check_options(const job *j, const zm_cli_arguments *arguments)
{
    const char *wrong = NULL;
    if (j->prompt && arguments->count > 1)
        wrong = "FILE and --prompt exclude each other";
    else if (j->system && !j->chat)
        wrong = "--system needs --chat";
    if (wrong)
        zm_cli_error("generate: %s (see 'zeromean generate --help')", wrong);
    return wrong ? ZM_CLI_USAGE : ZM_CLI_OK;
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {.max_tokens = TOKENS_DEFAULT};
    const zm_cli_option options[] = {
        {"prompt", 'p', "TEXT", "the prompt (default: FILE, or else standard input)", ZM_CLI_TEXT,
         &j.prompt},
        {"tokens", 'n', "N", "at most N tokens (default: 256)", ZM_CLI_COUNT, &j.max_tokens},
        ZM_CLI_SAMPLING_OPTIONS(&j.sampling),
        {"stop", 0, "TEXT", "end before this text; may be given several times", ZM_CLI_TEXTS,
         &j.stops},
        {"ignore-eos", 0, NULL, "go on where the model would end", ZM_CLI_FLAG, &j.past_end},
        {"chat", 0, NULL, "the prompt is a message; get the answer to it", ZM_CLI_FLAG, &j.chat},
        {"system", 0, "TEXT", "with --chat: what the model is told first", ZM_CLI_TEXT, &j.system},
        ZM_CLI_LANGUAGE_OPTIONS(&j.language),
        {"json", 0, NULL, "print JSON (schema zeromean.generate/1)", ZM_CLI_FLAG, &j.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_generate, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    code = check_options(&j, &arguments);
    if (code == ZM_CLI_OK) {
        zm_cli_progress_start();
        code = run_job(&j, &arguments);
    }
    free(j.text);
    free(j.tokens);
    zm_generation_destroy(&j.generation);
    zm_cli_language_close(&j.language);
    return code;
}

const zm_cli_command zm_cli_generate = {
    .name = "generate",
    .synopsis = "MODEL [FILE]",
    .summary = "Go on from a text, or answer a message",
    .details = ZM_CLI_LANGUAGE_HELP
    "The new text goes to stdout as it comes, everything else to stderr; times come last. A\n"
    "line end at the end of FILE or standard input is none of the prompt. Special tokens in\n"
    "the prompt count as such, but for --chat, which wants the chat template of the model to\n"
    "be of a known format (ChatML, Llama 2 and 3, Gemma, Zephyr, Mistral).\n\n"
    "Choosing a token: --repeat-penalty, --temp, --top-k, --top-p, --min-p, in this order,\n"
    "then a draw from --seed. At temperature 0 the most probable token is "
    "taken.\n\n" ZM_CLI_DEVICE_HELP ZM_CLI_SPLIT_HELP,
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};

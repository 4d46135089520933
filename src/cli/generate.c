/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean generate: a text goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* One of the texts that are generated together. */
typedef struct prompt {
    const char *text;
    size_t size;
    int32_t *tokens;
    size_t count;
} prompt;

typedef struct job {
    zm_cli_language language;
    zm_cli_sampling sampling;
    zm_cli_texts stops, texts;
    const char *system;
    uint32_t max_tokens;
    bool chat, past_end, batch, json;
    char *input; /* what was read */
    prompt *prompts;
    zm_generation **generations; /* of each; NULL until there are */
    uint32_t count;
    double total_seconds;
} job;

/* The prompt, or with --batch each line as one; the line end that editors and echo put behind a
 * text is none of it. */
static zm_status split_input(job *j, size_t size)
{
    for (size_t at = 0, next; at < size || j->count == 0; at = next) {
        for (next = at; next < size && !(j->batch && next > at && j->input[next - 1] == '\n');)
            next++;
        size_t stop = next;
        if (stop > at && j->input[stop - 1] == '\n')
            stop -= stop - at > 1 && j->input[stop - 2] == '\r' ? 2 : 1;
        if (j->count == ZM_MAX_SEQUENCES)
            return zm_fail(zm_cli_log(), ZM_ERROR_LIMIT, "more than %u prompts at once",
                           ZM_MAX_SEQUENCES);
        j->prompts[j->count++] = (prompt){.text = j->input + at, .size = stop - at};
    }
    return ZM_OK;
}

static zm_status read_prompts(job *j, const char *path)
{
    size_t size = 0;
    j->prompts = calloc(ZM_MAX_SEQUENCES, sizeof(*j->prompts));
    if (!j->prompts)
        return ZM_ERROR_OUT_OF_MEMORY;
    for (; j->count < j->texts.count; j->count++)
        j->prompts[j->count] =
            (prompt){.text = j->texts.values[j->count], .size = strlen(j->texts.values[j->count])};
    if (j->count)
        return ZM_OK;
    zm_status status = zm_cli_input_read(NULL, path, &j->input, &size);
    return status == ZM_OK ? split_input(j, size) : status;
}

static zm_status encode_chat(const job *j, prompt *p)
{
    zm_chat *chat = NULL;
    const int32_t *tokens;
    zm_status status = zm_chat_create(j->language.tokenizer, j->system, zm_cli_log(), &chat);
    if (status == ZM_OK)
        status = zm_chat_ask(chat, p->text, p->size);
    if (status == ZM_OK) {
        p->count = zm_chat_get_tokens(chat, &tokens);
        p->tokens = calloc(p->count + 1, sizeof(*tokens));
        status = p->tokens ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
        for (size_t i = 0; p->tokens && i < p->count; i++)
            p->tokens[i] = tokens[i];
    }
    zm_chat_destroy(&chat);
    return status;
}

static zm_status encode(const job *j, prompt *p)
{
    const zm_encode_params params = {.text = p->text, .size = p->size, .log = zm_cli_log()};
    if (j->chat)
        return encode_chat(j, p);
    zm_status status = zm_tokenizer_encode(j->language.tokenizer, &params, &p->tokens, &p->count);
    if (status == ZM_OK && p->count == 0)
        return zm_fail(zm_cli_log(), ZM_ERROR_INVALID_ARGUMENT,
                       j->count > 1 ? "prompt %u is empty" : "the prompt is empty",
                       (unsigned)(p - j->prompts) + 1);
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

/* Several texts don't fit on one stream: they are printed when all are there. */
static void print_texts(const job *j)
{
    for (uint32_t i = 0; j->count > 1 && i < j->count; i++) {
        printf("[%u]\n", (unsigned)i + 1);
        fwrite(j->generations[i]->text, 1, j->generations[i]->text_size, stdout);
        putchar('\n');
    }
    if (j->count == 1)
        putchar('\n');
}

static zm_status run_batch(job *j)
{
    const bool streams = !j->json && j->count == 1;
    zm_generate_params *params = calloc(j->count, sizeof(*params));
    void **users = calloc(j->count, sizeof(*users));
    zm_status status = ZM_ERROR_OUT_OF_MEMORY;
    j->generations = calloc(j->count, sizeof(zm_generation *));
    for (uint32_t i = 0; params && i < j->count; i++)
        params[i] = (zm_generate_params){.tokens = j->prompts[i].tokens,
                                         .token_count = j->prompts[i].count,
                                         .max_tokens = j->max_tokens,
                                         .past_end = j->past_end,
                                         .stops = j->stops.values,
                                         .stop_count = j->stops.count,
                                         .sampling = zm_cli_sampling_get(&j->sampling),
                                         .progress = zm_cli_progress,
                                         .log = zm_cli_log()};
    if (params && users && j->generations)
        status = zm_generate_batch(j->language.session, j->language.tokenizer, params, j->count,
                                   streams ? print_piece : go_on, users, j->generations);
    free(params);
    free(users);
    return status;
}

static zm_cli_exit generate(job *j)
{
    const zm_status status = run_batch(j);
    if (!j->json && j->generations && j->generations[0])
        print_texts(j);
    fflush(stdout);
    zm_cli_progress_resume();
    zm_cli_progress_hide();
    return zm_cli_result(status);
}

static void print_summary(const job *j)
{
    const zm_generation *first = j->generations[0];
    zm_cli_pace pace = {.prompt_seconds = first->prompt_seconds};
    for (uint32_t i = 0; i < j->count; i++) {
        const zm_generation *g = j->generations[i];
        pace.prompt_tokens += g->prompt_tokens;
        pace.tokens += g->token_count;
        pace.decoded += g->decoded_tokens;
        if (g->decode_seconds > pace.decode_seconds)
            pace.decode_seconds = g->decode_seconds;
    }
    zm_cli_language_summary(&j->language, &pace, j->count > 1 ? NULL : zm_stop_name(first->stop));
}

static json_t *timings_json(const job *j, const zm_generation *g)
{
    const zm_cli_field fields[] = {
        {"load_seconds", zm_cli_json_real(j->language.load_seconds)},
        {"prompt_seconds", zm_cli_json_real(g->prompt_seconds)},
        {"prompt_tokens_per_second",
         zm_cli_json_real(zm_cli_rate(g->prompt_tokens, g->prompt_seconds))},
        {"decode_seconds", zm_cli_json_real(g->decode_seconds)},
        {"decoded_tokens", json_integer(g->decoded_tokens)},
        {"decode_tokens_per_second",
         zm_cli_json_real(zm_cli_rate(g->decoded_tokens, g->decode_seconds))},
        {"total_seconds", zm_cli_json_real(j->total_seconds)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static json_t *text_json(const job *j, uint32_t i)
{
    const zm_generation *g = j->generations[i];
    const zm_cli_split *devices = &j->language.devices;
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.generate/1")},
        {"version", json_string(zm_version())},
        {"device", zm_cli_device_json(zm_device_get_info(devices->all[0]))},
        {"model", zm_cli_model_json(j->language.model)},
        {"prompt_tokens", zm_cli_tokens_json(j->prompts[i].tokens, j->prompts[i].count)},
        {"text", zm_cli_json_text(g->text)},
        {"tokens", zm_cli_tokens_json(g->tokens, g->token_count)},
        {"stop", json_string(zm_stop_name(g->stop))},
        {"timings", timings_json(j, g)},
        {"peak_rss_bytes", json_integer((json_int_t)zm_cli_peak_memory())},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    zm_cli_split_add_json(devices, "split", object);
    return object;
}

/* Several prompts: an array of what each would give alone. */
static zm_cli_exit print_json(const job *j)
{
    if (j->count == 1 && !j->batch)
        return zm_cli_json_print(text_json(j, 0));
    json_t *array = json_array();
    for (uint32_t i = 0; i < j->count; i++) {
        if (json_array_append_new(array, text_json(j, i)) != 0) {
            json_decref(array);
            array = NULL;
            break;
        }
    }
    return zm_cli_json_print(array);
}

/* Room for what the text can come to, where that is less than what there would be: caches are
 * cleared before they are used, which takes longer than all else of loading a small model. */
static void choose_context(job *j)
{
    uint32_t model = zm_model_get_info(j->language.model)->text.positions;
    uint64_t most = model && model < ZM_DEFAULT_POSITIONS ? model : ZM_DEFAULT_POSITIONS;
    uint64_t wanted = 0;
    for (uint32_t i = 0; i < j->count; i++)
        if (j->prompts[i].count > wanted)
            wanted = j->prompts[i].count;
    wanted += j->max_tokens;
    j->language.sequences = j->count;
    if (!j->language.context && wanted < most)
        j->language.context = (uint32_t)wanted;
}

/* What can fail fast comes first. */
static zm_cli_exit run_job(job *j, const zm_cli_arguments *arguments)
{
    const uint64_t start = zm_clock_ns();
    zm_cli_exit code = zm_cli_language_open(&j->language, arguments->values[0]);
    if (code == ZM_CLI_OK)
        code = zm_cli_result(read_prompts(j, arguments->count > 1 ? arguments->values[1] : NULL));
    for (uint32_t i = 0; code == ZM_CLI_OK && i < j->count; i++)
        code = zm_cli_result(encode(j, &j->prompts[i]));
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
    if (j->texts.count && arguments->count > 1)
        wrong = "FILE and --prompt exclude each other";
    else if (j->texts.count && j->batch)
        wrong = "--batch is for the lines of FILE; --prompt may be given several times";
    else if (j->system && !j->chat)
        wrong = "--system needs --chat";
    if (wrong)
        zm_cli_error("generate: %s (see 'zeromean generate --help')", wrong);
    return wrong ? ZM_CLI_USAGE : ZM_CLI_OK;
}

static void close_job(job *j)
{
    for (uint32_t i = 0; i < j->count; i++) {
        free(j->prompts[i].tokens);
        if (j->generations)
            zm_generation_destroy(&j->generations[i]);
    }
    free(j->prompts);
    free(j->generations);
    free(j->input);
    zm_cli_language_close(&j->language);
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {.max_tokens = TOKENS_DEFAULT};
    const zm_cli_option options[] = {
        {"prompt", 'p', "TEXT",
         "the prompt, one or several (default: FILE, or else standard input)", ZM_CLI_TEXTS,
         &j.texts},
        {"batch", 'b', NULL, "each line of FILE, or of standard input, is a prompt", ZM_CLI_FLAG,
         &j.batch},
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
    close_job(&j);
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
    "Several prompts go through the model together, which reads its weights once for all of\n"
    "them; the texts come at the end, each under its number. JSON is an array then.\n\n"
    "Choosing a token: --repeat-penalty, --temp, --top-k, --top-p, --min-p, in this order,\n"
    "then a draw from --seed. At temperature 0 the most probable token is "
    "taken.\n\n" ZM_CLI_DEVICE_HELP ZM_CLI_SPLIT_HELP,
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};

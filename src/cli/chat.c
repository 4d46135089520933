/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean chat: a conversation, line by line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zeromean/chat.h>

#include "cli/language.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"

typedef struct job {
    zm_cli_language language;
    zm_cli_sampling sampling;
    const char *system;
    uint32_t max_tokens;
    zm_chat *chat;
    zm_cli_pace pace; /* of all answers */
    uint32_t held;    /* tokens of the conversation that the session has decoded */
    bool begun;       /* something other than white space of the answer was printed */
} job;

static bool print_piece(void *user, const char *utf8, size_t size)
{
    job *j = user;
    for (; !j->begun && size > 0 && strchr(" \n", *utf8); size--)
        utf8++;
    if (size > 0) {
        zm_cli_progress_yield();
        j->begun = true;
        fwrite(utf8, 1, size, stdout);
        fflush(stdout);
    }
    return !zm_cli_interrupted();
}

static void add_pace(zm_cli_pace *pace, const zm_generation *generation)
{
    pace->prompt_tokens += generation->prompt_tokens;
    pace->prompt_seconds += generation->prompt_seconds;
    pace->tokens += generation->token_count;
    pace->decoded += generation->decoded_tokens;
    pace->decode_seconds += generation->decode_seconds;
}

/* Cancelled: the answer is what was there until then. */
static zm_status answer(job *j)
{
    zm_generation *generation = NULL;
    zm_generate_params params = {.held = j->held,
                                 .max_tokens = j->max_tokens,
                                 .sampling = zm_cli_sampling_get(&j->sampling),
                                 .progress = zm_cli_progress,
                                 .log = zm_cli_log()};
    params.token_count = zm_chat_get_tokens(j->chat, &params.tokens);
    j->begun = false;
    zm_status status = zm_generate(j->language.session, j->language.tokenizer, &params, print_piece,
                                   j, &generation);
    zm_cli_progress_resume();
    zm_cli_progress_hide();
    if (!generation)
        return status;
    putchar('\n');
    fflush(stdout);
    j->held = generation->held;
    j->sampling.seed = generation->seed;
    add_pace(&j->pace, generation);
    const zm_status added = zm_chat_answer(j->chat, generation->tokens, generation->token_count);
    if (generation->stop == ZM_STOP_LENGTH || generation->stop == ZM_STOP_CONTEXT)
        zm_cli_note("the answer was cut off by the limit of its %s",
                    generation->stop == ZM_STOP_LENGTH ? "length" : "context");
    zm_generation_destroy(&generation);
    return added == ZM_OK ? status : added;
}

static bool fits(const job *j)
{
    const int32_t *tokens;
    return zm_chat_get_tokens(j->chat, &tokens) <
           zm_session_get_info(j->language.session).positions;
}

static void forget(job *j)
{
    zm_chat_clear(j->chat);
    j->held = 0;
}

/* A line that is refused is said and forgotten; the conversation goes on. */
static zm_cli_exit take_line(job *j, const char *line, size_t size)
{
    if (zm_cli_result(zm_chat_ask(j->chat, line, size)) != ZM_CLI_OK)
        return ZM_CLI_OK;
    if (!fits(j)) {
        forget(j);
        zm_cli_note("the conversation is longer than the context of the model: it begins anew");
        if (zm_cli_result(zm_chat_ask(j->chat, line, size)) != ZM_CLI_OK)
            return ZM_CLI_OK;
    }
    const bool alone = !fits(j);
    const zm_status status = answer(j);
    if (status == ZM_ERROR_CANCELLED)
        return zm_cli_progress_again() ? ZM_CLI_OK : zm_cli_result(status);
    const zm_cli_exit code = zm_cli_result(status);
    if (alone)
        forget(j);
    return alone ? ZM_CLI_OK : code;
}

static zm_cli_exit converse(job *j)
{
    char *line = NULL;
    size_t capacity = 0;
    const bool prompt = isatty(STDIN_FILENO) == 1;
    zm_cli_exit code = ZM_CLI_OK;
    while (code == ZM_CLI_OK) {
        if (prompt)
            fputs("> ", stderr);
        const ssize_t size = getline(&line, &capacity, stdin);
        if (size < 0)
            break;
        if (!zm_cli_progress_again())
            code = zm_cli_result(ZM_ERROR_CANCELLED);
        else if (strspn(line, " \t\r\n") < (size_t)size)
            code = take_line(j, line, (size_t)size);
    }
    if (prompt)
        fputc('\n', stderr);
    free(line);
    return code;
}

static zm_cli_exit run_job(job *j, const char *path)
{
    zm_cli_exit code = zm_cli_language_open(&j->language, path);
    if (code == ZM_CLI_OK)
        code =
            zm_cli_result(zm_chat_create(j->language.tokenizer, j->system, zm_cli_log(), &j->chat));
    if (code == ZM_CLI_OK)
        code = zm_cli_language_load(&j->language, false);
    if (code == ZM_CLI_OK)
        code = converse(j);
    if (code == ZM_CLI_OK && j->pace.prompt_tokens)
        zm_cli_language_summary(&j->language, &j->pace, NULL);
    return code;
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {0};
    const zm_cli_option options[] = {
        {"system", 0, "TEXT", "what the model is told first (default: as its template says)",
         ZM_CLI_TEXT, &j.system},
        {"tokens", 'n', "N", "at most N tokens an answer (default: what the context has room for)",
         ZM_CLI_COUNT, &j.max_tokens},
        ZM_CLI_SAMPLING_OPTIONS(&j.sampling),
        ZM_CLI_LANGUAGE_OPTIONS(&j.language),
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_chat, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    zm_cli_progress_start();
    code = run_job(&j, arguments.values[0]);
    zm_chat_destroy(&j.chat);
    zm_cli_language_close(&j.language);
    return code;
}

const zm_cli_command zm_cli_chat = {
    .name = "chat",
    .synopsis = "MODEL",
    .summary = "Talk with a model",
    .details = ZM_CLI_LANGUAGE_HELP
    "Each line of standard input is a message; the answers go to stdout, and at the end the\n"
    "times to stderr. Ctrl-C stops an answer, Ctrl-D ends the conversation. When it no longer\n"
    "fits the context of the model, it begins anew with the last message. The chat template\n"
    "of the model has to be of a known format (ChatML, Llama 2 and 3, Gemma, Zephyr, "
    "Mistral).\n\n" ZM_CLI_DEVICE_HELP ZM_CLI_SPLIT_HELP,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};

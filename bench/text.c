/* SPDX-License-Identifier: Apache-2.0 */
/* clbench text: how fast a model of text reads a prompt, and goes on token by token. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <zeromean/session.h>

#include "clbench.h"
#include "cli/device.h"
#include "cli/memory.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "serve.h"
#include "session.h"

#define ROWS 3
#define DEFAULT_SECONDS 3.0

typedef struct options {
    const char *device;
    double seconds;
    bool json, serve;
} options;

typedef struct bench bench;

/* So many tokens, at once or one by one, from an empty cache on. */
typedef struct row {
    const char *name;
    uint32_t tokens;
    bool one_by_one;
    bench *of;
    timed thing;
    double call; /* seconds, the last time */
    stats_summary time;
} row;

struct bench {
    session s;
    zm_model *model;
    zm_session *run;
    float *logits;
    int32_t *tokens;
    row rows[ROWS];
    size_t count; /* of them: those for which the model has room */
};

static const row row_list[ROWS] = {
    {.name = "pp128", .tokens = 128},
    {.name = "pp512", .tokens = 512},
    {.name = "tg64", .tokens = 64, .one_by_one = true},
};

/* The session waits for each of its runs itself. */
static zm_status row_run(void *self, zm_stream *stream)
{
    const row *r = self;
    const bench *b = r->of;
    (void)stream;
    uint32_t together = r->one_by_one ? 1 : r->tokens;
    zm_status status = zm_session_rewind(b->run, 0, 0);
    for (uint32_t i = 0; status == ZM_OK && i < r->tokens; i += together)
        status = zm_session_decode(b->run, b->tokens + i, together, b->logits);
    return status;
}

/* The rows that a model made for so many tokens has room for; 0 = for any number. */
static uint32_t rows_take(bench *b, uint32_t positions)
{
    uint32_t most = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (positions && row_list[i].tokens > positions)
            continue;
        row *r = &b->rows[b->count++];
        *r = row_list[i];
        r->of = b;
        r->thing = (timed){.enqueue = row_run, .self = r};
        most = most > r->tokens ? most : r->tokens;
    }
    return most;
}

static zm_status bench_open(bench *b, const char *path)
{
    zm_status status = zm_model_open(path, &b->s.log, &b->model);
    if (status != ZM_OK)
        return status;
    const zm_model_info *info = zm_model_get_info(b->model);
    if (info->architecture != ZM_ARCHITECTURE_TEXT)
        return zm_fail(&b->s.log, ZM_ERROR_UNSUPPORTED, "%s: is no model of text", path);
    uint32_t most = rows_take(b, info->text.positions), vocabulary = info->text.vocabulary;
    if (most == 0)
        return zm_fail(&b->s.log, ZM_ERROR_UNSUPPORTED, "%s: has too little room", path);
    const zm_session_params params = {.log = &b->s.log, .positions = most};
    status = zm_session_create(b->s.device, b->model, &params, &b->run);
    if (status != ZM_OK)
        return status;
    b->logits = zm_calloc(vocabulary, sizeof(float));
    b->tokens = zm_calloc(most, sizeof(int32_t));
    if (!b->logits || !b->tokens)
        return ZM_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < most; i++) /* any ones */
        b->tokens[i] = (int32_t)(i * UINT64_C(2654435761) % vocabulary);
    return ZM_OK;
}

static void bench_close(bench *b)
{
    zm_session_destroy(&b->run);
    zm_model_close(&b->model);
    free(b->logits);
    free(b->tokens);
    session_close(&b->s);
}

static json_t *row_json(const row *r, bool times)
{
    json_t *object =
        json_pack("{ss sI ss}", "row", r->name, "tokens", (json_int_t)r->tokens, "status", "ok");
    if (times)
        json_object_update_new(object, json_pack("{sf sf sf sI}", "seconds", r->time.median, "low",
                                                 r->time.low, "high", r->time.high, "samples",
                                                 (json_int_t)r->time.count));
    return object;
}

static zm_cli_exit print_json(const bench *b, const char *schema, bool times)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < b->count; i++)
        json_array_append_new(rows, row_json(&b->rows[i], times));
    zm_cli_exit code =
        zm_cli_json_print(json_pack("{ss ss so so sI}", "schema", schema, "version", zm_version(),
                                    "device", zm_cli_device_json(b->s.info), "rows", rows,
                                    "peak_rss_bytes", (json_int_t)zm_cli_peak_memory()));
    fflush(stdout);
    return code;
}

static zm_status measure(bench *b, double seconds, timing_report *report)
{
    timed things[ROWS];
    const timing_options how = {.seconds = seconds};
    for (size_t i = 0; i < b->count; i++)
        things[i] = b->rows[i].thing;
    zm_status status = timing_run(b->s.stream, things, b->count, &how, report);
    for (size_t i = 0; i < b->count; i++) {
        if (status == ZM_OK)
            status = timed_summarize(&things[i], report->rounds, &b->rows[i].time);
        timed_finish(&things[i]);
    }
    return status;
}

static zm_cli_exit print_table(const bench *b, const timing_report *report)
{
    printf("%-6s %8s %12s %10s %21s\n", "row", "tokens", "ms", "tok/s", "95 % of the median");
    for (size_t i = 0; i < b->count; i++) {
        const row *r = &b->rows[i];
        printf("%-6s %8u %12.3f %10.1f %10.1f %10.1f\n", r->name, (unsigned)r->tokens,
               r->time.median * 1e3, r->tokens / r->time.median, r->tokens / r->time.high,
               r->tokens / r->time.low);
    }
    printf("%zu rounds, %zu dropped%s; peak memory %.0f MB\n", report->rounds, report->dropped,
           report->noisy ? ", noisy" : "", (double)zm_cli_peak_memory() * 1e-6);
    return ZM_CLI_OK;
}

static zm_cli_exit answer(void *user, size_t index, double seconds, const char *word)
{
    bench *b = user;
    row *r = &b->rows[index];
    if (word[0]) {
        zm_cli_error("serve: row %zu can't be asked for that: %s", index, word);
        return ZM_CLI_FAILED;
    }
    return serve_time(&b->s, &r->thing, index, seconds, &r->call);
}

static zm_cli_exit fail(const bench *b, zm_status status)
{
    zm_cli_error("%s", session_reason(&b->s, status));
    return ZM_CLI_FAILED;
}

static zm_cli_exit serve_rows(bench *b)
{
    for (size_t i = 0; i < b->count; i++) {
        row *r = &b->rows[i];
        zm_status status = timing_probe(b->s.stream, &r->thing, &r->call);
        if (status != ZM_OK)
            return fail(b, status);
    }
    zm_cli_exit code = print_json(b, "clbench.serve/1", false);
    return code == ZM_CLI_OK ? serve_lines(b->count, answer, b) : code;
}

static zm_cli_exit time_rows(bench *b, const options *o)
{
    timing_report report;
    zm_status status = measure(b, o->seconds, &report);
    if (status != ZM_OK)
        return fail(b, status);
    return o->json ? print_json(b, "clbench.text/1", true) : print_table(b, &report);
}

static zm_cli_exit run(int argc, char **argv)
{
    options o = {.seconds = DEFAULT_SECONDS};
    const zm_cli_option table[] = {
        {"device", 'd', "SPEC", "the device", ZM_CLI_TEXT, &o.device},
        {"time", 't', "SECONDS", "for all rows together; default 3", ZM_CLI_REAL, &o.seconds},
        {"serve", 0, NULL, "set up, then time on request (docs/clbench.md)", ZM_CLI_FLAG, &o.serve},
        {"json", 0, NULL, "print JSON (schema clbench.text/1)", ZM_CLI_FLAG, &o.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    bench b = {0};
    if (!zm_cli_parse(&clbench_text, table, sizeof(table) / sizeof(table[0]), argc, argv,
                      &arguments, &code))
        return code;
    if (o.json && o.serve) {
        zm_cli_error("text: --json and --serve exclude each other (see 'clbench text --help')");
        return ZM_CLI_USAGE;
    }
    code = session_open(&b.s, o.device);
    if (code != ZM_CLI_OK)
        return code;
    zm_status status = bench_open(&b, arguments.values[0]);
    code = status != ZM_OK ? fail(&b, status) : o.serve ? serve_rows(&b) : time_rows(&b, &o);
    bench_close(&b);
    return code;
}

const zm_cli_command clbench_text = {
    .name = "text",
    .synopsis = "MODEL",
    .summary = "Time a model of text: prompts, and tokens one by one",
    .details =
        "MODEL is a GGUF file, or a directory, as 'zeromean generate' takes it. The rows are\n"
        "prompts of 128 and of 512 tokens, and 64 tokens one by one, each from an empty\n"
        "cache on, with the logits of the last token. They take turns; rounds during\n"
        "which other processes worked are dropped.\n\n" ZM_CLI_DEVICE_HELP,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};

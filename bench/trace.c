/* SPDX-License-Identifier: Apache-2.0 */
/* clbench trace: what a device does when, launch by launch, for the viewers of Chrome traces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zeromean/session.h>

#include "clbench.h"
#include "cli/device.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "common/file.h"
#include "net_profile.h"
#include "print.h"
#include "session.h"

#define MOST_RECORDS (1u << 16)
#define PROMPT 4 /* tokens */

#define DEFAULT_SHAPE "gpt2-small"
#define DEFAULT_TOKENS 8

typedef struct options {
    const char *device, *model, *output, *shape, *norm;
    uint32_t tokens, runs;
    net n; /* where there is no model */
    const net_form *form;
} options;

typedef struct trace {
    json_t *root;
    size_t count;
    uint64_t lost, span_ns;
    row_profile profile; /* of all runs together */
} trace;

/* ---- records to JSON ---- */

static json_t *launch_json(const zm_record *r, uint64_t origin)
{
    const zm_cli_field args[] = {
        {"node", zm_cli_json_text(r->node)},
        {"kernel", json_string(r->kernel)},
        {"candidate", json_string(r->candidate)},
        {"queued", json_real((double)(r->queued_ns - origin) / 1000.0)},
    };
    const zm_cli_field fields[] = {
        {"name", json_string(r->op)},
        {"cat", json_string("launch")},
        {"ph", json_string("X")},
        {"ts", json_real((double)(r->start_ns - origin) / 1000.0)},
        {"dur", json_real((double)(r->end_ns - r->start_ns) / 1000.0)},
        {"pid", json_integer(0)},
        {"tid", json_integer(0)},
        {"args", zm_cli_json_object(args, sizeof(args) / sizeof(args[0]))},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static json_t *name_json(const char *what, const char *name)
{
    const zm_cli_field args[] = {{"name", zm_cli_json_text(name)}};
    const zm_cli_field fields[] = {
        {"name", json_string(what)},
        {"ph", json_string("M")},
        {"pid", json_integer(0)},
        {"tid", json_integer(0)},
        {"args", zm_cli_json_object(args, 1)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static zm_status trace_make(trace *t, const zm_device_info *info, const zm_records *records)
{
    json_t *events = json_array();
    uint64_t origin = records->count ? records->records[0].queued_ns : 0;
    int failed = json_array_append_new(events, name_json("process_name", info->name));
    failed |= json_array_append_new(events, name_json("thread_name", "stream"));
    for (size_t i = 0; !failed && i < records->count; i++)
        failed = json_array_append_new(events, launch_json(&records->records[i], origin));
    net_profile_sum(records, 1, &t->profile);
    const zm_cli_field about[] = {
        {"program", json_string("clbench")},
        {"version", json_string(zm_version())},
        {"device", zm_cli_json_text(info->name)},
        {"driver", zm_cli_json_text(info->driver)},
        {"lost", json_integer((json_int_t)records->lost)},
    };
    const zm_cli_field fields[] = {
        {"traceEvents", events},
        {"displayTimeUnit", json_string("ms")},
        {"otherData", zm_cli_json_object(about, sizeof(about) / sizeof(about[0]))},
    };
    t->root = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    t->count = records->count;
    t->lost = records->lost;
    if (records->count)
        t->span_ns = records->records[records->count - 1].end_ns - records->records[0].start_ns;
    return t->root && !failed ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
}

/* ---- what is run ---- */

/* Once to build kernels, which nobody wants to look at, then the runs that count. */
static zm_status net_runs(zm_executable *exe, zm_stream *stream, uint32_t runs, zm_records *out)
{
    zm_status status = zm_stream_take_records(stream, out); /* of filling the weights */
    if (status == ZM_OK)
        status = zm_executable_run(exe, stream, NULL);
    if (status == ZM_OK)
        status = zm_stream_take_records(stream, out);
    for (uint32_t i = 0; status == ZM_OK && i < runs; i++)
        status = zm_executable_run(exe, stream, NULL);
    return status == ZM_OK ? zm_stream_take_records(stream, out) : status;
}

static zm_status trace_net_runs(session *s, const options *o, trace *t)
{
    const zm_stream_params kept = {.records = MOST_RECORDS};
    zm_stream *stream = NULL;
    net_weights weights = {0};
    net_run run = {0};
    zm_records records;
    zm_status status = zm_stream_create(s->device, &kept, &stream);
    if (status == ZM_OK)
        status =
            net_weights_create(s->device, stream, &o->n, ZM_DTYPE_NONE, ZM_DTYPE_NONE, &weights);
    if (status == ZM_OK)
        status = net_run_create(&weights, o->form, &s->log, &run);
    if (status == ZM_OK)
        status = net_runs(run.exe, stream, o->runs, &records);
    if (status == ZM_OK)
        status = trace_make(t, s->info, &records);
    net_run_destroy(&run);
    net_weights_destroy(&weights);
    zm_stream_destroy(&stream);
    return status;
}

/* Silence where there is an encoder, a prompt, and then tokens one by one: which ones does not
 * matter. */
static zm_status model_run(zm_session *run, int32_t first, const float *mel, float *logits,
                           uint32_t tokens)
{
    int32_t token[PROMPT];
    for (size_t i = 0; i < PROMPT; i++)
        token[i] = first;
    zm_status status = mel ? zm_session_encode(run, mel) : zm_session_rewind(run, 0, 0);
    if (status == ZM_OK)
        status = zm_session_decode(run, token, PROMPT, logits);
    for (uint32_t i = 0; status == ZM_OK && i < tokens; i++)
        status = zm_session_decode(run, token, 1, logits);
    return status;
}

static zm_status model_runs(session *s, const options *o, const zm_model *model, trace *t)
{
    const zm_model_info *info = zm_model_get_info(model);
    const zm_whisper_info *whisper = &info->whisper;
    const zm_session_params params = {.log = zm_cli_log(), .records = MOST_RECORDS};
    const bool encodes = info->architecture == ZM_ARCHITECTURE_WHISPER;
    const int32_t first = encodes ? whisper->start_token : 0;
    float *mel = encodes ? zm_calloc(2 * (size_t)whisper->encoder_positions * whisper->mel_bins,
                                     sizeof(float))
                         : NULL;
    float *logits = zm_calloc(encodes ? whisper->vocabulary : info->text.vocabulary, sizeof(float));
    zm_session *run = NULL;
    zm_records records;
    if (info->architecture == ZM_ARCHITECTURE_VISION) {
        free(logits);
        return zm_fail(zm_cli_log(), ZM_ERROR_UNSUPPORTED, "%s: %s models are not traced",
                       info->path, info->architecture_name);
    }
    zm_status status = logits && (mel || !encodes)
                           ? zm_session_create(s->device, model, &params, &run)
                           : ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_OK)
        status = model_run(run, first, mel, logits, 1);
    if (status == ZM_OK)
        status = zm_session_take_records(run, 0, &records);
    for (uint32_t i = 0; status == ZM_OK && i < o->runs; i++)
        status = model_run(run, first, mel, logits, o->tokens ? o->tokens : DEFAULT_TOKENS);
    if (status == ZM_OK)
        status = zm_session_take_records(run, 0, &records);
    if (status == ZM_OK)
        status = trace_make(t, s->info, &records);
    zm_session_destroy(&run);
    free(mel);
    free(logits);
    return status;
}

static zm_status trace_model_runs(session *s, const options *o, trace *t)
{
    zm_model *model = NULL;
    zm_status status = zm_model_open(o->model, zm_cli_log(), &model);
    if (status == ZM_OK)
        status = model_runs(s, o, model, t);
    zm_model_close(&model);
    return status;
}

/* ---- the file, and what it says in short ---- */

static int write_piece(const char *text, size_t size, void *user)
{
    return zm_writer_write(user, text, size) == ZM_OK ? 0 : -1;
}

static void print_totals(const options *o, const trace *t)
{
    print_kernels_head();
    print_kernels(o->model ? "model" : o->form->name, &t->profile);
    printf("%-71s %9zu %12.3f of %.3f ms\n", "all", t->count, t->profile.seconds * 1e3,
           (double)t->span_ns * 1e-6);
    if (t->lost)
        zm_cli_note("the last %llu launches found no room in the trace",
                    (unsigned long long)t->lost);
}

/* Whether the file can be written is known before anything is run. */
static zm_status make(session *s, const options *o, trace *t)
{
    zm_writer writer;
    zm_status status = zm_writer_open(&writer, o->output, zm_cli_log());
    if (status != ZM_OK)
        return status;
    status = o->model ? trace_model_runs(s, o, t) : trace_net_runs(s, o, t);
    if (status == ZM_OK && json_dump_callback(t->root, write_piece, &writer, JSON_COMPACT) != 0)
        status = ZM_ERROR_IO;
    if (status == ZM_OK)
        status = zm_writer_commit(&writer);
    zm_writer_discard(&writer);
    return status;
}

static zm_cli_exit usage(const char *option, const char *what)
{
    zm_cli_error("trace: option --%s%s (see 'clbench trace --help')", option, what);
    return ZM_CLI_USAGE;
}

/* What is run: a model, or else one block as clbench block has it. */
static zm_cli_exit settle(options *o)
{
    const net_form *forms[NET_MAX_FORMS];
    shape_reason reason;
    char text[sizeof(reason.text) + 2];
    if (!o->output)
        return usage("output", " is missing");
    if (o->model)
        return o->shape || o->norm ? usage("model", ": not with --shape or --norm") : ZM_CLI_OK;
    if (o->tokens)
        return usage("tokens", ": only with --model; of a block they are part of --shape");
    if (net_read(o->shape ? o->shape : DEFAULT_SHAPE, &o->n, &reason) != ZM_OK) {
        snprintf(text, sizeof(text), ": %s", reason.text);
        return usage("shape", text);
    }
    if (net_forms_read(o->norm ? o->norm : net_form_at(0)->name, forms) != 1)
        return usage("norm", ": one form, as 'clbench block --list' shows them");
    o->n.layers = 1;
    o->form = forms[0];
    return ZM_CLI_OK;
}

static zm_cli_exit run(int argc, char **argv)
{
    options o = {.runs = 1};
    const zm_cli_option list[] = {
        {"output", 'o', "FILE", "the trace; it replaces a file of that name", ZM_CLI_TEXT,
         &o.output},
        {"shape", 's', "SHAPE", "of a block, as clbench block has it; default " DEFAULT_SHAPE,
         ZM_CLI_TEXT, &o.shape},
        {"norm", 0, "FORM", "of its norms; default ln", ZM_CLI_TEXT, &o.norm},
        {"model", 'm', "MODEL", "a model, in place of a block", ZM_CLI_TEXT, &o.model},
        {"tokens", 0, "COUNT", "that a model decodes; default 8", ZM_CLI_COUNT, &o.tokens},
        {"runs", 'n', "COUNT", "one after the other; default 1", ZM_CLI_COUNT, &o.runs},
        {"device", 'd', "SPEC", "the device", ZM_CLI_TEXT, &o.device},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&clbench_trace, list, sizeof(list) / sizeof(list[0]), argc, argv, &arguments,
                      &code))
        return code;
    code = settle(&o);
    if (code != ZM_CLI_OK)
        return code;
    session s;
    trace t = {0};
    code = session_open(&s, o.device);
    if (code != ZM_CLI_OK)
        return code;
    zm_status status = make(&s, &o, &t);
    if (status == ZM_OK)
        print_totals(&o, &t);
    else if (s.message[0])
        zm_cli_error("%s", session_reason(&s, status));
    code = s.message[0] && status != ZM_OK ? ZM_CLI_FAILED : zm_cli_result(status);
    json_decref(t.root);
    session_close(&s);
    return code;
}

const zm_cli_command clbench_trace = {
    .name = "trace",
    .synopsis = "-o TRACE.json",
    .summary = "Show when a device does what, launch by launch",
    .details = "Runs a model, which encodes silence and decodes tokens, or a block as 'clbench\n"
               "block' times it, and writes when each launch began and ended on the clock of the\n"
               "device, as a Chrome trace: chrome://tracing, ui.perfetto.dev. Prints the time\n"
               "that each kernel took.\n\n" ZM_CLI_DEVICE_HELP,
    .run = run,
};

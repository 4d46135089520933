/* SPDX-License-Identifier: Apache-2.0 */
/* clbench block, model: networks of standard blocks with each kind of norm, as one graph each. */
#include <stdio.h>
#include <string.h>

#include "clbench.h"
#include "cli/device.h"
#include "cli/output.h"
#include "net_measure.h"
#include "peak.h"
#include "print.h"

#define DEFAULT_SHAPE "gpt2-small"
#define PEAK_SECONDS 0.4

typedef struct options {
    const zm_cli_command *command;
    const char *shape, *norms, *device;
    uint32_t layers, batch, type, weight_type; /* types: words of TYPES, from 1 */
    double seconds;
    bool model, decode, json, csv, no_peak, list, serve;
} options;

#define TYPES "f32|f16|bf16"
static const zm_dtype types[] = {ZM_DTYPE_NONE, ZM_F32, ZM_F16, ZM_BF16};

static zm_cli_exit usage(const options *o, const char *option, const char *what)
{
    zm_cli_error("%s: --%s: %s (see '%s %s --help')", o->command->name, option, what,
                 zm_cli_program(), o->command->name);
    return ZM_CLI_USAGE;
}

static void list_all(void)
{
    const net *preset;
    const net_form *form;
    char text[SHAPE_TEXT];
    for (size_t i = 0; (preset = net_preset(i)) != NULL; i++) {
        net sizes = *preset;
        sizes.name = "";
        net_print(&sizes, text, sizeof(text));
        printf("%-20s %s\n", preset->name, text);
    }
    printf("\nforms:");
    for (size_t i = 0; (form = net_form_at(i)) != NULL; i++)
        printf(" %s", form->name);
    printf("\n");
}

static zm_cli_exit finish(const options *o, const session *s, const result *r)
{
    zm_cli_exit code = o->json ? zm_cli_json_print(result_to_json(r, s->info)) : ZM_CLI_OK;
    return print_outcome(r) ? code : ZM_CLI_FAILED;
}

static bool has_profile(const result *r)
{
    for (size_t i = 0; i < r->row_count; i++)
        if (r->rows[i].profile.runs)
            return true;
    return false;
}

static void show(const options *o, const result *r)
{
    if (o->csv)
        print_csv_head();
    else if (!o->json && r->row_count)
        printf("%s %s  %s/%s\n", r->rows[0].op, r->rows[0].shape, r->rows[0].type,
               r->rows[0].weight_type);
    if (!o->csv && !o->json)
        print_graph_head();
    for (size_t i = 0; i < r->row_count; i++) {
        if (o->csv)
            print_csv_row(&r->rows[i]);
        else if (!o->json)
            print_graph_row(&r->rows[i]);
    }
    if (o->csv || o->json || !has_profile(r))
        return;
    print_kernels_head();
    for (size_t i = 0; i < r->row_count; i++)
        print_kernels(r->rows[i].kernel, &r->rows[i].profile);
}

static zm_cli_exit measure(const options *o, session *s, const net *n, const net_options *how)
{
    result r;
    zm_cli_exit code = ZM_CLI_FAILED;
    const peak_options quick = {.seconds = PEAK_SECONDS, .first = 28, .last = 28, .step = 4};
    result_init(&r, o->command->name, s->info);
    if (!o->no_peak && !o->serve && peak_measure(s, &quick, &r.peak) != ZM_OK)
        zm_cli_note("warning: no ceilings: %s", r.peak.reason);
    net_options with = *how;
    with.peak = &r.peak;
    with.serve = o->serve ? &code : NULL;
    zm_status status = net_measure(s, n, &with, &r);
    if (!o->serve)
        show(o, &r);
    else if (r.row_count && r.rows[0].status == ROW_SKIPPED)
        zm_cli_error("%s", r.rows[0].reason);
    if (status != ZM_OK)
        code = zm_cli_result(status);
    else if (!o->serve)
        code = finish(o, s, &r);
    result_finish(&r);
    return code;
}

static bool parse(options *o, int argc, char **argv, zm_cli_exit *code)
{
    const zm_cli_option table[] = {
        {"shape", 's', "SHAPE", "a preset, or KEY=NUMBER and flags; default " DEFAULT_SHAPE,
         ZM_CLI_TEXT, &o->shape},
        {"norm", 0, "LIST", "forms of the norms, with commas, as --list shows them; default: all",
         ZM_CLI_TEXT, &o->norms},
        {"layers", 0, "N", "so many blocks", ZM_CLI_COUNT, &o->layers},
        {"batch", 'b', "N", "so many sequences at once", ZM_CLI_COUNT, &o->batch},
        {"type", 0, TYPES, "of activations; default: the device's", ZM_CLI_CHOICE, &o->type},
        {"weight-type", 'w', TYPES, "of weights; default f32", ZM_CLI_CHOICE, &o->weight_type},
        {"device", 'd', "SPEC", "the device", ZM_CLI_TEXT, &o->device},
        {"time", 't', "SECONDS", "for each form; default 1", ZM_CLI_REAL, &o->seconds},
        {"no-peak", 0, NULL, "don't measure ceilings", ZM_CLI_FLAG, &o->no_peak},
        {"list", 0, NULL, "list presets and forms; time nothing", ZM_CLI_FLAG, &o->list},
        {"csv", 0, NULL, "print CSV", ZM_CLI_FLAG, &o->csv},
        {"json", 0, NULL, "print JSON (schema " RESULT_SCHEMA ")", ZM_CLI_FLAG, &o->json},
        {"serve", 0, NULL, "set up, then time on request (docs/clbench.md)", ZM_CLI_FLAG,
         &o->serve},
        {"decode", 0, NULL, "one token, with a cache of the others", ZM_CLI_FLAG, &o->decode},
    };
    zm_cli_arguments arguments;
    size_t count = sizeof(table) / sizeof(table[0]) - !o->model;
    return zm_cli_parse(o->command, table, count, argc, argv, &arguments, code);
}

static zm_cli_exit run(const zm_cli_command *command, bool model, int argc, char **argv)
{
    options o = {
        .command = command, .model = model, .shape = DEFAULT_SHAPE, .seconds = 1, .norms = NULL};
    net n;
    shape_reason reason;
    session s;
    zm_cli_exit code;
    if (!parse(&o, argc, argv, &code))
        return code;
    if (o.list) {
        list_all();
        return ZM_CLI_OK;
    }
    if (net_read(o.shape, &n, &reason) != ZM_OK)
        return usage(&o, "shape", reason.text);
    if (o.batch && net_set_batch(&n, o.batch, &reason) != ZM_OK)
        return usage(&o, "batch", reason.text);
    net_options how = {.what = o.decode ? "decode" : command->name,
                       .type = types[o.type],
                       .weight_type = types[o.weight_type],
                       .seconds = o.seconds,
                       .profile = true};
    how.form_count = net_forms_read(o.norms, how.forms);
    if (!how.form_count)
        return usage(&o, "norm", "a word is no form, or is there twice");
    if (o.csv + o.json + o.serve > 1)
        return usage(&o, o.serve ? "serve" : "csv", "not with --json or --csv");
    n.layers = o.layers ? o.layers : model ? n.layers : 1;
    if (o.decode) { /* the last of the tokens */
        n.past += n.tokens - 1;
        n.tokens = 1;
    }
    code = session_open(&s, o.device);
    if (code != ZM_CLI_OK)
        return code;
    code = measure(&o, &s, &n, &how);
    session_close(&s);
    return code;
}

static zm_cli_exit run_block(int argc, char **argv)
{
    return run(&clbench_block, false, argc, argv);
}

static zm_cli_exit run_model(int argc, char **argv)
{
    return run(&clbench_model, true, argc, argv);
}

#define DETAILS                                                                                \
    "Weights are made up from a seed. All forms but 'none' compute the same function, which\n" \
    "is checked before they are timed, in turns; the times of the others are held against\n"   \
    "the first one's.\n\n"

const zm_cli_command clbench_block = {
    .name = "block",
    .synopsis = "",
    .summary = "Time transformer blocks with each kind of norm",
    .details = DETAILS ZM_CLI_DEVICE_HELP,
    .run = run_block,
};

const zm_cli_command clbench_model = {
    .name = "model",
    .synopsis = "",
    .summary = "The same with all blocks of a model, or with one token only",
    .details = DETAILS ZM_CLI_DEVICE_HELP,
    .run = run_model,
};

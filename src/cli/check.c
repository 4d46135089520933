/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean check: are two models the same function? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zeromean/check.h>
#include <zeromean/text.h>

#include "cli/check_page.h"
#include "cli/device.h"
#include "cli/input.h"
#include "cli/model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/split.h"
#include "common/log.h"

enum { TEXT_TOKENS = 512 };

typedef struct check {
    const char *device_specs, *device_b_specs, *split, *kernels, *audio, *text, *html;
    uint32_t tokens;
    double tolerance;
    bool truth, json;
    zm_model *a, *b;
    zm_cli_split devices_a, devices_b; /* b of none: those of a */
    float *mel;
    int32_t *read; /* text */
    size_t read_count;
    zm_check_report *report;
} check;

static zm_cli_exit open_devices(check *c)
{
    const char *b = c->device_b_specs;
    if (c->truth) {
        zm_cli_exit code = zm_cli_split_open("host:f64", NULL, NULL, &c->devices_a);
        return code != ZM_CLI_OK ? code
                                 : zm_cli_split_open(b ? b : c->device_specs, c->split, c->kernels,
                                                     &c->devices_b);
    }
    zm_cli_exit code = zm_cli_split_open(c->device_specs, c->split, c->kernels, &c->devices_a);
    if (code == ZM_CLI_OK && b)
        code = zm_cli_split_open(b, NULL, c->kernels, &c->devices_b);
    return code;
}

/* Tokens of a text for a model of text. */
static zm_status read_text(check *c, const zm_log *log)
{
    static const char sentence[] =
        "In the beginning the mean was there, and nobody read it; so it was taken away.";
    const zm_model_info *info = zm_model_get_info(c->a);
    zm_tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t size = 0;
    zm_status status = zm_tokenizer_open(info->path, log, &tokenizer);
    if (status == ZM_OK)
        status = zm_cli_input_read(c->text ? NULL : sentence, c->text, &text, &size);
    const zm_encode_params params = {.text = text, .size = size, .literal = true, .log = log};
    if (status == ZM_OK)
        status = zm_tokenizer_encode(tokenizer, &params, &c->read, &c->read_count);
    uint32_t half = (info->text.positions + 1) / 2; /* the rest is for tokens of its own */
    size_t most = half && half < TEXT_TOKENS ? half : TEXT_TOKENS;
    if (c->read_count > most)
        c->read_count = most;
    if (status == ZM_OK && c->read_count == 0)
        status = zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: has no text", c->text);
    free(text);
    zm_tokenizer_close(&tokenizer);
    return status;
}

static zm_cli_exit read_input(check *c)
{
    const zm_model_info *info = zm_model_get_info(c->a);
    zm_status status = ZM_OK;
    if (c->text && info->architecture != ZM_ARCHITECTURE_TEXT)
        status =
            zm_fail(zm_cli_log(), ZM_ERROR_INVALID_ARGUMENT, "%s: a model of type %s reads no text",
                    info->path, info->architecture_name);
    else if (c->audio && info->architecture != ZM_ARCHITECTURE_WHISPER)
        status =
            zm_fail(zm_cli_log(), ZM_ERROR_INVALID_ARGUMENT,
                    "%s: a model of type %s hears no audio", info->path, info->architecture_name);
    else if (c->audio)
        status = zm_cli_mel_read(c->audio, info, &c->mel);
    else if (c->text)
        status = read_text(c, zm_cli_log());
    else if (info->architecture == ZM_ARCHITECTURE_TEXT)
        read_text(c, NULL); /* the library has tokens for a model that has no tokenizer */
    return zm_cli_result(status);
}

static zm_cli_exit open_all(check *c, char **paths)
{
    zm_cli_exit code = zm_cli_result(zm_model_open(paths[0], zm_cli_log(), &c->a));
    if (code == ZM_CLI_OK)
        code = zm_cli_result(zm_model_open(paths[1], zm_cli_log(), &c->b));
    if (code == ZM_CLI_OK)
        code = read_input(c);
    if (code == ZM_CLI_OK)
        code = open_devices(c);
    return code;
}

static void close_all(check *c)
{
    zm_check_report_destroy(&c->report);
    free(c->mel);
    free(c->read);
    zm_cli_split_close(&c->devices_b);
    zm_cli_split_close(&c->devices_a);
    zm_model_close(&c->b);
    zm_model_close(&c->a);
}

static json_t *rows_json(const zm_check_report *report)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < report->row_count; i++) {
        const zm_check_row *row = &report->rows[i];
        const zm_cli_field fields[] = {
            {"what", json_string(row->what)},
            {"layer", json_integer(row->layer)},
            {"relative_l2", zm_cli_json_real(row->relative_l2)},
            {"max_abs", zm_cli_json_real(row->max_abs)},
            {"mean_a", zm_cli_json_real(row->mean_a)},
            {"mean_b", zm_cli_json_real(row->mean_b)},
            {"rms_a", zm_cli_json_real(row->rms_a)},
            {"rms_b", zm_cli_json_real(row->rms_b)},
            {"channel", json_integer(row->channel)},
            {"channel_rms", zm_cli_json_real(row->channel_rms)},
        };
        json_array_append_new(rows, zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0])));
    }
    return rows;
}

static const zm_cli_split *devices_of_b(const check *c)
{
    return c->devices_b.count ? &c->devices_b : &c->devices_a;
}

static json_t *check_json(const check *c)
{
    const zm_check_report *report = c->report;
    const zm_cli_split *b = devices_of_b(c);
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.check/1")},
        {"version", json_string(zm_version())},
        {"a", zm_cli_model_json(c->a)},
        {"b", zm_cli_model_json(c->b)},
        {"device_a", zm_cli_device_json(zm_device_get_info(c->devices_a.all[0]))},
        {"device_b", zm_cli_device_json(zm_device_get_info(b->all[0]))},
        {"rows", rows_json(report)},
        {"final_relative_l2", zm_cli_json_real(report->final_relative_l2)},
        {"tolerance", zm_cli_json_real(c->tolerance)},
        {"tokens", json_integer(report->tokens)},
        {"tokens_equal", json_integer(report->tokens_equal)},
        {"top", json_integer(report->top)},
        {"top_agreement", zm_cli_json_real(report->top_agreement)},
        {"equal", json_boolean(report->equal)},
        {"verdict", json_string(zm_verdict_name(report->verdict))},
        {"budget_f32", zm_cli_json_real(ZM_CHECK_F32_BUDGET)},
        {"budget_f64", zm_cli_json_real(ZM_CHECK_F64_BUDGET)},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    if (report->perplexity_a > 0) {
        json_object_set_new(object, "perplexity_a", zm_cli_json_real(report->perplexity_a));
        json_object_set_new(object, "perplexity_b", zm_cli_json_real(report->perplexity_b));
        json_object_set_new(object, "perplexity_change",
                            zm_cli_json_real(report->perplexity_change));
    }
    zm_cli_split_add_json(&c->devices_a, "split_a", object);
    zm_cli_split_add_json(b, "split_b", object);
    return object;
}

static void print_table(const check *c)
{
    const zm_check_report *report = c->report;
    char what[ZM_CLI_ROW_NAME], verdict[ZM_CLI_VERDICT];
    printf("%-20s %12s %10s %10s %10s %10s %10s  %s\n", "", "relative L2", "max abs", "mean A",
           "mean B", "rms A", "rms B", "worst channel (rms of A - B)");
    for (size_t i = 0; i < report->row_count; i++) {
        const zm_check_row *row = &report->rows[i];
        printf("%-20s %12.3e %10.2e %10.2e %10.2e %10.2e %10.2e  %u (%.1e)\n",
               zm_cli_check_row_name(row, what), row->relative_l2, row->max_abs, row->mean_a,
               row->mean_b, row->rms_a, row->rms_b, row->channel, row->channel_rms);
    }
    printf("%-20s %12.3e\n", "final", report->final_relative_l2);
    printf("%-20s %u of %u greedy tokens equal, %.1f %% of the %u most probable ones\n", "tokens",
           report->tokens_equal, report->tokens, 100 * report->top_agreement, report->top);
    if (report->perplexity_a > 0)
        printf("%-20s %.6g of A, %.6g of B, -log p %+.2e\n", "perplexity", report->perplexity_a,
               report->perplexity_b, report->perplexity_change);
    printf("%-20s %s\n", "verdict", zm_cli_verdict(report, verdict));
}

static zm_cli_exit write_page(const check *c)
{
    const zm_cli_check_side sides[] = {
        {zm_model_get_info(c->a), zm_device_get_info(c->devices_a.all[0])},
        {zm_model_get_info(c->b), zm_device_get_info(devices_of_b(c)->all[0])}};
    if (!c->html)
        return ZM_CLI_OK;
    return zm_cli_result(zm_cli_check_page(c->report, sides, c->html, zm_cli_log()));
}

static zm_cli_exit compare(check *c)
{
    zm_check_params params = {
        .a = c->a,
        .b = c->b,
        .device_a = c->devices_a.all[0],
        .device_b = c->devices_b.all[0],
        .split_a = zm_cli_split_get(&c->devices_a),
        .mel = c->mel,
        .prompt = c->read,
        .prompt_count = (uint32_t)c->read_count,
        .tokens = c->tokens,
        .tolerance = c->tolerance,
        .log = zm_cli_log(),
        .progress = zm_cli_progress,
    };
    if (params.device_b)
        params.split_b = zm_cli_split_get(&c->devices_b);
    zm_cli_exit code = zm_cli_result(zm_check(&params, &c->report));
    if (code != ZM_CLI_OK)
        return code;
    if (c->json)
        code = zm_cli_json_print(check_json(c));
    else
        print_table(c);
    if (code == ZM_CLI_OK)
        code = write_page(c);
    if (c->report->equal)
        return code;
    zm_cli_error("%s and %s differ: relative L2 %.3e (tolerance %.0e), %u of %u tokens equal",
                 zm_model_get_info(c->a)->path, zm_model_get_info(c->b)->path,
                 c->report->final_relative_l2, c->tolerance, c->report->tokens_equal,
                 c->report->tokens);
    return ZM_CLI_FAILED;
}

static zm_cli_exit run(int argc, char **argv)
{
    check c = {.tokens = 32, .tolerance = 1e-5};
    const zm_cli_option options[] = {
        {"device", 'd', "DEVICE", "run both on this device, or these, with commas", ZM_CLI_TEXT,
         &c.device_specs},
        ZM_CLI_SPLIT_OPTION(&c.split),
        ZM_CLI_KERNEL_OPTION(&c.kernels),
        {"device-b", 0, "DEVICE", "run B on this one", ZM_CLI_TEXT, &c.device_b_specs},
        {"truth", 0, NULL, "run A in float64 on the host, slowly", ZM_CLI_FLAG, &c.truth},
        {"audio", 0, "FILE", "speech: its first 30 s (default: synthetic)", ZM_CLI_TEXT, &c.audio},
        {"text", 0, "FILE", "text: its first 512 tokens (default: a sentence)", ZM_CLI_TEXT,
         &c.text},
        {"tokens", 0, "N", "greedy tokens to compare (default: 32)", ZM_CLI_COUNT, &c.tokens},
        {"tolerance", 0, "T", "relative L2 of the outputs (default: 1e-5)", ZM_CLI_REAL,
         &c.tolerance},
        {"json", 0, NULL, "print JSON (schema zeromean.check/1)", ZM_CLI_FLAG, &c.json},
        {"html", 0, "FILE", "write a page with plots; it replaces a file of that name", ZM_CLI_TEXT,
         &c.html},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_check, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    zm_cli_progress_start();
    code = open_all(&c, arguments.values);
    if (code == ZM_CLI_OK && !c.json) {
        zm_cli_split_announce(&c.devices_a);
        zm_cli_split_announce(&c.devices_b);
    }
    if (code == ZM_CLI_OK)
        code = compare(&c);
    close_all(&c);
    return code;
}

const zm_cli_command zm_cli_check = {
    .name = "check",
    .synopsis = "A B",
    .summary = "Compare two models layer by layer on the same input",
    .details =
        "A is taken as the truth. The main branch is compared up to its mean, which a "
        "Pre-LN model\nnever reads; mean and rms of it are shown for both. Exits with 1 when "
        "the outputs differ\nby more than the tolerance or a greedy token "
        "differs.\n\n" ZM_CLI_DEVICE_HELP ZM_CLI_SPLIT_HELP,
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};

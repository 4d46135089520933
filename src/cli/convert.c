/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean convert: a Pre-LN model becomes a Pre-RMSNorm model. */
#include <inttypes.h>
#include <stdio.h>
#include <zeromean/convert.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "common/file.h"

static json_t *report_json(const zm_convert_params *params, const zm_convert_report *report)
{
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.convert/1")},
        {"version", json_string(zm_version())},
        {"input", zm_cli_json_text(params->input)},
        {"output", zm_cli_json_text(params->output)},
        {"norm", json_string(zm_norm_name(params->norm))},
        {"tensors", json_integer((json_int_t)report->tensors)},
        {"copied", json_boolean(report->copied)},
        {"recentred", json_integer((json_int_t)report->recentred)},
        {"input_bytes", json_integer((json_int_t)report->input_bytes)},
        {"output_bytes", json_integer((json_int_t)report->output_bytes)},
        {"rounding", zm_cli_json_real(report->rounding)},
        {"source_sha256", json_string(report->source_sha256)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static void print_report(const zm_convert_params *params, const zm_convert_report *report)
{
    if (report->copied)
        printf("%s: %s is %s already, so it is only copied, nothing is recentred; rounding %.1e, "
               "%" PRIu64 " -> %" PRIu64 " bytes\n",
               params->output, params->input, zm_norm_name(params->norm), report->rounding,
               report->input_bytes, report->output_bytes);
    else
        printf("%s: %s, %zu of %zu tensors recentred, rounding %.1e (relative L2 of the worst "
               "tensor), %" PRIu64 " -> %" PRIu64 " bytes\n",
               params->output, zm_norm_name(params->norm), report->recentred, report->tensors,
               report->rounding, report->input_bytes, report->output_bytes);
}

static zm_cli_exit run(int argc, char **argv)
{
    uint32_t norm = 0, type = 0;
    bool overwrite = false, json = false;
    const zm_cli_option options[] = {
        {"norm", 0, "rms", "the norm of the result (default: rms)", ZM_CLI_CHOICE, &norm},
        {"type", 0, "f32|f16", "store all tensors as this type (default: changed ones as f32)",
         ZM_CLI_CHOICE, &type},
        {"overwrite", 0, NULL, "replace OUT if it exists", ZM_CLI_FLAG, &overwrite},
        {"json", 0, NULL, "print JSON (schema zeromean.convert/1)", ZM_CLI_FLAG, &json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_convert, options, 4, argc, argv, &arguments, &code))
        return code;

    static const zm_dtype types[] = {ZM_DTYPE_NONE, ZM_F32, ZM_F16};
    zm_convert_params params = {
        .input = arguments.values[0],
        .output = arguments.values[1],
        .norm = ZM_NORM_RMS,
        .type = types[type],
        .overwrite = overwrite,
        .log = zm_cli_log(),
        .progress = zm_cli_progress,
    };
    zm_convert_report report = {0};
    if (!overwrite && zm_path_exists(params.input) && zm_path_exists(params.output)) {
        zm_cli_error("%s: exists already; give another name or --overwrite", params.output);
        return ZM_CLI_FAILED;
    }
    zm_cli_progress_start();
    code = zm_cli_result(zm_convert(&params, &report));
    if (code == ZM_CLI_OK && json)
        code = zm_cli_json_print(report_json(&params, &report));
    else if (code == ZM_CLI_OK)
        print_report(&params, &report);
    return code;
}

const zm_cli_command zm_cli_convert = {
    .name = "convert",
    .synopsis = "IN OUT",
    .summary = "Convert a Pre-LN model to Pre-RMSNorm, exactly",
    .details = "IN is a model directory, OUT the one to create: it is complete or absent, also "
               "after\nCtrl-C; or both are .gguf files. The result is the same function; 'zeromean "
               "check IN OUT'\nshows it.\n"
               "--type f16 halves the file and rounds, which is not exact any more.\n",
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};

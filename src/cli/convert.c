/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean convert: a Pre-LN model becomes a Pre-RMSNorm model, or a model gets another format. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <zeromean/check.h>
#include <zeromean/convert.h>

#include "cli/device.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "common/file.h"

#define TYPES "f32|f16|bf16|q8_0|q4_0|q4_1|q4_k|q6_k" /* those of `types` */

enum { PROBE_TOKENS = 8 };

typedef struct job {
    zm_convert_params params;
    zm_convert_report report;
    const char *device_spec;
    zm_device *device; /* of a lossy conversion */
    double logits;     /* relative L2 between its input and output; NaN: not measured */
    bool json;
} job;

static json_t *report_json(const job *j)
{
    const zm_convert_params *params = &j->params;
    const zm_convert_report *report = &j->report;
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.convert/1")},
        {"version", json_string(zm_version())},
        {"input", zm_cli_json_text(params->input)},
        {"adapter", params->adapter ? zm_cli_json_text(params->adapter) : json_null()},
        {"output", zm_cli_json_text(params->output)},
        {"norm", json_string(zm_norm_name(report->norm))},
        {"folded", json_boolean(report->folded)},
        {"reformatted", json_boolean(report->reformatted)},
        {"tensors", json_integer((json_int_t)report->tensors)},
        {"copied", json_boolean(report->copied)},
        {"recentred", json_integer((json_int_t)report->recentred)},
        {"requantised", json_integer((json_int_t)report->requantised)},
        {"input_bytes", json_integer((json_int_t)report->input_bytes)},
        {"output_bytes", json_integer((json_int_t)report->output_bytes)},
        {"rounding", zm_cli_json_real(report->rounding)},
        {"source_sha256", json_string(report->source_sha256)},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    if (report->requantised) {
        json_object_set_new(object, "logits_relative_l2", zm_cli_json_real(j->logits));
        json_object_set_new(object, "device", zm_cli_device_json(zm_device_get_info(j->device)));
    }
    if (!report->reformatted)
        return object;
    json_object_set_new(object, "type", json_string(zm_dtype_name(report->type)));
    json_object_set_new(object, "as_q8_0", json_integer((json_int_t)report->as_q8_0));
    json_object_set_new(object, "as_f16", json_integer((json_int_t)report->as_f16));
    return object;
}

static void print_reformatted(const zm_convert_params *params, const zm_convert_report *report)
{
    printf("%s: %zu tensors, most weights %s, ", params->output, report->tensors,
           zm_dtype_name(report->type));
    if (report->as_q8_0)
        printf("%zu q8_0 instead of q4_k or q6_k (rows are no multiple of 256), ", report->as_q8_0);
    if (report->as_f16)
        printf("%zu f16 (rows are no multiple of 32), ", report->as_f16);
    printf("norm %s as before, rounding %.1e (relative L2 of the worst tensor), %" PRIu64
           " -> %" PRIu64 " bytes\n",
           zm_norm_name(report->norm), report->rounding, report->input_bytes, report->output_bytes);
}

static void print_report(const job *j)
{
    const zm_convert_params *params = &j->params;
    const zm_convert_report *report = &j->report;
    if (report->reformatted)
        print_reformatted(params, report);
    else if (report->copied)
        printf("%s: %s is %s already, so it is only copied, nothing is changed; rounding %.1e, "
               "%" PRIu64 " -> %" PRIu64 " bytes\n",
               params->output, params->input, zm_norm_name(report->norm), report->rounding,
               report->input_bytes, report->output_bytes);
    else
        printf("%s: %s%s, %zu of %zu tensors %s, rounding %.1e (relative L2 of the worst "
               "tensor), %" PRIu64 " -> %" PRIu64 " bytes\n",
               params->output, zm_norm_name(report->norm), report->folded ? ", folded" : "",
               report->recentred, report->tensors,
               report->norm == ZM_NORM_RMS && !report->folded ? "recentred" : "changed",
               report->rounding, report->input_bytes, report->output_bytes);
    if (!report->requantised)
        return;
    printf("%s: lossy, %zu tensors were quantised again", params->output, report->requantised);
    if (!isnan(j->logits))
        printf("; relative L2 of the logits on a probe of %d tokens %.1e", PROBE_TOKENS, j->logits);
    putchar('\n');
}

/* What a lossy conversion did to the function. */
static zm_status measure(job *j)
{
    zm_model *before = NULL, *after = NULL;
    zm_check_params params = {.device_a = j->device,
                              .tokens = PROBE_TOKENS,
                              .log = zm_cli_log(),
                              .progress = zm_cli_progress};
    zm_check_report *report = NULL;
    zm_status status = zm_model_open(j->params.input, zm_cli_log(), &before);
    if (status == ZM_OK)
        status = zm_model_open(j->params.output, zm_cli_log(), &after);
    params.a = before;
    params.b = after;
    if (status == ZM_OK)
        status = zm_check(&params, &report);
    if (status == ZM_OK)
        j->logits = report->final_relative_l2;
    zm_check_report_destroy(&report);
    zm_model_close(&before);
    zm_model_close(&after);
    return status;
}

static zm_cli_exit convert(job *j)
{
    if (!j->params.overwrite && zm_path_exists(j->params.input) &&
        zm_path_exists(j->params.output)) {
        zm_cli_error("%s: exists already; give another name or --overwrite", j->params.output);
        return ZM_CLI_FAILED;
    }
    zm_cli_progress_start();
    zm_status status = zm_convert(&j->params, &j->report);
    if (status != ZM_OK)
        return zm_cli_result(status);
    if (j->report.requantised && !j->json)
        zm_cli_device_announce(j->device);
    if (j->report.requantised && zm_cli_result(measure(j)) != ZM_CLI_OK)
        zm_cli_note("warning: %s is complete; only its error could not be measured",
                    j->params.output);
    if (j->json)
        return zm_cli_json_print(report_json(j));
    print_report(j);
    return ZM_CLI_OK;
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {.params = {.log = zm_cli_log(), .progress = zm_cli_progress}, .logits = NAN};
    uint32_t norm = 0, type = 0;
    const zm_cli_option options[] = {
        {"norm", 0, "rms|crms|ortho|ln",
         "of the result (default: rms, unless format or type change)", ZM_CLI_CHOICE, &norm},
        {"fold", 0, NULL, "rms: norms' weights become a part of what reads them", ZM_CLI_FLAG,
         &j.params.fold},
        {"type", 0, TYPES, "of the weights (default: nothing is rounded)", ZM_CLI_CHOICE, &type},
        {"lossy", 0, NULL, "quantise again what is quantised and changes", ZM_CLI_FLAG,
         &j.params.lossy},
        {"device", 'd', "DEVICE", "measure the error of --lossy on this one", ZM_CLI_TEXT,
         &j.device_spec},
        {"adapter", 0, "ADAPTER", "convert this, which belongs to the model IN, instead of IN",
         ZM_CLI_TEXT, &j.params.adapter},
        {"overwrite", 0, NULL, "replace OUT if it exists", ZM_CLI_FLAG, &j.params.overwrite},
        {"json", 0, NULL, "print JSON (schema zeromean.convert/1)", ZM_CLI_FLAG, &j.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_convert, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    static const zm_dtype types[] = {ZM_DTYPE_NONE, ZM_F32,  ZM_F16,  ZM_BF16, ZM_Q8_0,
                                     ZM_Q4_0,       ZM_Q4_1, ZM_Q4_K, ZM_Q6_K};
    j.params.input = arguments.values[0];
    j.params.output = arguments.values[1];
    static const zm_norm norms[] = {ZM_NORM_DEFAULT, ZM_NORM_RMS, ZM_NORM_CRMS, ZM_NORM_ORTHO,
                                    ZM_NORM_LAYER};
    j.params.norm = norms[norm];
    j.params.type = types[type];
    if (j.device_spec && !j.params.lossy) {
        zm_cli_error("--device is where --lossy measures its error; without it no device is used");
        return ZM_CLI_USAGE;
    }
    code = j.params.lossy ? zm_cli_device_open(j.device_spec, NULL, &j.device) : ZM_CLI_OK;
    if (code == ZM_CLI_OK)
        code = convert(&j);
    zm_device_close(&j.device);
    return code;
}

const zm_cli_command zm_cli_convert = {
    .name = "convert",
    .synopsis = "IN OUT",
    .summary = "Convert a Pre-LN model to Pre-RMSNorm, exactly, or to or from GGUF",
    .details =
        "IN is a model directory or a GGUF file, OUT what to create: a GGUF file where the\n"
        "name ends in .gguf, else a directory. It is complete or absent, also after Ctrl-C.\n"
        "\n"
        "Where the format stays as it is the norm changes. The result is the same function;\n"
        "'zeromean check IN OUT' shows it. --type f16 halves the file and rounds, which is\n"
        "not exact any more. Neither is --lossy: a file of quantised weights is refused\n"
        "otherwise, since it runs as it is. What it costs is measured on a device.\n"
        "\n"
        "--norm rms is still a model of LayerNorm to any engine. With --fold norms have no\n"
        "weights, with --norm crms and ortho the main branch has one element less as well:\n"
        "model directories for Zeromean alone. --norm ln leads back from each of them.\n"
        "\n"
        "From a directory to GGUF and back, and from GGUF to GGUF with a --type, the norm\n"
        "stays; --norm rms --type f16 (or f32) changes it. Tensors, hyper-parameters,\n"
        "tokenizer and chat template get the form of the other format; what it can't say is\n"
        "refused. Without --type nothing is rounded, and quantised weights become f32 in a\n"
        "directory. In GGUF vectors and positions stay f32; quantised types are for it only,\n"
        "and the head is q6_k at least. Rows that are no multiple of 256 are q8_0 instead of\n"
        "q4_k or q6_k; no multiple of 32, f16.\n"
        "\n"
        "ADAPTER is a directory with a LoRA adapter of PEFT, or a GGUF file with one or with\n"
        "control vectors. The result is for the model that IN becomes.\n"
        "\n" ZM_CLI_DEVICE_HELP,
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};

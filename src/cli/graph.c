/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean graph: what a model runs, operation by operation. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zeromean/session.h>

#include "cli/device.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/split.h"
#include "common/alloc.h"

#define PARTS "encoder|decoder"
static const char *const part_names[] = {"encoder", "decoder"};

typedef struct job {
    const char *device_specs, *split, *kernels, *off;
    uint32_t part; /* of PARTS, from 1; 0 = all */
    bool dot, run;
    zm_session_params params;
    zm_model *model;
    zm_cli_split devices;
    zm_session *session;
} job;

/* ---- passes ---- */

static zm_cli_exit no_such_pass(const char *word, size_t length)
{
    char names[200] = "all";
    const char *name;
    for (int i = 0; (name = zm_pass_name((zm_pass)i)) != NULL; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, ", %s", name);
    }
    zm_cli_error("--off: there is no pass '%.*s'; there are %s", (int)length, word, names);
    return ZM_CLI_USAGE;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* "PASS[,PASS]..." or "all", which stands for every one; NULL = none. */
static zm_cli_exit read_passes(const char *text, bool off[ZM_PASS_COUNT])
{
    bool alone = text && !strchr(text, ',');
    while (text) {
        size_t length = strcspn(text, ",");
        bool all = is_word(text, length, "all"), found = all;
        if (all && !alone) {
            zm_cli_error("--off: 'all' leaves no pass to name beside it");
            return ZM_CLI_USAGE;
        }
        for (int i = 0; i < ZM_PASS_COUNT; i++) {
            bool named = all || is_word(text, length, zm_pass_name((zm_pass)i));
            off[i] |= named;
            found |= named;
        }
        if (!found)
            return no_such_pass(text, length);
        text = text[length] ? text + length + 1 : NULL;
    }
    return ZM_CLI_OK;
}

/* ---- a run, for what only a run knows ---- */

static zm_cli_exit run_text_once(const job *j)
{
    static const int32_t token = 0;
    float *logits = zm_calloc(zm_model_get_info(j->model)->text.vocabulary, sizeof(*logits));
    zm_status status =
        logits ? zm_session_decode(j->session, &token, 1, logits) : ZM_ERROR_OUT_OF_MEMORY;
    free(logits);
    return zm_cli_result(status);
}

/* A black image, or a text of one token. */
static zm_cli_exit run_vision_once(const job *j)
{
    const zm_vision_info *info = &zm_model_get_info(j->model)->vision;
    const int32_t end = info->text.end_token >= 0 ? info->text.end_token : 0;
    const size_t side = info->image.image;
    float *pixels = zm_calloc(side * side * info->image.channels + 1, sizeof(*pixels));
    zm_status status = pixels ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_OK && info->image.d)
        status = zm_session_embed_image(j->session, pixels, NULL, NULL);
    if (status == ZM_OK && info->text.d && j->part != 1)
        status = zm_session_embed_text(j->session, &end, 1, NULL);
    free(pixels);
    return zm_cli_result(status);
}

/* Silence, and the first token. */
static zm_cli_exit run_once(const job *j)
{
    const zm_whisper_info *info = &zm_model_get_info(j->model)->whisper;
    if (zm_model_get_info(j->model)->architecture == ZM_ARCHITECTURE_TEXT)
        return run_text_once(j);
    if (zm_model_get_info(j->model)->architecture == ZM_ARCHITECTURE_VISION)
        return run_vision_once(j);
    float *mel = zm_calloc(2 * (size_t)info->encoder_positions * info->mel_bins, sizeof(*mel));
    float *logits = zm_calloc(info->vocabulary, sizeof(*logits));
    zm_status status = mel && logits ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_OK)
        status = zm_session_encode(j->session, mel);
    if (status == ZM_OK && j->part != 1)
        status = zm_session_decode(j->session, &info->start_token, 1, logits);
    free(mel);
    free(logits);
    return zm_cli_result(status);
}

/* ---- printing ---- */

static void put(void *user, const char *text)
{
    (void)user;
    fputs(text, stdout);
}

static void print_fired(const zm_executable_info *info)
{
    const char *before = "; passes: ";
    for (int i = 0; i < ZM_PASS_COUNT; i++) {
        if (!info->fired[i])
            continue;
        printf("%s%s %" PRIu32, before, zm_pass_name((zm_pass)i), info->fired[i]);
        before = ", ";
    }
    printf("%s\n", *before == ';' ? "; no pass changed anything" : "");
}

static void print_counts(const job *j, const char *name, const zm_pipeline_info *info)
{
    const zm_executable_info *work = &info->work;
    printf("%s%s: operations %" PRIu32, j->dot ? "// " : "", name, work->operations);
    if (j->run)
        printf(", launches %" PRIu32, work->launches);
    if (info->stages > 1)
        printf(", stages %" PRIu32, info->stages);
    if (info->stages > 1 && j->run)
        printf(", moves %" PRIu32 " of %" PRIu64 " bytes", info->moves, info->moved_bytes);
    printf(", memory %" PRIu64 " bytes, at least %" PRIu64, work->memory_bytes, work->least_bytes);
    print_fired(work);
}

/* Each stage is a graph; in DOT what is no graph is a comment. */
static void print_part(const job *j, zm_part part)
{
    const zm_pipeline *pipeline = zm_session_pipeline(j->session, part);
    if (!pipeline)
        return;
    const zm_pipeline_info info = zm_pipeline_get_info(pipeline);
    const zm_executable *stage;
    uint32_t device = 0;
    for (uint32_t i = 0; (stage = zm_pipeline_stage(pipeline, i, &device)) != NULL; i++) {
        const bool known = device < j->devices.count; /* else it is the host of last resort */
        if (info.stages > 1)
            printf("%s%s, stage %" PRIu32 " of %" PRIu32 ", on %s\n", j->dot ? "// " : "",
                   part_names[part], i + 1, info.stages,
                   known ? zm_device_get_info(j->devices.all[device])->spec : "host");
        zm_executable_print(stage, j->dot ? ZM_GRAPH_DOT : ZM_GRAPH_TEXT, put, NULL);
    }
    print_counts(j, part_names[part], &info);
}

static zm_cli_exit print_parts(job *j, const char *path)
{
    zm_cli_exit code = zm_cli_result(zm_model_open(path, zm_cli_log(), &j->model));
    if (code == ZM_CLI_OK)
        code = zm_cli_split_open(j->device_specs, j->split, j->kernels, &j->devices);
    if (code != ZM_CLI_OK)
        return code;
    zm_cli_split_announce(&j->devices);
    j->params.split = zm_cli_split_get(&j->devices);
    code = zm_cli_result(zm_session_create(j->devices.all[0], j->model, &j->params, &j->session));
    if (code == ZM_CLI_OK && j->run)
        code = run_once(j);
    for (uint32_t i = 0; code == ZM_CLI_OK && i < sizeof(part_names) / sizeof(part_names[0]); i++)
        if (!j->part || j->part == i + 1)
            print_part(j, (zm_part)i);
    return code;
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {.params = {.log = zm_cli_log(), .progress = zm_cli_progress, .go_on = zm_cli_goes_on}};
    const zm_cli_option options[] = {
        {"part", 'p', PARTS, "this one alone; default: both", ZM_CLI_CHOICE, &j.part},
        {"off", 0, "PASS[,...]", "leave out these passes, or all of them", ZM_CLI_TEXT, &j.off},
        {"dot", 0, NULL, "print DOT, for Graphviz", ZM_CLI_FLAG, &j.dot},
        {"run", 0, NULL, "run it once, to count its launches", ZM_CLI_FLAG, &j.run},
        {"device", 'd', "DEVICE", "where it is to run, or these, with commas", ZM_CLI_TEXT,
         &j.device_specs},
        ZM_CLI_SPLIT_OPTION(&j.split),
        ZM_CLI_KERNEL_OPTION(&j.kernels),
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_graph, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    code = read_passes(j.off, j.params.compile.off);
    if (code != ZM_CLI_OK)
        return code;
    zm_cli_progress_start();
    code = print_parts(&j, arguments.values[0]);
    zm_session_destroy(&j.session);
    zm_cli_split_close(&j.devices);
    zm_model_close(&j.model);
    return code;
}

const zm_cli_command zm_cli_graph = {
    .name = "graph",
    .synopsis = "MODEL",
    .summary = "Show what a model runs, operation by operation",
    .details =
        "Prints the graphs of a model's encoder and decoder as they are on a device, after the\n"
        "passes that make them cheaper: symbols, tensors, and operations in order; with --off\n"
        "all, as they were built. The last line of each counts operations, the bytes of all\n"
        "tensors between them, and how often which pass changed something. With --dot, as in\n"
        "  zeromean graph MODEL --part decoder --dot | dot -Tsvg >decoder.svg\n"
        "each stage is a graph of Graphviz.\n\n" ZM_CLI_DEVICE_HELP ZM_CLI_SPLIT_HELP,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};

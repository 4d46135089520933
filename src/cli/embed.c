/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean embed: images and texts to embeddings. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zeromean/image.h>
#include <zeromean/text.h>

#include "cli/device.h"
#include "cli/language.h"
#include "cli/memory.h"
#include "cli/model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/split.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

enum { IMAGES_MAX = 256 }; /* they are read before a device is opened */

/* An image or a text. */
typedef struct item {
    const char *image, *text; /* one of them */
    int32_t *tokens;
    size_t token_count;
    float *pixels, *values, *logits; /* logits: NULL = none */
    uint32_t count;
    double seconds;
} item;

typedef struct job {
    const char *path, *device_specs, *split, *kernels;
    zm_cli_texts texts;
    bool normalise, json;
    uint32_t norm; /* 1 = rms */
    zm_model *model;
    zm_tokenizer *tokenizer;
    zm_image_recipe recipe;
    zm_cli_split devices;
    zm_session *session;
    item *items;
    size_t count;
    double load_seconds, total_seconds;
} job;

static const zm_vision_info *vision_of(const job *j)
{
    return &zm_model_get_info(j->model)->vision;
}

/* ---- input ---- */

static zm_status add_items(job *j, const zm_cli_arguments *arguments)
{
    j->items = zm_calloc(j->texts.count + arguments->count, sizeof(*j->items));
    if (!j->items)
        return ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 1; i < arguments->count; i++)
        j->items[j->count++].image = arguments->values[i];
    for (size_t i = 0; i < j->texts.count; i++)
        j->items[j->count++].text = j->texts.values[i];
    return ZM_OK;
}

static zm_status encode(const job *j, item *it)
{
    const zm_encode_params params = {
        .text = it->text, .size = strlen(it->text), .literal = true, .log = zm_cli_log()};
    const uint32_t most = vision_of(j)->text.positions;
    zm_status status = zm_tokenizer_encode(j->tokenizer, &params, &it->tokens, &it->token_count);
    if (status == ZM_OK && it->token_count > most)
        return zm_fail(zm_cli_log(), ZM_ERROR_LIMIT, "%s: a text has %zu tokens, %u are possible",
                       j->path, it->token_count, most);
    return status;
}

static zm_status prepare(const job *j, item *it)
{
    const uint32_t side = vision_of(j)->image.image;
    zm_image *image = NULL;
    it->pixels = zm_calloc((uint64_t)3 * side * side, sizeof(float));
    zm_status status =
        it->pixels ? zm_image_read(it->image, zm_cli_log(), &image) : ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_OK)
        status = zm_image_prepare(image, &j->recipe, side, zm_cli_log(), it->pixels);
    zm_image_destroy(&image);
    return status;
}

static zm_status read_items(const job *j)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < j->count && status == ZM_OK; i++)
        status = j->items[i].text ? encode(j, &j->items[i]) : prepare(j, &j->items[i]);
    return status;
}

/* What is wrong with the inputs is said before a device is opened. */
static zm_status open_files(job *j)
{
    zm_status status = zm_model_open(j->path, zm_cli_log(), &j->model);
    if (status != ZM_OK)
        return status;
    const zm_model_info *info = zm_model_get_info(j->model);
    const bool images = j->count > j->texts.count, texts = j->texts.count > 0;
    if (info->architecture != ZM_ARCHITECTURE_VISION)
        return zm_fail(zm_cli_log(), ZM_ERROR_UNSUPPORTED,
                       "%s: a model of type %s makes no embeddings; vit, deit, dinov2 and clip do",
                       j->path, info->architecture_name);
    if ((images && !info->vision.image.d) || (texts && !info->vision.text.d))
        return zm_fail(zm_cli_log(), ZM_ERROR_UNSUPPORTED, "%s: a model of type %s reads no %s",
                       j->path, info->architecture_name,
                       images && !info->vision.image.d ? "images" : "text");
    if (images && info->vision.image.channels != 3)
        return zm_fail(zm_cli_log(), ZM_ERROR_UNSUPPORTED,
                       "%s: reads images of %u channels; files have red, green and blue", j->path,
                       info->vision.image.channels);
    if (images)
        status = zm_image_recipe_read(j->model, zm_cli_log(), &j->recipe);
    if (status == ZM_OK && texts)
        status = zm_tokenizer_open_model(j->model, zm_cli_log(), &j->tokenizer);
    return status == ZM_OK ? read_items(j) : status;
}

static zm_cli_exit load(job *j)
{
    const uint64_t start = zm_clock_ns();
    zm_session_params params = {.log = zm_cli_log(),
                                .progress = zm_cli_progress,
                                .go_on = zm_cli_goes_on,
                                .norm = j->norm ? ZM_NORM_RMS : ZM_NORM_DEFAULT};
    zm_cli_exit code = zm_cli_split_open(j->device_specs, j->split, j->kernels, &j->devices);
    if (code != ZM_CLI_OK)
        return code;
    params.split = zm_cli_split_get(&j->devices);
    code = zm_cli_result(zm_session_create(j->devices.all[0], j->model, &params, &j->session));
    zm_cli_progress_hide();
    if (code == ZM_CLI_OK && !j->json)
        zm_cli_split_announce(&j->devices);
    j->load_seconds = zm_clock_since(start);
    return code;
}

/* ---- work ---- */

static zm_status make_values(const job *j, item *it)
{
    const zm_vision_info *info = vision_of(j);
    it->count = it->image ? info->image.embedding : info->text.embedding;
    it->values = zm_calloc(it->count, sizeof(float));
    if (it->image && info->labels)
        it->logits = zm_calloc(info->labels, sizeof(float));
    return it->values && (it->logits || !it->image || !info->labels) ? ZM_OK
                                                                     : ZM_ERROR_OUT_OF_MEMORY;
}

static void normalise(item *it)
{
    double sum = 0;
    for (uint32_t i = 0; i < it->count; i++)
        sum += (double)it->values[i] * it->values[i];
    for (uint32_t i = 0; i < it->count && sum > 0; i++)
        it->values[i] = (float)(it->values[i] / sqrt(sum));
}

static zm_status embed(const job *j, item *it)
{
    const uint64_t start = zm_clock_ns();
    zm_status status = make_values(j, it);
    if (status == ZM_OK)
        status = it->image ? zm_session_embed_image(j->session, it->pixels, it->values, it->logits)
                           : zm_session_embed_text(j->session, it->tokens,
                                                   (uint32_t)it->token_count, it->values);
    if (status == ZM_OK && j->normalise)
        normalise(it);
    it->seconds = zm_clock_since(start);
    return status;
}

/* ---- output ---- */

static json_t *values_json(const float *values, uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(array, zm_cli_json_real((double)values[i]));
    return array;
}

static json_t *item_json(const job *j, const item *it)
{
    const zm_cli_field fields[] = {
        {it->image ? "image" : "text", zm_cli_json_text(it->image ? it->image : it->text)},
        {"embedding", values_json(it->values, it->count)},
        {"seconds", zm_cli_json_real(it->seconds)},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    if (it->tokens)
        json_object_set_new(object, "tokens", zm_cli_tokens_json(it->tokens, it->token_count));
    if (it->logits)
        json_object_set_new(object, "logits", values_json(it->logits, vision_of(j)->labels));
    return object;
}

static zm_cli_exit print_json(const job *j)
{
    json_t *items = json_array();
    for (size_t i = 0; i < j->count; i++)
        json_array_append_new(items, item_json(j, &j->items[i]));
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.embed/1")},
        {"version", json_string(zm_version())},
        {"device", zm_cli_device_json(zm_device_get_info(j->devices.all[0]))},
        {"model", zm_cli_model_json(j->model)},
        {"normalized", json_boolean(j->normalise)},
        {"items", items},
        {"load_seconds", zm_cli_json_real(j->load_seconds)},
        {"total_seconds", zm_cli_json_real(j->total_seconds)},
        {"peak_rss_bytes", json_integer((json_int_t)zm_cli_peak_memory())},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    zm_cli_split_add_json(&j->devices, "split", object);
    return zm_cli_json_print(object);
}

static void print_plain(const job *j)
{
    for (size_t i = 0; i < j->count; i++) {
        const item *it = &j->items[i];
        for (uint32_t k = 0; k < it->count; k++)
            printf("%s%.9g", k ? " " : "", (double)it->values[k]);
        putchar('\n');
    }
}

/* ---- the command ---- */

static zm_cli_exit run_job(job *j, const zm_cli_arguments *arguments)
{
    const uint64_t start = zm_clock_ns();
    j->path = arguments->values[0];
    zm_cli_exit code = zm_cli_result(add_items(j, arguments));
    if (code == ZM_CLI_OK)
        code = zm_cli_result(open_files(j));
    if (code == ZM_CLI_OK)
        code = load(j);
    for (size_t i = 0; i < j->count && code == ZM_CLI_OK; i++)
        code = zm_cli_result(embed(j, &j->items[i]));
    j->total_seconds = zm_clock_since(start);
    if (code != ZM_CLI_OK)
        return code;
    if (j->json)
        return print_json(j);
    print_plain(j);
    return ZM_CLI_OK;
}

static void close_job(job *j)
{
    for (size_t i = 0; i < j->count; i++) {
        free(j->items[i].tokens);
        free(j->items[i].pixels);
        free(j->items[i].values);
        free(j->items[i].logits);
    }
    free(j->items);
    zm_session_destroy(&j->session);
    zm_cli_split_close(&j->devices);
    zm_tokenizer_close(&j->tokenizer);
    zm_model_close(&j->model);
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {0};
    const zm_cli_option options[] = {
        {"prompt", 'p', "TEXT", "a text, one or several", ZM_CLI_TEXTS, &j.texts},
        {"normalize", 0, NULL, "divide each embedding by its length", ZM_CLI_FLAG, &j.normalise},
        {"device", 'd', "SPEC", "the device; several with commas", ZM_CLI_TEXT, &j.device_specs},
        ZM_CLI_SPLIT_OPTION(&j.split),
        ZM_CLI_KERNEL_OPTION(&j.kernels),
        ZM_CLI_NORM_OPTION(&j.norm),
        {"json", 0, NULL, "print JSON (schema zeromean.embed/1)", ZM_CLI_FLAG, &j.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_embed, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    if (arguments.count == 1 && j.texts.count == 0) {
        zm_cli_error(
            "embed: neither an IMAGE nor a --prompt is given (see 'zeromean embed --help')");
        return ZM_CLI_USAGE;
    }
    zm_cli_progress_start();
    code = run_job(&j, &arguments);
    close_job(&j);
    return code;
}

const zm_cli_command zm_cli_embed = {
    .name = "embed",
    .synopsis = "MODEL [IMAGE]...",
    .summary = "Make embeddings of images and texts",
    .details = "MODEL is a model directory of ViT, DeiT, DINOv2 or CLIP. IMAGE is a PNG or a JPEG "
               "file, which\n"
               "is resized and normalised as preprocessor_config.json beside the model says. "
               "Prints the\n"
               "numbers of each embedding on a line, images first; JSON has the logits of "
               "classifiers, too.\n\n" ZM_CLI_DEVICE_HELP ZM_CLI_SPLIT_HELP,
    .min_arguments = 1,
    .max_arguments = 1 + IMAGES_MAX,
    .run = run,
};

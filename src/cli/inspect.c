/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean inspect: what a model holds. */
#include <inttypes.h>
#include <stdio.h>
#include <zeromean/model.h>

#include "cli/metadata.h"
#include "cli/model.h"
#include "cli/options.h"
#include "cli/output.h"

static json_t *whisper_json(const zm_whisper_info *w)
{
    const zm_cli_field fields[] = {
        {"mel_bins", json_integer(w->mel_bins)},
        {"d", json_integer(w->d)},
        {"encoder_layers", json_integer(w->encoder_layers)},
        {"encoder_heads", json_integer(w->encoder_heads)},
        {"encoder_ff", json_integer(w->encoder_ff)},
        {"encoder_positions", json_integer(w->encoder_positions)},
        {"decoder_layers", json_integer(w->decoder_layers)},
        {"decoder_heads", json_integer(w->decoder_heads)},
        {"decoder_ff", json_integer(w->decoder_ff)},
        {"decoder_positions", json_integer(w->decoder_positions)},
        {"vocabulary", json_integer(w->vocabulary)},
        {"language_count", json_integer(w->language_count)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static json_t *text_json(const zm_text_info *t)
{
    const zm_cli_field fields[] = {
        {"d", json_integer(t->d)},
        {"layers", json_integer(t->layers)},
        {"heads", json_integer(t->heads)},
        {"kv_heads", json_integer(t->kv_heads)},
        {"head_dim", json_integer(t->head_dim)},
        {"ff", json_integer(t->ff)},
        {"positions", json_integer(t->positions)},
        {"vocabulary", json_integer(t->vocabulary)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static json_t *encoder_json(const zm_encoder_info *e)
{
    if (e->d == 0)
        return json_null();
    const zm_cli_field fields[] = {
        {"d", json_integer(e->d)},
        {"layers", json_integer(e->layers)},
        {"heads", json_integer(e->heads)},
        {"ff", json_integer(e->ff)},
        {"positions", json_integer(e->positions)},
        {"vocabulary", json_integer(e->vocabulary)},
        {"image_size", json_integer(e->image)},
        {"patch_size", json_integer(e->patch)},
        {"channels", json_integer(e->channels)},
        {"embedding", json_integer(e->embedding)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static json_t *vision_json(const zm_vision_info *v)
{
    const zm_cli_field fields[] = {
        {"image", encoder_json(&v->image)},
        {"text", encoder_json(&v->text)},
        {"labels", json_integer(v->labels)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static json_t *tensor_json(const zm_model_tensor *tensor)
{
    json_t *shape = json_array();
    for (uint32_t i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    const zm_cli_field fields[] = {
        {"name", zm_cli_json_text(tensor->name)},
        {"dtype", json_string(zm_dtype_name(tensor->dtype))},
        {"shape", shape},
        {"bytes", json_integer((json_int_t)tensor->bytes)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

static json_t *inspect_json(const zm_model *model, bool with_metadata, bool with_tensors)
{
    const zm_model_info *info = zm_model_get_info(model);
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.inspect/1")},
        {"version", json_string(zm_version())},
        {"model", zm_cli_model_json(model)},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    if (info->architecture == ZM_ARCHITECTURE_WHISPER)
        json_object_set_new(object, "whisper", whisper_json(&info->whisper));
    if (info->architecture == ZM_ARCHITECTURE_TEXT)
        json_object_set_new(object, "text", text_json(&info->text));
    if (info->architecture == ZM_ARCHITECTURE_VISION)
        json_object_set_new(object, "vision", vision_json(&info->vision));
    if (with_metadata)
        json_object_set_new(object, "metadata", zm_cli_metadata_json(model));
    if (!with_tensors)
        return object;
    json_t *tensors = json_array();
    for (size_t i = 0; i < info->tensor_count; i++)
        json_array_append_new(tensors, tensor_json(zm_model_get_tensor(model, i)));
    json_object_set_new(object, "tensors", tensors);
    return object;
}

static void print_whisper(const zm_whisper_info *w)
{
    printf("width         %u\n", w->d);
    printf("encoder       %u layers, %u heads, ff %u, %u positions\n", w->encoder_layers,
           w->encoder_heads, w->encoder_ff, w->encoder_positions);
    printf("decoder       %u layers, %u heads, ff %u, %u positions\n", w->decoder_layers,
           w->decoder_heads, w->decoder_ff, w->decoder_positions);
    printf("mel bins      %u\n", w->mel_bins);
    printf("vocabulary    %u\n", w->vocabulary);
    if (w->language_count)
        printf("languages     %u\n", w->language_count);
    else
        printf("languages     English only\n");
}

static void print_text_model(const zm_text_info *t)
{
    printf("width         %u\n", t->d);
    printf("layers        %u, %u heads of %u, %u with keys, ff %u\n", t->layers, t->heads,
           t->head_dim, t->kv_heads, t->ff);
    if (t->positions)
        printf("positions     %u\n", t->positions);
    printf("vocabulary    %u\n", t->vocabulary);
}

static void print_encoder(const char *what, const zm_encoder_info *e)
{
    if (e->d == 0)
        return;
    printf("%-13s width %u, %u layers, %u heads, ff %u, embedding %u\n", what, e->d, e->layers,
           e->heads, e->ff, e->embedding);
    if (e->image)
        printf("pixels        %u x %u in patches of %u x %u\n", e->image, e->image, e->patch,
               e->patch);
    else
        printf("vocabulary    %u, positions %u\n", e->vocabulary, e->positions);
}

static void print_vision(const zm_vision_info *v)
{
    print_encoder("images", &v->image);
    print_encoder("text", &v->text);
    if (v->labels)
        printf("labels        %u\n", v->labels);
}

static void print_tensor(const zm_model_tensor *tensor)
{
    printf("%-5s", zm_dtype_name(tensor->dtype));
    int width = 0;
    for (uint32_t i = 0; i < tensor->rank; i++)
        width += printf("%s%" PRIu64, i ? "x" : "", tensor->shape[i]);
    printf("%*s %s\n", width < 18 ? 18 - width : 0, "", tensor->name);
}

static void print_text(const zm_model *model, bool with_metadata, bool with_tensors)
{
    const zm_model_info *info = zm_model_get_info(model);
    if (info->architecture == ZM_ARCHITECTURE_NONE) {
        printf("architecture  %s, which is not supported%s%s\n", info->architecture_name,
               info->refused ? ": " : "", info->refused ? info->refused : "");
    } else {
        printf("architecture  %s\n", info->architecture_name);
        printf("norm          %s%s, eps %g\n", zm_norm_name(info->norm),
               info->folded ? ", folded" : "", (double)info->eps);
    }
    printf("parameters    %" PRIu64 "\n", info->parameters);
    printf("bytes         %" PRIu64 "\n", info->bytes);
    printf("tensors       %zu\n", info->tensor_count);
    if (info->metadata_count)
        printf("metadata      %zu entries\n", info->metadata_count);
    if (info->architecture == ZM_ARCHITECTURE_WHISPER)
        print_whisper(&info->whisper);
    if (info->architecture == ZM_ARCHITECTURE_TEXT)
        print_text_model(&info->text);
    if (info->architecture == ZM_ARCHITECTURE_VISION)
        print_vision(&info->vision);
    const char *source = zm_model_get_metadata(model, ZM_CLI_SOURCE_KEY);
    if (source)
        printf("converted     from SHA-256 %s\n", source);
    if (with_metadata)
        printf("\n");
    if (with_metadata)
        zm_cli_metadata_print(model);
    if (!with_tensors)
        return;
    printf("\n");
    for (size_t i = 0; i < info->tensor_count; i++)
        print_tensor(zm_model_get_tensor(model, i));
}

static zm_cli_exit run(int argc, char **argv)
{
    bool json = false, metadata = false, tensors = false;
    const zm_cli_option options[] = {
        {"metadata", 0, NULL, "show the metadata too", ZM_CLI_FLAG, &metadata},
        {"tensors", 0, NULL, "list the tensors too", ZM_CLI_FLAG, &tensors},
        {"json", 0, NULL, "print JSON (schema zeromean.inspect/1)", ZM_CLI_FLAG, &json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_inspect, options, 3, argc, argv, &arguments, &code))
        return code;

    zm_model *model = NULL;
    code = zm_cli_result(zm_model_open(arguments.values[0], zm_cli_log(), &model));
    if (code == ZM_CLI_OK && json)
        code = zm_cli_json_print(inspect_json(model, metadata, tensors));
    else if (code == ZM_CLI_OK)
        print_text(model, metadata, tensors);
    zm_model_close(&model);
    return code;
}

const zm_cli_command zm_cli_inspect = {
    .name = "inspect",
    .synopsis = "MODEL",
    .summary = "Show what a model directory or a GGUF file holds",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};

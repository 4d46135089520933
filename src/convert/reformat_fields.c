/* SPDX-License-Identifier: Apache-2.0 */
/* Hyper-parameters as the fields of the other format. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "convert/reformat.h"
#include "format/metadata.h"

enum { MAX_KEY = 160 };

/* What GGUF asks for where a model has no limit: the length that such models were trained with. */
#define UNLIMITED_POSITIONS 2048

static uint32_t positions_of(const zm_text_info *text)
{
    return text->positions ? text->positions : UNLIMITED_POSITIONS;
}

/* The number that a field is; false: it is no number, or it need not be there. */
static bool number_of(const zm_model_info *info, zm_text_key key, double *out)
{
    const zm_text_info *text = &info->text;
    switch (key) {
    case ZM_TEXT_KEY_D: *out = text->d; return true;
    case ZM_TEXT_KEY_LAYERS: *out = text->layers; return true;
    case ZM_TEXT_KEY_HEADS: *out = text->heads; return true;
    case ZM_TEXT_KEY_KV_HEADS: *out = text->kv_heads; return true;
    case ZM_TEXT_KEY_HEAD_DIM: *out = text->head_dim; return true;
    case ZM_TEXT_KEY_FF: *out = text->ff; return true;
    case ZM_TEXT_KEY_VOCABULARY: *out = text->vocabulary; return true;
    case ZM_TEXT_KEY_POSITIONS: *out = positions_of(text); return true;
    case ZM_TEXT_KEY_ROTARY_DIM: *out = text->rotary_dim; return text->rotary_dim > 0;
    case ZM_TEXT_KEY_WINDOW: *out = text->window; return text->window > 0;
    case ZM_TEXT_KEY_EPS: *out = (double)info->eps; return true;
    case ZM_TEXT_KEY_ROPE_BASE: *out = (double)text->rope_base; return text->rotary_dim > 0;
    case ZM_TEXT_KEY_ROTARY_PART:
        *out = (double)text->rotary_dim / text->head_dim;
        return text->rotary_dim > 0;
    case ZM_TEXT_KEY_ACTIVATION:
    case ZM_TEXT_KEY_TIED:
    case ZM_TEXT_KEY_COUNT:
    default: return false;
    }
}

static bool is_real(zm_text_key key)
{
    return key == ZM_TEXT_KEY_EPS || key == ZM_TEXT_KEY_ROPE_BASE || key == ZM_TEXT_KEY_ROTARY_PART;
}

/* ---- GGUF ---- */

static void add_value(zm_reformat_plan *plan, zm_text_key key)
{
    const zm_text_family *family = plan->family;
    const zm_text_info *text = &zm_model_get_info(plan->model)->text;
    char name[MAX_KEY];
    double number;
    if (!family->keys[key] || !number_of(zm_model_get_info(plan->model), key, &number))
        return;
    if (key == ZM_TEXT_KEY_HEAD_DIM && text->head_dim * text->heads == text->d)
        return; /* as it is without the field */
    snprintf(name, sizeof(name), "%s.%s", family->name, family->keys[key]);
    if (is_real(key))
        zm_metadata_list_f32(&plan->values, name, (float)number);
    else
        zm_metadata_list_u32(&plan->values, name, (uint32_t)number);
    if (key != ZM_TEXT_KEY_HEAD_DIM)
        return;
    snprintf(name, sizeof(name), "%s.attention.value_length", family->name);
    zm_metadata_list_u32(&plan->values, name, (uint32_t)number);
}

/* What only one family has. */
static void add_own_values(zm_reformat_plan *plan)
{
    const zm_text_info *text = &zm_model_get_info(plan->model)->text;
    const char *family = plan->family->name;
    char name[MAX_KEY];
    snprintf(name, sizeof(name), "%s.vocab_size", family);
    zm_metadata_list_u32(&plan->values, name, text->vocabulary);
    if (strcmp(family, "gptneox") == 0)
        zm_metadata_list_bool(&plan->values, "gptneox.use_parallel_residual", text->parallel);
    if (strcmp(family, "mpt") == 0)
        zm_metadata_list_f32(&plan->values, "mpt.attention.max_alibi_bias", 8);
}

uint32_t zm_reformat_file_type(zm_dtype type)
{
    static const uint32_t numbers[ZM_DTYPE_COUNT] = {
        [ZM_F16] = 1,   [ZM_Q4_0] = 2,  [ZM_Q4_1] = 3,  [ZM_Q8_0] = 7,
        [ZM_Q5_0] = 8,  [ZM_Q5_1] = 9,  [ZM_Q2_K] = 10, [ZM_Q3_K] = 12,
        [ZM_Q4_K] = 14, [ZM_Q5_K] = 16, [ZM_Q6_K] = 18, [ZM_BF16] = 32};
    return numbers[type];
}

/* The last component of the path, without the format's suffix. */
static char *name_of(const char *path)
{
    char *resolved = realpath(path, NULL);
    const char *slash = resolved ? strrchr(resolved, '/') : NULL;
    char *name = strdup(slash ? slash + 1 : path);
    free(resolved);
    return name;
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* What is written anew, and what was about the old files. */
static bool is_replaced(const char *key)
{
    static const char *const keys[] = {"general.file_type", "general.quantization_version",
                                       "general.alignment"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return begins_with(key, "split.") || begins_with(key, "zeromean.");
}

/* What an earlier conversion of a GGUF file has kept of it: its licence, say. */
static void add_kept(zm_reformat_plan *plan)
{
    for (size_t i = 0; i < plan->model->value_count; i++) {
        const zm_metadata_value *value = &plan->model->values[i];
        if (begins_with(value->key, "general.") && !is_replaced(value->key) &&
            !zm_metadata_list_find(&plan->values, value->key))
            zm_metadata_list_copy(&plan->values, value);
    }
}

static void add_general(zm_reformat_plan *plan)
{
    char *name = name_of(zm_model_get_info(plan->model)->path);
    zm_metadata_list_string(&plan->values, "general.architecture", plan->family->name);
    add_kept(plan);
    if (!zm_metadata_list_find(&plan->values, "general.type"))
        zm_metadata_list_string(&plan->values, "general.type", "model");
    if (name && !zm_metadata_list_find(&plan->values, "general.name"))
        zm_metadata_list_string(&plan->values, "general.name", name);
    plan->values.failed |= !name;
    free(name);
}

static void describe_gguf(zm_reformat_plan *plan)
{
    if (plan->model->gguf) {
        for (size_t i = 0; i < plan->model->value_count; i++)
            if (!is_replaced(plan->model->values[i].key))
                zm_metadata_list_copy(&plan->values, &plan->model->values[i]);
    } else {
        add_general(plan);
        for (int key = 0; key < ZM_TEXT_KEY_COUNT; key++)
            add_value(plan, (zm_text_key)key);
        zm_reformat_scaling_add_values(plan);
        add_own_values(plan);
    }
    zm_metadata_list_u32(&plan->values, "general.file_type", zm_reformat_file_type(plan->type));
    zm_metadata_list_u32(&plan->values, "general.quantization_version", 2);
}

/* ---- config.json ---- */

/* A point in a key goes into an object. */
static void set_field(json_t *object, const char *key, json_t *value)
{
    const char *point = strchr(key, '.');
    char outer[MAX_KEY];
    if (!point) {
        json_object_set_new(object, key, value);
        return;
    }
    snprintf(outer, sizeof(outer), "%.*s", (int)(point - key), key);
    if (!json_object_get(object, outer))
        json_object_set_new(object, outer, json_object());
    set_field(json_object_get(object, outer), point + 1, value);
}

double zm_reformat_shortest(double number)
{
    char text[40];
    double out = number;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        out = strtod(text, NULL);
        if ((float)out == (float)number)
            break;
    }
    return out;
}

static const char *activation_name(zm_activation activation)
{
    switch (activation) {
    case ZM_ACTIVATION_GELU: return "gelu";
    case ZM_ACTIVATION_GELU_TANH: return "gelu_new";
    case ZM_ACTIVATION_SILU: return "silu";
    case ZM_ACTIVATION_RELU: return "relu";
    case ZM_ACTIVATION_QUICK_GELU: return "quick_gelu";
    default: return "none";
    }
}

static void set_key(zm_reformat_plan *plan, zm_text_key key)
{
    const zm_model_info *info = zm_model_get_info(plan->model);
    const char *name = plan->family->keys[key];
    double number;
    if (!name)
        return;
    if (key == ZM_TEXT_KEY_ACTIVATION)
        set_field(plan->config, name, json_string(activation_name(info->text.activation)));
    else if (key == ZM_TEXT_KEY_TIED)
        set_field(plan->config, name, json_boolean(info->text.tied));
    else if (number_of(info, key, &number))
        set_field(plan->config, name,
                  is_real(key) ? json_real(zm_reformat_shortest(number))
                               : json_integer((json_int_t)number));
}

/* Fields that have one value only are as well written out. */
static void set_fixed(zm_reformat_plan *plan)
{
    const zm_text_family *family = plan->family;
    const size_t most = sizeof(family->fixed) / sizeof(family->fixed[0]);
    for (size_t i = 0; i < most && family->fixed[i].key; i++) {
        const zm_text_fixed *fixed = &family->fixed[i];
        if (!begins_with(fixed->key, "rope_"))
            set_field(plan->config, fixed->key, json_loads(fixed->value, JSON_DECODE_ANY, NULL));
    }
}

static void describe_config(zm_reformat_plan *plan)
{
    const zm_text_info *text = &zm_model_get_info(plan->model)->text;
    const char *family = plan->family->name;
    set_field(plan->config, "model_type", json_string(family));
    set_field(plan->config, "architectures", json_pack("[s]", plan->class_name));
    set_field(plan->config, "torch_dtype",
              json_string(plan->type == ZM_F16    ? "float16"
                          : plan->type == ZM_BF16 ? "bfloat16"
                                                  : "float32"));
    for (int key = 0; key < ZM_TEXT_KEY_COUNT; key++)
        set_key(plan, (zm_text_key)key);
    set_fixed(plan);
    zm_reformat_scaling_set(plan);
    if (strcmp(family, "gpt_neox") == 0)
        set_field(plan->config, "use_parallel_residual", json_boolean(text->parallel));
    if (strcmp(family, "mpt") == 0)
        set_field(plan->config, "expansion_ratio", json_integer(text->ff / text->d));
    if (strcmp(family, "bloom") == 0)
        set_field(plan->config, "seq_length", json_integer(positions_of(text)));
}

zm_status zm_reformat_describe(zm_reformat_plan *plan, const zm_log *log)
{
    if (plan->to_gguf)
        describe_gguf(plan);
    else
        describe_config(plan);
    return plan->values.failed ? zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory for the metadata")
                               : ZM_OK;
}

/* ---- is it the same model? ---- */

/* A window over all positions is none. */
static uint32_t window_of(const zm_text_info *text)
{
    return text->window >= positions_of(text) ? 0 : text->window;
}

/* Parameters are float32 in one of the formats. */
static bool is_close(double a, double b)
{
    return fabs(a - b) <= 2.5e-7 * fabs(b);
}

static bool same_factors(const zm_text_info *a, const zm_text_info *b)
{
    for (uint32_t i = 0; i < a->rotary_dim / 2 && (a->rope_factors || b->rope_factors); i++)
        if (!is_close(a->rope_factors ? a->rope_factors[i] : 1,
                      b->rope_factors ? b->rope_factors[i] : 1))
            return false;
    return is_close((double)a->rope_magnitude, (double)b->rope_magnitude);
}

static const char *difference(const zm_model_info *from, const zm_model_info *to)
{
    const zm_text_info *a = &from->text, *b = &to->text;
    const struct {
        const char *name;
        bool differs;
    } fields[] = {
        {"width", a->d != b->d || a->ff != b->ff || a->layers != b->layers},
        {"heads", a->heads != b->heads || a->kv_heads != b->kv_heads || a->head_dim != b->head_dim},
        {"vocabulary", a->vocabulary != b->vocabulary || a->tied != b->tied},
        {"positions", (a->positions && b->positions && a->positions != b->positions) ||
                          a->position_rows != b->position_rows ||
                          a->first_position != b->first_position || a->alibi != b->alibi},
        {"norm",
         a->norm != b->norm || from->eps != to->eps || a->embedding_norm != b->embedding_norm},
        {"scale of the token table", a->embedding_scale != b->embedding_scale},
        {"activation", a->activation != b->activation || a->gated != b->gated},
        {"residual sums", a->parallel != b->parallel || a->one_norm != b->one_norm},
        {"rotation",
         a->rotary_dim != b->rotary_dim ||
             (a->rotary_dim && (a->rope_base != b->rope_base || a->rope_scale != b->rope_scale))},
        {"rope_freqs.weight, which Llama 3.1's parameters don't give,",
         !same_factors(a, b) && a->rope_scaling.type == ZM_ROPE_SCALING_NONE},
        {"scaling of rotary positions", !same_factors(a, b)},
        {"window of attention", window_of(a) != window_of(b)},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].differs)
            return fields[i].name;
    return NULL;
}

static int compare_names(const void *left, const void *right)
{
    const zm_model_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

/* As opening a file would do it. */
static zm_status read_made(const zm_reformat_plan *plan, zm_model *made, const zm_log *log)
{
    const zm_text_fields fields = {.what = made->path,
                                   .config = plan->to_gguf ? NULL : plan->config,
                                   .model = made,
                                   .family = made->family->name,
                                   .log = log};
    zm_status status = zm_text_read(made->family, &fields, &made->info);
    if (status == ZM_OK)
        status = zm_text_patterns_make(made, log);
    return status == ZM_OK ? zm_weights_check(made, log) : status;
}

zm_status zm_reformat_verify(const zm_reformat_plan *plan, const zm_log *log)
{
    const zm_model_info *info = zm_model_get_info(plan->model);
    zm_model made = {
        .family = plan->family,
        .architecture = plan->model->architecture,
        .path = plan->model->path,
        .info = {.architecture = info->architecture, .architecture_name = plan->family->name},
        .tensors = zm_calloc(plan->count, sizeof(zm_model_tensor)),
        .tensor_count = plan->count,
        .values = zm_calloc(plan->values.count, sizeof(zm_metadata_value)),
        .value_count = plan->values.count};
    zm_status status = ZM_OK;
    if (!made.tensors || !made.values)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
    for (size_t i = 0; i < plan->count && status == ZM_OK; i++) {
        made.tensors[i] = plan->items[i].made;
        if (plan->items[i].slot == ZM_TEXT_ROPE_FACTORS)
            made.tensors[i].data = plan->items[i].source->data; /* which is a field */
    }
    if (status == ZM_OK && plan->count > 0)
        qsort(made.tensors, plan->count, sizeof(*made.tensors), compare_names);
    if (status == ZM_OK && plan->values.count > 0)
        memcpy(made.values, plan->values.values, plan->values.count * sizeof(*made.values));
    if (status == ZM_OK)
        zm_metadata_sort(made.values, made.value_count);
    if (status == ZM_OK)
        status = read_made(plan, &made, log);
    const char *what = status == ZM_OK ? difference(info, &made.info) : NULL;
    if (what)
        status =
            zm_fail(log, ZM_ERROR_UNSUPPORTED,
                    "%s: its %s can't be said in %s of type %s, so it is not converted", info->path,
                    what, plan->to_gguf ? "a GGUF file" : "safetensors", plan->family->name);
    zm_patterns_free(&made);
    zm_text_rope_free(&made.info.text);
    free(made.tensors);
    free(made.values);
    return status;
}

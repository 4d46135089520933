/* SPDX-License-Identifier: Apache-2.0 */
/* From a family's row and a file's fields to hyper-parameters. */
#include "model/text.h"

#include <string.h>

#define MAX_LAYERS 1024
#define MAX_WIDTH (1u << 20)
#define MAX_VOCABULARY (1u << 24)
#define MAX_POSITIONS (1u << 24)

typedef struct reader {
    const zm_text_family *family;
    const zm_text_fields *fields;
    zm_text_info *text;
} reader;

/* What a model can't be without has fallback 0. */
static zm_status read_size(const reader *r, zm_text_key key, uint32_t most, uint32_t fallback,
                           uint32_t *out)
{
    const char *name = r->family->keys[key];
    bool found = false;
    zm_status status = name ? zm_text_field_u32(r->fields, name, 1, most, out, &found) : ZM_OK;
    if (status != ZM_OK || found)
        return status;
    if (fallback == 0 && name)
        return zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT, "%s: %s is missing", r->fields->what,
                       name);
    *out = fallback;
    return ZM_OK;
}

static zm_status read_eps(const reader *r, float *out)
{
    const char *name = r->family->keys[ZM_TEXT_KEY_EPS];
    double eps = 1e-5;
    bool found;
    zm_status status = name ? zm_text_field_real(r->fields, name, 1e-30, 1, &eps, &found) : ZM_OK;
    *out = (float)eps;
    return status;
}

zm_status zm_text_field_activation(const zm_text_fields *fields, const char *key,
                                   zm_activation *out)
{
    static const struct {
        const char *name;
        zm_activation activation;
    } known[] = {{"gelu", ZM_ACTIVATION_GELU},
                 {"gelu_new", ZM_ACTIVATION_GELU_TANH},
                 {"gelu_fast", ZM_ACTIVATION_GELU_TANH},
                 {"gelu_pytorch_tanh", ZM_ACTIVATION_GELU_TANH},
                 {"silu", ZM_ACTIVATION_SILU},
                 {"relu", ZM_ACTIVATION_RELU},
                 {"quick_gelu", ZM_ACTIVATION_QUICK_GELU}};
    char name[32] = "";
    bool found = false;
    zm_status status = zm_text_field_string(fields, key, name, sizeof(name), &found);
    if (status != ZM_OK || !found)
        return status;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, name) != 0)
            continue;
        *out = known[i].activation;
        return ZM_OK;
    }
    return zm_fail(fields->log, ZM_ERROR_UNSUPPORTED, "%s: %s \"%s\" is not supported",
                   fields->what, key, name);
}

/* GGUF doesn't say how many tokens there are, nor whether the head is their table. */
static zm_status read_table(const reader *r)
{
    zm_text_info *text = r->text;
    if (!r->family->gguf) {
        const char *tied = r->family->keys[ZM_TEXT_KEY_TIED];
        bool found;
        zm_status status = tied ? zm_text_field_bool(r->fields, tied, &text->tied, &found) : ZM_OK;
        return status == ZM_OK
                   ? read_size(r, ZM_TEXT_KEY_VOCABULARY, MAX_VOCABULARY, 0, &text->vocabulary)
                   : status;
    }
    const zm_model_tensor *table = zm_model_find_tensor(r->fields->model, "token_embd.weight");
    if (!table || table->rank != 2 || table->shape[0] == 0 || table->shape[0] > MAX_VOCABULARY)
        return zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT,
                       "%s: there is no token_embd.weight of 1 to %u rows", r->fields->what,
                       MAX_VOCABULARY);
    text->vocabulary = (uint32_t)table->shape[0];
    text->tied = !zm_model_find_tensor(r->fields->model, "output.weight");
    return ZM_OK;
}

static zm_status read_sizes(const reader *r)
{
    zm_text_info *text = r->text;
    zm_status status = read_size(r, ZM_TEXT_KEY_D, MAX_WIDTH, 0, &text->d);
    if (status == ZM_OK)
        status = read_size(r, ZM_TEXT_KEY_LAYERS, MAX_LAYERS, 0, &text->layers);
    if (status == ZM_OK)
        status = read_size(r, ZM_TEXT_KEY_HEADS, MAX_WIDTH, 0, &text->heads);
    if (status == ZM_OK)
        status = read_size(r, ZM_TEXT_KEY_KV_HEADS, MAX_WIDTH,
                           text->kv_heads ? text->kv_heads : text->heads, &text->kv_heads);
    if (status == ZM_OK)
        status =
            read_size(r, ZM_TEXT_KEY_HEAD_DIM, MAX_WIDTH, text->d / text->heads, &text->head_dim);
    if (status == ZM_OK)
        status = read_size(r, ZM_TEXT_KEY_FF, MAX_WIDTH, 4 * text->d, &text->ff);
    if (status == ZM_OK && r->family->keys[ZM_TEXT_KEY_POSITIONS])
        status = read_size(r, ZM_TEXT_KEY_POSITIONS, MAX_POSITIONS, 0, &text->positions);
    if (status == ZM_OK)
        status = read_table(r);
    return status;
}

static zm_status check_sizes(const reader *r)
{
    const zm_text_info *text = r->text;
    if (text->head_dim == 0 || text->head_dim > 4096 || text->heads % text->kv_heads != 0 ||
        (!r->family->keys[ZM_TEXT_KEY_HEAD_DIM] && text->d % text->heads != 0) ||
        (uint64_t)text->heads * text->head_dim > MAX_WIDTH)
        return zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT,
                       "%s: %u heads of %u, %u of them with keys, do not fit a width of %u",
                       r->fields->what, text->heads, text->head_dim, text->kv_heads, text->d);
    if (r->family->slots[ZM_TEXT_POSITIONS] && text->position_rows == 0)
        r->text->position_rows = text->positions + text->first_position;
    return ZM_OK;
}

zm_status zm_text_read(const zm_text_family *family, const zm_text_fields *fields,
                       zm_model_info *info)
{
    const reader r = {family, fields, &info->text};
    const size_t most = sizeof(family->fixed) / sizeof(family->fixed[0]);
    zm_status status = ZM_OK;
    info->text = family->info;
    for (size_t i = 0; i < most && family->fixed[i].key && status == ZM_OK; i++)
        status = zm_text_field_check(fields, &family->fixed[i]);
    if (status == ZM_OK)
        status = read_sizes(&r);
    if (status == ZM_OK && family->keys[ZM_TEXT_KEY_ACTIVATION])
        status = zm_text_field_activation(fields, family->keys[ZM_TEXT_KEY_ACTIVATION],
                                          &info->text.activation);
    if (status == ZM_OK)
        status = read_eps(&r, &info->eps);
    if (status == ZM_OK &&
        (family->keys[ZM_TEXT_KEY_ROPE_BASE] || family->keys[ZM_TEXT_KEY_ROTARY_DIM]))
        status = zm_text_rope_read(family, fields, &info->text);
    if (status == ZM_OK && family->keys[ZM_TEXT_KEY_WINDOW])
        status = zm_text_field_u32(fields, family->keys[ZM_TEXT_KEY_WINDOW], 1, MAX_POSITIONS,
                                   &info->text.window, &(bool){false});
    if (status == ZM_OK && family->settle)
        status = family->settle(fields, &info->text);
    if (status == ZM_OK)
        status = check_sizes(&r);
    info->norm = info->text.norm;
    return status;
}

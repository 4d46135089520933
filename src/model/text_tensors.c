/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a family as patterns: from its slots, whose shapes and roles are the same in all
 * families. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "model/model_private.h"

typedef struct slot_desc {
    zm_tensor_role weight, bias;
    bool in_layers;
    uint32_t rank;
    zm_model_size shape[2];
} slot_desc;

#define NORM(in_layers)                                       \
    {                                                         \
        ZM_ROLE_NORM_WEIGHT, ZM_ROLE_NORM_BIAS, in_layers, 1, \
        {                                                     \
            ZM_SIZE_D, ZM_SIZE_ONE                            \
        }                                                     \
    }
#define READER(n)                                            \
    {                                                        \
        ZM_ROLE_READER_WEIGHT, ZM_ROLE_READER_BIAS, true, 2, \
        {                                                    \
            ZM_SIZE_##n, ZM_SIZE_D                           \
        }                                                    \
    }
#define WRITER(k)                                            \
    {                                                        \
        ZM_ROLE_WRITER_WEIGHT, ZM_ROLE_WRITER_BIAS, true, 2, \
        {                                                    \
            ZM_SIZE_D, ZM_SIZE_##k                           \
        }                                                    \
    }

static const slot_desc slots[ZM_TEXT_SLOT_COUNT] = {
    [ZM_TEXT_TOKENS] = {ZM_ROLE_TABLE, ZM_ROLE_NONE, false, 2, {ZM_SIZE_VOCABULARY, ZM_SIZE_D}},
    [ZM_TEXT_POSITIONS] =
        {ZM_ROLE_POSITION, ZM_ROLE_NONE, false, 2, {ZM_SIZE_POSITION_ROWS, ZM_SIZE_D}},
    [ZM_TEXT_EMBEDDING_NORM] = {ZM_ROLE_INPUT, ZM_ROLE_INPUT, false, 1, {ZM_SIZE_D, ZM_SIZE_ONE}},
    [ZM_TEXT_ATTENTION_NORM] = NORM(true),
    [ZM_TEXT_QKV] = READER(QKV),
    [ZM_TEXT_Q] = READER(Q),
    [ZM_TEXT_K] = READER(KV),
    [ZM_TEXT_V] = READER(KV),
    [ZM_TEXT_ATTENTION_OUT] = WRITER(Q),
    [ZM_TEXT_MLP_NORM] = NORM(true),
    [ZM_TEXT_GATE] = READER(FF),
    [ZM_TEXT_UP] = READER(FF),
    [ZM_TEXT_DOWN] = WRITER(FF),
    [ZM_TEXT_LAST_NORM] = NORM(false),
    [ZM_TEXT_HEAD] =
        {ZM_ROLE_READER_WEIGHT, ZM_ROLE_READER_BIAS, false, 2, {ZM_SIZE_VOCABULARY, ZM_SIZE_D}},
    [ZM_TEXT_ROPE_FACTORS] =
        {ZM_ROLE_INPUT, ZM_ROLE_NONE, false, 1, {ZM_SIZE_ROTARY_PAIRS, ZM_SIZE_ONE}},
};

/* Buffers of the reference implementations that some files have; nothing is in them. */
bool zm_text_is_ignored(const char *name)
{
    static const char *const ends[] = {".rotary_emb.inv_freq",   ".attn.bias",
                                       ".attn.masked_bias",      ".attention.bias",
                                       ".attention.masked_bias", ".attn.causal_mask"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t end = strlen(ends[i]);
        if (length > end && strcmp(name + length - end, ends[i]) == 0)
            return true;
    }
    return false;
}

/* Parallel blocks with one norm have no second one. */
static const char *slot_name(const zm_model *model, zm_text_slot slot)
{
    bool absent = slot == ZM_TEXT_MLP_NORM && model->info.text.one_norm;
    return absent ? NULL : model->family->slots[slot];
}

/* Files without the family's prefix are from its base model alone. */
static bool has_prefix(const zm_model *model)
{
    char name[ZM_TEXT_NAME];
    snprintf(name, sizeof(name), "%s.weight", model->family->slots[ZM_TEXT_TOKENS]);
    return zm_model_find_tensor(model, name) != NULL;
}

/* The head is no part of the base model. */
static void write_name(const zm_model *model, const char *root, const char *suffix, char *out)
{
    const char *prefix = model->family->prefix;
    zm_base_name_write(prefix, prefix && has_prefix(model), root, suffix, out);
}

static zm_tensor_role role_of(const zm_model *model, zm_text_slot slot, bool weight)
{
    bool tied = model->info.text.tied;
    if (slot == ZM_TEXT_TOKENS && tied)
        return ZM_ROLE_EMBEDDING;
    if (slot == ZM_TEXT_TOKENS && model->info.text.embedding_norm)
        return ZM_ROLE_INPUT; /* the main branch begins behind that norm */
    if (slot == ZM_TEXT_HEAD && tied && weight)
        return ZM_ROLE_HEAD;
    return weight ? slots[slot].weight : slots[slot].bias;
}

/* The norm that a reader reads and that can be folded into it. Of a tied head there is none. */
static bool norm_of(const zm_model *model, zm_text_slot slot, zm_text_slot *out)
{
    switch (slot) {
    case ZM_TEXT_QKV:
    case ZM_TEXT_Q:
    case ZM_TEXT_K:
    case ZM_TEXT_V: *out = ZM_TEXT_ATTENTION_NORM; return true;
    case ZM_TEXT_GATE:
    case ZM_TEXT_UP:
        *out = model->info.text.one_norm ? ZM_TEXT_ATTENTION_NORM : ZM_TEXT_MLP_NORM;
        return true;
    case ZM_TEXT_HEAD: *out = ZM_TEXT_LAST_NORM; return !model->info.text.tied;
    default: return false;
    }
}

static char *make_name(zm_model *model, zm_text_slot slot, const char *suffix)
{
    char *name = malloc(ZM_TEXT_NAME);
    if (name)
        write_name(model, model->family->slots[slot], suffix, name);
    return name;
}

static zm_status add_pattern(zm_model *model, zm_text_slot slot, bool weight, const zm_log *log)
{
    const slot_desc *desc = &slots[slot];
    bool may_miss = slot == ZM_TEXT_ROPE_FACTORS || (slot == ZM_TEXT_HEAD && model->info.text.tied);
    zm_text_slot norm;
    const bool reads = weight && norm_of(model, slot, &norm);
    char **names = &model->pattern_names[2 * model->pattern_count];
    names[0] = make_name(model, slot, weight ? ".weight" : ".bias");
    names[1] = reads ? make_name(model, norm, "") : NULL;
    model->pattern_count++;
    if (!names[0] || (reads && !names[1]))
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", model->path);
    model->own_patterns[model->pattern_count - 1] = (zm_tensor_pattern){
        .name = names[0],
        .norm = names[1],
        .role = role_of(model, slot, weight),
        .layers = desc->in_layers ? ZM_SIZE_LAYERS : ZM_SIZE_ONE,
        .rank = weight ? desc->rank : 1,
        .shape = {desc->shape[0], desc->shape[1]},
        .optional = may_miss || (!weight && !(model->family->biased & (1u << slot))),
        .transposed = weight && desc->in_layers && desc->rank == 2 && model->family->transposed};
    return ZM_OK;
}

zm_status zm_text_patterns_make(zm_model *model, const zm_log *log)
{
    zm_status status = ZM_OK;
    model->own_patterns = zm_calloc(2 * ZM_TEXT_SLOT_COUNT, sizeof(*model->own_patterns));
    model->pattern_names = zm_calloc(4 * ZM_TEXT_SLOT_COUNT, sizeof(*model->pattern_names));
    if (!model->own_patterns || !model->pattern_names)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", model->path);
    for (int slot = 0; slot < ZM_TEXT_SLOT_COUNT && status == ZM_OK; slot++) {
        if (!slot_name(model, (zm_text_slot)slot))
            continue;
        status = add_pattern(model, (zm_text_slot)slot, true, log);
        if (status == ZM_OK && slots[slot].bias != ZM_ROLE_NONE)
            status = add_pattern(model, (zm_text_slot)slot, false, log);
    }
    model->patterns = model->own_patterns;
    return status;
}

void zm_patterns_free(zm_model *model)
{
    for (size_t i = 0; model->pattern_names && i < 2 * model->pattern_count; i++)
        free(model->pattern_names[i]);
    free(model->pattern_names);
    free(model->own_patterns);
    model->pattern_names = NULL;
    model->own_patterns = NULL;
    model->patterns = NULL;
    model->pattern_count = 0;
}

static void fill_sizes(const zm_model_info *info, uint64_t out[ZM_SIZE_COUNT])
{
    const zm_text_info *text = &info->text;
    memset(out, 0, ZM_SIZE_COUNT * sizeof(out[0]));
    out[ZM_SIZE_ONE] = 1;
    out[ZM_SIZE_D] = text->d;
    out[ZM_SIZE_VOCABULARY] = text->vocabulary;
    out[ZM_SIZE_LAYERS] = text->layers;
    out[ZM_SIZE_FF] = text->ff;
    out[ZM_SIZE_Q] = (uint64_t)text->heads * text->head_dim;
    out[ZM_SIZE_KV] = (uint64_t)text->kv_heads * text->head_dim;
    out[ZM_SIZE_QKV] = out[ZM_SIZE_Q] + 2 * out[ZM_SIZE_KV];
    out[ZM_SIZE_POSITION_ROWS] = text->position_rows;
    out[ZM_SIZE_ROTARY_PAIRS] = text->rotary_dim / 2;
}

static void finish(zm_model_info *info)
{
    zm_text_rope_free(&info->text);
}

const zm_architecture_desc zm_architecture_text = {
    .architecture = ZM_ARCHITECTURE_TEXT, .sizes = fill_sizes, .finish = finish};

const zm_text_family *zm_model_text_family(const zm_model *model)
{
    return model->family;
}

bool zm_model_text_name(const zm_model *model, zm_text_slot slot, uint32_t layer,
                        char out[ZM_TEXT_NAME])
{
    const char *root = slot_name(model, slot);
    char pattern[ZM_TEXT_NAME];
    if (!root)
        return false;
    write_name(model, root, "", pattern);
    zm_tensor_pattern_name(pattern, layer, out, ZM_TEXT_NAME);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a family of models of images as patterns. Shapes and roles follow from what a
 * tensor is for, as in text_tensors.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "model/model_private.h"

typedef struct slot_desc {
    zm_tensor_role weight, bias;
    bool in_layers;
    uint32_t rank;
    zm_model_size shape[4]; /* of images */
    bool whole;             /* the name has no .weight behind it */
    bool optional;          /* not in all files of a family that has it */
} slot_desc;

#define NORM(in_layers)                                                                 \
    {                                                                                   \
        ZM_ROLE_NORM_WEIGHT, ZM_ROLE_NORM_BIAS, in_layers, 1, {ZM_SIZE_D}, false, false \
    }
#define READER(in_layers, n, optional)                                                             \
    {                                                                                              \
        ZM_ROLE_READER_WEIGHT, ZM_ROLE_READER_BIAS, in_layers, 2, {ZM_SIZE_##n, ZM_SIZE_D}, false, \
            optional                                                                               \
    }
#define WRITER(k)                                                                             \
    {                                                                                         \
        ZM_ROLE_WRITER_WEIGHT, ZM_ROLE_WRITER_BIAS, true, 2, {ZM_SIZE_D, ZM_SIZE_##k}, false, \
            false                                                                             \
    }
#define GAIN                                                                 \
    {                                                                        \
        ZM_ROLE_WRITER_GAIN, ZM_ROLE_NONE, true, 1, {ZM_SIZE_D}, true, false \
    }
/* Of rank 1 to 3, as the family has them. */
#define ROWS(role, rows, optional)                                                   \
    {                                                                                \
        role, ZM_ROLE_NONE, false, 3, {ZM_SIZE_ONE, rows, ZM_SIZE_D}, true, optional \
    }

static const slot_desc slots[ZM_VISION_SLOT_COUNT] = {
    [ZM_VISION_CLASS] = ROWS(ZM_ROLE_ENTRY_BIAS, ZM_SIZE_ONE, false),
    [ZM_VISION_DISTILLED] = ROWS(ZM_ROLE_ENTRY_BIAS, ZM_SIZE_ONE, false),
    [ZM_VISION_MASK] = ROWS(ZM_ROLE_INPUT, ZM_SIZE_ONE, true),
    [ZM_VISION_PATCHES] = {ZM_ROLE_ENTRY_WEIGHT,
                           ZM_ROLE_ENTRY_BIAS,
                           false,
                           4,
                           {ZM_SIZE_D, ZM_SIZE_CHANNELS, ZM_SIZE_PATCH, ZM_SIZE_PATCH},
                           false,
                           false},
    [ZM_VISION_TOKENS] =
        {ZM_ROLE_TABLE, ZM_ROLE_NONE, false, 2, {ZM_SIZE_VOCABULARY, ZM_SIZE_D}, false, false},
    [ZM_VISION_POSITIONS] = ROWS(ZM_ROLE_ENTRY_BIAS, ZM_SIZE_POSITION_ROWS, false),
    [ZM_VISION_ENTRY_NORM] = {ZM_ROLE_INPUT, ZM_ROLE_INPUT, false, 1, {ZM_SIZE_D}, false, false},
    [ZM_VISION_ATTENTION_NORM] = NORM(true),
    [ZM_VISION_QKV] = READER(true, QKV, false),
    [ZM_VISION_Q] = READER(true, D, false),
    [ZM_VISION_K] = READER(true, D, false),
    [ZM_VISION_V] = READER(true, D, false),
    [ZM_VISION_ATTENTION_OUT] = WRITER(D),
    [ZM_VISION_ATTENTION_GAIN] = GAIN,
    [ZM_VISION_MLP_NORM] = NORM(true),
    [ZM_VISION_UP] = READER(true, FF, false),
    [ZM_VISION_DOWN] = WRITER(FF),
    [ZM_VISION_MLP_GAIN] = GAIN,
    [ZM_VISION_LAST_NORM] = NORM(false),
    [ZM_VISION_POOLER] = READER(false, D, true),
    [ZM_VISION_PROJECTION] = READER(false, EMBEDDING, true),
    [ZM_VISION_HEAD] = READER(false, LABELS, true),
    [ZM_VISION_HEAD_CLASS] = READER(false, LABELS, true),
    [ZM_VISION_HEAD_DISTILLED] = READER(false, LABELS, true),
    [ZM_VISION_TEMPERATURE] = {ZM_ROLE_INPUT, ZM_ROLE_NONE, false, 0, {ZM_SIZE_ONE}, true, true},
};

/* Numbers of rows, or of nothing else than them. */
bool zm_vision_is_ignored(const char *name)
{
    static const char end[] = ".position_ids";
    const size_t length = strlen(name), size = sizeof(end) - 1;
    return length > size && strcmp(name + length - size, end) == 0;
}

static zm_model_size size_of(zm_tower tower, zm_model_size size)
{
    if (tower == ZM_TOWER_IMAGE)
        return size;
    switch (size) {
    case ZM_SIZE_D: return ZM_SIZE_TEXT_D;
    case ZM_SIZE_FF: return ZM_SIZE_TEXT_FF;
    case ZM_SIZE_LAYERS: return ZM_SIZE_TEXT_LAYERS;
    case ZM_SIZE_POSITION_ROWS: return ZM_SIZE_TEXT_POSITIONS;
    default: return size;
    }
}

static uint32_t rank_of(const zm_vision_family *family, zm_vision_slot slot)
{
    switch (slot) {
    case ZM_VISION_CLASS:
    case ZM_VISION_DISTILLED: return family->class_rank;
    case ZM_VISION_MASK: return family->mask_rank;
    case ZM_VISION_POSITIONS: return family->position_rank;
    default: return slots[slot].rank;
    }
}

/* Behind a norm that has weights of its own, or in front of one, nothing in a file can keep the
 * mean of the main branch. */
static zm_tensor_role role_of(const zm_model *model, zm_tower tower, zm_vision_slot slot,
                              bool weight)
{
    zm_tensor_role role = weight ? slots[slot].weight : slots[slot].bias;
    if (slot == ZM_VISION_POSITIONS && tower == ZM_TOWER_TEXT)
        return ZM_ROLE_POSITION;
    bool entry = role == ZM_ROLE_ENTRY_WEIGHT || role == ZM_ROLE_ENTRY_BIAS;
    return entry && tower == ZM_TOWER_IMAGE && model->info.vision.entry_norm ? ZM_ROLE_INPUT : role;
}

/* Files without the family's prefix are from its base model alone. */
static bool has_prefix(const zm_model *model)
{
    return zm_model_find_tensor(model, model->vision->slots[ZM_TOWER_IMAGE][ZM_VISION_CLASS]);
}

/* What is no part of the base model has no prefix. */
static void write_name(const zm_model *model, const char *root, const char *suffix, char *out)
{
    const char *prefix = model->vision->prefix;
    zm_base_name_write(prefix, prefix && has_prefix(model), root, suffix, out);
}

static const zm_model_tensor *find(const zm_model *model, zm_tower tower, zm_vision_slot slot)
{
    char name[ZM_TEXT_NAME];
    const char *root = model->vision->slots[tower][slot];
    if (!root)
        return NULL;
    write_name(model, root, slots[slot].whole ? "" : ".weight", name);
    return zm_model_find_tensor(model, name);
}

/* What doesn't stand in config.json: which ends there are. */
static zm_status settle_ends(zm_model *model, const zm_log *log)
{
    static const zm_vision_slot heads[] = {ZM_VISION_HEAD, ZM_VISION_HEAD_CLASS,
                                           ZM_VISION_HEAD_DISTILLED};
    zm_vision_info *info = &model->info.vision;
    zm_encoder_info *encoders[] = {&info->image, &info->text};
    const zm_model_tensor *found[3];
    for (int i = 0; i < ZM_TOWER_COUNT; i++)
        if (!find(model, (zm_tower)i, ZM_VISION_PROJECTION) && !model->vision->projects)
            encoders[i]->embedding = encoders[i]->d;
    info->pooler = find(model, ZM_TOWER_IMAGE, ZM_VISION_POOLER) != NULL;
    for (int i = 0; i < 3; i++) {
        found[i] = find(model, ZM_TOWER_IMAGE, heads[i]);
        if (found[i] && found[i]->rank == 2 && found[i]->shape[0] <= UINT32_MAX)
            info->labels = (uint32_t)found[i]->shape[0];
    }
    if (!found[1] != !found[2] || (found[0] && found[1]))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: has classifiers of which one model has one, or two of both its tokens",
                       model->path);
    return ZM_OK;
}

static zm_status add_name(zm_model *model, size_t place, const char *root, const char *suffix,
                          const zm_log *log)
{
    char *name = malloc(ZM_TEXT_NAME);
    if (!name)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", model->path);
    write_name(model, root, suffix, name);
    model->pattern_names[2 * place] = name;
    return ZM_OK;
}

static bool is_optional(const zm_model *model, zm_vision_slot slot, bool weight)
{
    if (slot == ZM_VISION_PROJECTION && weight)
        return !model->vision->projects;
    return slots[slot].optional || (!weight && !(model->vision->biased & (1u << slot)));
}

static zm_status add_pattern(zm_model *model, zm_tower tower, zm_vision_slot slot, bool weight,
                             const zm_log *log)
{
    const slot_desc *desc = &slots[slot];
    const uint32_t rank = weight ? rank_of(model->vision, slot) : 1;
    const uint32_t first = desc->rank > rank && weight ? desc->rank - rank : 0;
    zm_status status = add_name(model, model->pattern_count, model->vision->slots[tower][slot],
                                !weight       ? ".bias"
                                : desc->whole ? ""
                                              : ".weight",
                                log);
    if (status != ZM_OK)
        return status;
    zm_tensor_pattern *pattern = &model->own_patterns[model->pattern_count];
    *pattern = (zm_tensor_pattern){.name = model->pattern_names[2 * model->pattern_count],
                                   .role = role_of(model, tower, slot, weight),
                                   .layers = desc->in_layers ? size_of(tower, ZM_SIZE_LAYERS)
                                                             : ZM_SIZE_ONE,
                                   .rank = rank,
                                   .optional = is_optional(model, slot, weight)};
    for (uint32_t i = 0; i < rank; i++)
        pattern->shape[i] = size_of(tower, desc->shape[first + i]);
    model->pattern_count++;
    return ZM_OK;
}

/* Behind the patterns, whose names are in the file by then. */
static void link_gains(zm_model *model, zm_tower tower)
{
    static const zm_vision_slot pairs[][2] = {{ZM_VISION_ATTENTION_OUT, ZM_VISION_ATTENTION_GAIN},
                                              {ZM_VISION_DOWN, ZM_VISION_MLP_GAIN}};
    for (int i = 0; i < 2; i++) {
        const char *const *roots = model->vision->slots[tower];
        char writer[ZM_TEXT_NAME], gain[ZM_TEXT_NAME];
        if (!roots[pairs[i][0]] || !roots[pairs[i][1]])
            continue;
        write_name(model, roots[pairs[i][0]], ".", writer);
        write_name(model, roots[pairs[i][1]], "", gain);
        const char *name = NULL;
        for (size_t j = 0; j < model->pattern_count; j++)
            if (strcmp(model->own_patterns[j].name, gain) == 0)
                name = model->own_patterns[j].name;
        for (size_t j = 0; j < model->pattern_count; j++)
            if (strncmp(model->own_patterns[j].name, writer, strlen(writer)) == 0)
                model->own_patterns[j].gain = name;
    }
}

zm_status zm_vision_patterns_make(zm_model *model, const zm_log *log)
{
    const size_t most = (size_t)2 * ZM_VISION_SLOT_COUNT * ZM_TOWER_COUNT;
    zm_status status = settle_ends(model, log);
    model->own_patterns = zm_calloc(most, sizeof(*model->own_patterns));
    model->pattern_names = zm_calloc(2 * most, sizeof(*model->pattern_names));
    model->pattern_count = 0;
    if (!model->own_patterns || !model->pattern_names)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", model->path);
    for (int tower = 0; tower < ZM_TOWER_COUNT; tower++) {
        for (int slot = 0; slot < ZM_VISION_SLOT_COUNT && status == ZM_OK; slot++) {
            if (!model->vision->slots[tower][slot])
                continue;
            status = add_pattern(model, (zm_tower)tower, (zm_vision_slot)slot, true, log);
            if (status == ZM_OK && slots[slot].bias != ZM_ROLE_NONE)
                status = add_pattern(model, (zm_tower)tower, (zm_vision_slot)slot, false, log);
        }
        link_gains(model, (zm_tower)tower);
    }
    model->patterns = model->own_patterns;
    return status;
}

static void fill_sizes(const zm_model_info *info, uint64_t out[ZM_SIZE_COUNT])
{
    const zm_encoder_info *image = &info->vision.image, *text = &info->vision.text;
    memset(out, 0, ZM_SIZE_COUNT * sizeof(out[0]));
    out[ZM_SIZE_ONE] = 1;
    out[ZM_SIZE_D] = image->d;
    out[ZM_SIZE_QKV] = 3 * (uint64_t)image->d;
    out[ZM_SIZE_LAYERS] = image->layers;
    out[ZM_SIZE_FF] = image->ff;
    out[ZM_SIZE_POSITION_ROWS] = image->positions;
    out[ZM_SIZE_CHANNELS] = image->channels;
    out[ZM_SIZE_PATCH] = image->patch;
    out[ZM_SIZE_LABELS] = info->vision.labels;
    out[ZM_SIZE_EMBEDDING] = image->d ? image->embedding : text->embedding;
    out[ZM_SIZE_VOCABULARY] = text->vocabulary;
    out[ZM_SIZE_TEXT_D] = text->d;
    out[ZM_SIZE_TEXT_LAYERS] = text->layers;
    out[ZM_SIZE_TEXT_FF] = text->ff;
    out[ZM_SIZE_TEXT_POSITIONS] = text->positions;
}

const zm_architecture_desc zm_architecture_vision = {.architecture = ZM_ARCHITECTURE_VISION,
                                                     .sizes = fill_sizes};

const zm_vision_family *zm_model_vision_family(const zm_model *model)
{
    return model->vision;
}

bool zm_model_vision_name(const zm_model *model, zm_tower tower, zm_vision_slot slot,
                          uint32_t layer, char out[ZM_TEXT_NAME])
{
    const char *root = model->vision->slots[tower][slot];
    char pattern[ZM_TEXT_NAME];
    if (!root || (slots[slot].optional && !find(model, tower, slot)))
        return false;
    write_name(model, root, "", pattern);
    zm_tensor_pattern_name(pattern, layer, out, ZM_TEXT_NAME);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors by the slots of the family. */
#include <string.h>

#include "common/alloc.h"
#include "session/vision.h"
#include "session/weights.h"

/* What is loaded: an encoder of a model. */
typedef struct job {
    zm_weight_loader loader;
    zm_vision_network *network;
    zm_vision_tower *tower;
    zm_tower kind;
} job;

/* What comes next is for this device. */
static void go_to(job *j, uint32_t device)
{
    j->loader.storage = &j->network->base.storages[device];
    j->loader.stream = j->network->base.streams[device];
}

static bool name_of(const job *j, zm_vision_slot slot, uint32_t layer, char out[ZM_TEXT_NAME])
{
    return zm_model_vision_name(j->loader.model, j->kind, slot, layer, out);
}

/* A linear that reads no norm, or one that keeps its bias. gain: ZM_VISION_SLOT_COUNT = none. Left
 * out where the model has no such tensor. */
static zm_status load_linear(job *j, zm_vision_slot slot, zm_vision_slot gain, uint32_t layer,
                             double factor, uint32_t n, uint32_t k, zm_linear *out)
{
    char name[ZM_TEXT_NAME], gains[ZM_TEXT_NAME];
    const zm_linear_part part = {.name = name, .n = n};
    zm_linear_source source = {.parts = &part, .count = 1, .k = k, .factor = factor};
    if (!name_of(j, slot, layer, name))
        return ZM_OK;
    if (gain != ZM_VISION_SLOT_COUNT && name_of(j, gain, layer, gains))
        source.gain = gains;
    return zm_load_linear(&j->loader, &source, out, NULL);
}

static zm_status load_norm(job *j, zm_vision_slot slot, zm_norm_weights *out)
{
    char name[ZM_TEXT_NAME];
    return name_of(j, slot, 0, name) ? zm_load_norm(&j->loader, name, j->tower->info.d, out)
                                     : ZM_OK;
}

static zm_status load_rows(job *j, zm_vision_slot slot, uint32_t rows, zm_tensor *out)
{
    char name[ZM_TEXT_NAME];
    return name_of(j, slot, 0, name) ? zm_load_rows(&j->loader, name, rows, j->tower->info.d, out)
                                     : ZM_OK;
}

static zm_status load_attention(job *j, uint32_t layer, zm_block_attention *self)
{
    const uint32_t d = j->tower->info.d;
    char names[4][ZM_TEXT_NAME];
    zm_linear_part parts[3];
    const bool fused = name_of(j, ZM_VISION_QKV, layer, names[0]);
    for (int i = 0; i < 3; i++) {
        if (!fused)
            name_of(j, (zm_vision_slot)(ZM_VISION_Q + i), layer, names[i]);
        parts[i] = (zm_linear_part){.name = names[fused ? 0 : i], .n = fused ? 3 * d : d};
    }
    name_of(j, ZM_VISION_ATTENTION_NORM, layer, names[3]);
    const zm_linear_source source = {
        .parts = parts, .count = fused ? 1 : 3, .k = d, .norm = names[3]};
    zm_status status = zm_load_linear(&j->loader, &source, &self->in, &self->norm);
    return status == ZM_OK ? load_linear(j, ZM_VISION_ATTENTION_OUT, ZM_VISION_ATTENTION_GAIN,
                                         layer, 0, d, d, &self->out)
                           : status;
}

static zm_status load_block(job *j, uint32_t layer, zm_block *block)
{
    const zm_encoder_info *info = &j->tower->info;
    char name[ZM_TEXT_NAME], norm[ZM_TEXT_NAME];
    const zm_linear_part part = {.name = name, .n = info->ff};
    const zm_linear_source source = {.parts = &part, .count = 1, .k = info->d, .norm = norm};
    name_of(j, ZM_VISION_UP, layer, name);
    name_of(j, ZM_VISION_MLP_NORM, layer, norm);
    zm_status status = load_attention(j, layer, &block->self);
    if (status == ZM_OK)
        status = zm_load_linear(&j->loader, &source, &block->mlp.up, &block->mlp.norm);
    return status == ZM_OK ? load_linear(j, ZM_VISION_DOWN, ZM_VISION_MLP_GAIN, layer, 0, info->d,
                                         info->ff, &block->mlp.down)
                           : status;
}

static zm_status load_entry(job *j)
{
    const zm_encoder_info *info = &j->tower->info;
    zm_vision_weights *weights = &j->tower->weights;
    const uint32_t k = info->channels * info->patch * info->patch;
    zm_linear table = {0};
    zm_status status = load_rows(j, ZM_VISION_POSITIONS, info->positions, &weights->positions);
    if (status == ZM_OK)
        status = load_rows(j, ZM_VISION_CLASS, 1, &weights->first);
    if (status == ZM_OK)
        status = load_rows(j, ZM_VISION_DISTILLED, 1, &weights->second);
    if (status == ZM_OK)
        status = load_linear(j, ZM_VISION_PATCHES, ZM_VISION_SLOT_COUNT, 0, 0, info->d, k,
                             &weights->patches);
    if (status == ZM_OK)
        status = load_linear(j, ZM_VISION_TOKENS, ZM_VISION_SLOT_COUNT, 0, 0, info->vocabulary,
                             info->d, &table);
    weights->table = table.weight;
    return status == ZM_OK ? load_norm(j, ZM_VISION_ENTRY_NORM, &weights->entry_norm) : status;
}

/* The logits of two tokens are their mean. */
static zm_status load_ends(job *j)
{
    const zm_encoder_info *info = &j->tower->info;
    const uint32_t labels = j->network->info.labels;
    zm_vision_weights *weights = &j->tower->weights;
    const zm_vision_slot none = ZM_VISION_SLOT_COUNT;
    zm_status status = load_norm(j, ZM_VISION_LAST_NORM, &weights->last_norm);
    if (status == ZM_OK)
        status =
            load_linear(j, ZM_VISION_POOLER, none, 0, 0, info->d, info->d, &weights->embedding);
    if (status == ZM_OK)
        status = load_linear(j, ZM_VISION_PROJECTION, none, 0, 0, info->embedding, info->d,
                             &weights->embedding);
    if (status == ZM_OK)
        status = load_linear(j, ZM_VISION_HEAD, none, 0, 0, labels, info->d, &weights->head);
    if (status == ZM_OK)
        status =
            load_linear(j, ZM_VISION_HEAD_CLASS, none, 0, 0.5, labels, info->d, &weights->head);
    if (status == ZM_OK)
        status = load_linear(j, ZM_VISION_HEAD_DISTILLED, none, 0, 0.5, labels, info->d,
                             &weights->second_head);
    return status;
}

static zm_status load_tower(job *j)
{
    const uint32_t layers = j->tower->info.layers;
    j->tower->weights.blocks = zm_calloc(layers, sizeof(zm_block));
    if (!j->tower->weights.blocks)
        return zm_fail(&j->network->base.log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    go_to(j, 0);
    zm_status status = load_entry(j);
    for (uint32_t i = 0; i < layers && status == ZM_OK; i++) {
        go_to(j, zm_network_device(&j->network->base, i, layers));
        status = load_block(j, i, &j->tower->weights.blocks[i]);
    }
    go_to(j, j->network->base.device_count - 1);
    return status == ZM_OK ? load_ends(j) : status;
}

zm_status zm_vision_load_weights(zm_vision_network *vision, const zm_model *model,
                                 const zm_session_params *params)
{
    job j = {.loader = {.model = model,
                        .plan = vision->base.plan,
                        .column_sums = vision->base.norm == ZM_NORM_LAYER,
                        .progress = params->progress,
                        .progress_user = params->progress_user},
             .network = vision};
    go_to(&j, 0);
    zm_status status = zm_weight_loader_init(&j.loader);
    if (status != ZM_OK)
        return status;
    for (int i = 0; i < ZM_TOWER_COUNT && status == ZM_OK; i++) {
        j.kind = (zm_tower)i;
        j.tower = &vision->towers[i];
        status = j.tower->info.d ? load_tower(&j) : ZM_OK;
    }
    zm_weight_loader_finish(&j.loader);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The encoders of a model of images without memory. */
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "session/structure.h"
#include "session/vision.h"

typedef struct job {
    zm_structure *s;
    zm_vision_tower *tower;
    zm_tower kind;
} job;

static void add_name(const job *j, zm_vision_slot slot, uint32_t layer, zm_structure_names *names)
{
    if (zm_model_vision_name(j->s->model, j->kind, slot, layer, names->root[names->count]))
        names->count++;
}

static zm_structure_names name_of(const job *j, zm_vision_slot slot, uint32_t layer)
{
    zm_structure_names names = {.count = 0};
    add_name(j, slot, layer, &names);
    return names;
}

static zm_linear linear_of(const job *j, zm_vision_slot slot, uint32_t layer, uint32_t n,
                           uint32_t k)
{
    const zm_structure_names names = name_of(j, slot, layer);
    return zm_structure_linear(j->s, &names, n, k);
}

static zm_norm_weights norm_of(const job *j, zm_vision_slot slot, uint32_t layer)
{
    const zm_structure_names names = name_of(j, slot, layer);
    return zm_structure_norm(j->s, &names, j->tower->info.d);
}

/* A tensor whose name has nothing behind it. */
static zm_tensor rows_of(const job *j, zm_vision_slot slot, uint32_t rows)
{
    const zm_structure_names names = name_of(j, slot, 0);
    if (names.count == 0)
        return (zm_tensor){0};
    return zm_structure_tensor(j->s, names.root[0], ZM_DTYPE_NONE, rows, j->tower->info.d);
}

static zm_linear writer_of(const job *j, zm_vision_slot slot, zm_vision_slot gain, uint32_t layer,
                           uint32_t k)
{
    zm_structure_names names = name_of(j, slot, layer);
    const zm_structure_names gains = name_of(j, gain, layer);
    return zm_structure_writer(j->s, &names, gains.count ? gains.root[0] : NULL, j->tower->info.d,
                               k);
}

static void fill_block(const job *j, uint32_t layer, zm_block *block)
{
    const zm_encoder_info *info = &j->tower->info;
    const uint32_t d = info->d;
    zm_structure_names names = name_of(j, ZM_VISION_QKV, layer);
    if (names.count == 0)
        for (int i = 0; i < 3; i++)
            add_name(j, (zm_vision_slot)(ZM_VISION_Q + i), layer, &names);
    block->self.norm = norm_of(j, ZM_VISION_ATTENTION_NORM, layer);
    block->self.in = zm_structure_linear(j->s, &names, 3 * d, d);
    block->self.out = writer_of(j, ZM_VISION_ATTENTION_OUT, ZM_VISION_ATTENTION_GAIN, layer, d);
    block->self.cache = zm_structure_cache(j->s, layer, info->heads, d, info->positions);
    block->mlp.norm = norm_of(j, ZM_VISION_MLP_NORM, layer);
    block->mlp.up = linear_of(j, ZM_VISION_UP, layer, info->ff, d);
    block->mlp.down = writer_of(j, ZM_VISION_DOWN, ZM_VISION_MLP_GAIN, layer, info->ff);
}

static void fill_ends(const job *j, const zm_vision_info *vision)
{
    const zm_encoder_info *info = &j->tower->info;
    zm_vision_weights *weights = &j->tower->weights;
    const zm_size image[] = {info->channels, info->image, info->image};
    weights->patches =
        linear_of(j, ZM_VISION_PATCHES, 0, info->d, info->channels * info->patch * info->patch);
    weights->first = rows_of(j, ZM_VISION_CLASS, 1);
    weights->second = rows_of(j, ZM_VISION_DISTILLED, 1);
    weights->positions = rows_of(j, ZM_VISION_POSITIONS, info->positions);
    weights->table = linear_of(j, ZM_VISION_TOKENS, 0, info->vocabulary, info->d).weight;
    weights->entry_norm = norm_of(j, ZM_VISION_ENTRY_NORM, 0);
    weights->last_norm = norm_of(j, ZM_VISION_LAST_NORM, 0);
    weights->embedding = linear_of(j, ZM_VISION_POOLER, 0, info->d, info->d);
    if (!weights->embedding.weight.buffer)
        weights->embedding = linear_of(j, ZM_VISION_PROJECTION, 0, info->embedding, info->d);
    weights->head = linear_of(j, ZM_VISION_HEAD, 0, vision->labels, info->d);
    if (!weights->head.weight.buffer)
        weights->head = linear_of(j, ZM_VISION_HEAD_CLASS, 0, vision->labels, info->d);
    weights->second_head = linear_of(j, ZM_VISION_HEAD_DISTILLED, 0, vision->labels, info->d);
    if (j->kind == ZM_TOWER_IMAGE)
        j->tower->pixels = zm_graph_extern(j->s->graph, "(pixels)", ZM_DTYPE_NONE, 3, image);
    else
        j->tower->numbers = zm_structure_tensor(j->s, "(numbers)", ZM_I32, 1 + info->positions, 0);
    j->tower->output = zm_structure_tensor(j->s, "(output)", ZM_DTYPE_NONE, 1, info->embedding);
    if (weights->head.weight.buffer)
        j->tower->logits = zm_structure_tensor(j->s, "(logits)", ZM_DTYPE_NONE, 1, vision->labels);
}

static zm_status trace(const job *j, zm_vision_network *network)
{
    const bool image = j->kind == ZM_TOWER_IMAGE;
    const uint32_t layers = j->tower->info.layers;
    zm_status status = ZM_OK;
    j->tower->weights.blocks = zm_calloc(layers, sizeof(zm_block));
    if (!j->tower->weights.blocks)
        return zm_fail(j->s->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    status = zm_graph_create(j->s->log, &j->s->graph);
    if (status == ZM_OK) {
        fill_ends(j, &network->info);
        for (uint32_t i = 0; i < layers; i++)
            fill_block(j, i, &j->tower->weights.blocks[i]);
        (image ? zm_vision_build_image : zm_vision_build_text)(&network->base, j->s->graph);
        status = zm_structure_trace(j->s, image ? "encoder.input" : "decoder.input");
    }
    free(j->tower->weights.blocks);
    return status;
}

zm_status zm_vision_check_structure(zm_structure *s)
{
    const zm_model_info *info = zm_model_get_info(s->model);
    zm_vision_network network = {
        .base = {.norm = zm_structure_norm_kind(s), .device_count = 1},
        .info = info->vision,
        .towers = {{.info = info->vision.image}, {.info = info->vision.text}}};
    zm_status status = ZM_OK;
    for (int i = 0; i < ZM_TOWER_COUNT && status == ZM_OK; i++) {
        const job j = {.s = s, .tower = &network.towers[i], .kind = (zm_tower)i};
        if (j.tower->info.d)
            status = trace(&j, &network);
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The network of a decoder of text without memory. */
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "session/structure.h"
#include "session/text.h"

enum { ROWS = 8 }; /* tokens of a run: any number will do */

static void add_name(const zm_structure *s, zm_text_slot slot, uint32_t layer,
                     zm_structure_names *names)
{
    if (zm_model_text_name(s->model, slot, layer, names->root[names->count]))
        names->count++;
}

static zm_structure_names name_of(const zm_structure *s, zm_text_slot slot, uint32_t layer)
{
    zm_structure_names names = {.count = 0};
    add_name(s, slot, layer, &names);
    return names;
}

static zm_linear linear_of(zm_structure *s, zm_text_slot slot, uint32_t layer, uint32_t n,
                           uint32_t k)
{
    const zm_structure_names names = name_of(s, slot, layer);
    return zm_structure_linear(s, &names, n, k);
}

static zm_norm_weights norm_of(zm_structure *s, zm_text_slot slot, uint32_t layer, uint32_t d)
{
    const zm_structure_names names = name_of(s, slot, layer);
    return zm_structure_norm(s, &names, d);
}

static void fill_attention(zm_structure *s, const zm_text_info *info, uint32_t layer,
                           zm_block_attention *self)
{
    const uint32_t q = info->heads * info->head_dim, kv = info->kv_heads * info->head_dim;
    zm_structure_names names = name_of(s, ZM_TEXT_QKV, layer);
    if (names.count == 0) {
        add_name(s, ZM_TEXT_Q, layer, &names);
        add_name(s, ZM_TEXT_K, layer, &names);
        add_name(s, ZM_TEXT_V, layer, &names);
    }
    self->norm = norm_of(s, ZM_TEXT_ATTENTION_NORM, layer, info->d);
    self->in = zm_structure_linear(s, &names, q + 2 * kv, info->d);
    self->out = linear_of(s, ZM_TEXT_ATTENTION_OUT, layer, info->d, q);
    self->cache = zm_structure_cache(s, layer, info->kv_heads, kv, ROWS);
}

static void fill_block(zm_structure *s, const zm_text_info *info, uint32_t layer, zm_block *block)
{
    zm_structure_names names = {.count = 0};
    if (info->gated)
        add_name(s, ZM_TEXT_GATE, layer, &names);
    add_name(s, ZM_TEXT_UP, layer, &names);
    fill_attention(s, info, layer, &block->self);
    block->mlp.norm =
        info->one_norm ? block->self.norm : norm_of(s, ZM_TEXT_MLP_NORM, layer, info->d);
    block->mlp.up = zm_structure_linear(s, &names, names.count * info->ff, info->d);
    block->mlp.down = linear_of(s, ZM_TEXT_DOWN, layer, info->d, info->ff);
}

static void fill_ends(zm_structure *s, zm_text_network *text)
{
    const zm_text_info *info = &text->info;
    zm_text_weights *weights = &text->weights;
    zm_structure_names table = name_of(s, ZM_TEXT_TOKENS, 0);
    weights->last_norm = norm_of(s, ZM_TEXT_LAST_NORM, 0, info->d);
    weights->head = info->tied ? zm_structure_linear(s, &table, info->vocabulary, info->d)
                               : linear_of(s, ZM_TEXT_HEAD, 0, info->vocabulary, info->d);
    weights->table = info->tied ? weights->head.weight
                                : zm_structure_linear(s, &table, info->vocabulary, info->d).weight;
    weights->positions = linear_of(s, ZM_TEXT_POSITIONS, 0, info->position_rows, info->d).weight;
    weights->embedding_norm = norm_of(s, ZM_TEXT_EMBEDDING_NORM, 0, info->d);
    if (info->alibi)
        weights->slopes = zm_structure_tensor(s, "(slopes)", ZM_F32, info->heads, 0);
    zm_structure_decoding(s, &text->base, info->vocabulary, ROWS);
}

zm_status zm_text_check_structure(zm_structure *s)
{
    const zm_model_info *info = zm_model_get_info(s->model);
    zm_text_network text = {
        .base.norm = zm_structure_norm_kind(s), .info = info->text, .eps = info->eps};
    text.weights.blocks = zm_calloc(info->text.layers, sizeof(zm_block));
    if (!text.weights.blocks)
        return zm_fail(s->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    zm_status status = zm_graph_create(s->log, &s->graph);
    if (status == ZM_OK) {
        fill_ends(s, &text);
        for (uint32_t i = 0; i < info->text.layers; i++)
            fill_block(s, &text.info, i, &text.weights.blocks[i]);
        zm_text_build(&text.base, s->graph);
        status = zm_structure_trace(s, "decoder.input");
    }
    free(text.weights.blocks);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors by the slots of the family. */
#include <string.h>

#include "common/alloc.h"
#include "model/text.h"
#include "session/text.h"
#include "session/weights.h"

/* A linear of one slot, or of several. */
typedef struct names {
    char norm[ZM_TEXT_NAME];
    char parts[3][ZM_TEXT_NAME];
} names;

/* What comes next is for this device. */
static void go_to(zm_weight_loader *loader, zm_text_network *text, uint32_t device)
{
    loader->storage = &text->base.storages[device];
    loader->stream = text->base.streams[device];
}

static zm_status load_single(zm_weight_loader *loader, zm_text_slot slot, uint32_t layer,
                             uint32_t n, uint32_t k, zm_linear *out)
{
    char name[ZM_TEXT_NAME] = "";
    zm_model_text_name(loader->model, slot, layer, name);
    const zm_linear_part part = {.name = name, .n = n};
    const zm_linear_source source = {.parts = &part,
                                     .count = 1,
                                     .k = k,
                                     .writes = slot != ZM_TEXT_TOKENS,
                                     .transposed = layer != UINT32_MAX &&
                                                   zm_model_text_family(loader->model)->transposed};
    return zm_load_linear(loader, &source, out, NULL);
}

/* q, k and v one below the other, however they lie in the file. */
static zm_status load_qkv(zm_weight_loader *loader, const zm_text_info *info, uint32_t layer,
                          zm_block_attention *self)
{
    const zm_text_family *family = zm_model_text_family(loader->model);
    const uint32_t q = info->heads * info->head_dim, kv = info->kv_heads * info->head_dim;
    const uint32_t group = info->heads / info->kv_heads, dim = info->head_dim;
    const bool fused =
        zm_model_text_name(loader->model, ZM_TEXT_QKV, layer, (char[ZM_TEXT_NAME]){0});
    names name = {0};
    zm_linear_part parts[3] = {{.n = q}, {.n = kv}, {.n = kv}};
    for (int i = 0; i < 3; i++) {
        zm_text_slot slot = fused ? ZM_TEXT_QKV : (zm_text_slot)(ZM_TEXT_Q + i);
        zm_model_text_name(loader->model, slot, layer, name.parts[i]);
        parts[i].name = name.parts[i];
        parts[i].rows = fused ? q + 2 * kv : 0;
    }
    for (uint32_t i = 0; fused && i < 3; i++) {
        bool grouped = family->fused == ZM_TEXT_FUSED_GROUPS;
        parts[i].run = grouped ? (i == 0 ? group * dim : dim) : 0;
        parts[i].stride = grouped ? (group + 2) * dim : 0;
        parts[i].first =
            grouped ? (i == 0 ? 0 : (group + i - 1) * dim) : (i == 0 ? 0 : q + (i - 1) * kv);
    }
    zm_model_text_name(loader->model, ZM_TEXT_ATTENTION_NORM, layer, name.norm);
    /* Values are a weight of their own rather than decoded: files of mixed types have them of a
     * better one. */
    bool apart = !fused && zm_linear_types_differ(loader, &parts[0], &parts[2]);
    zm_linear_source source = {.parts = parts,
                               .count = apart ? 2 : 3,
                               .k = info->d,
                               .norm = name.norm,
                               .transposed = family->transposed};
    zm_status status = zm_load_linear(loader, &source, &self->in, &self->norm);
    source.parts = &parts[2];
    source.count = 1;
    if (status == ZM_OK && apart)
        status = zm_load_linear(loader, &source, &self->value, NULL);
    return status;
}

static zm_status load_mlp(zm_weight_loader *loader, const zm_text_info *info, uint32_t layer,
                          zm_block_mlp *mlp)
{
    names name = {0};
    const zm_linear_part parts[] = {{.name = name.parts[0], .n = info->ff},
                                    {.name = name.parts[1], .n = info->ff}};
    zm_text_slot norm = info->one_norm ? ZM_TEXT_ATTENTION_NORM : ZM_TEXT_MLP_NORM;
    zm_model_text_name(loader->model, norm, layer, name.norm);
    zm_model_text_name(loader->model, info->gated ? ZM_TEXT_GATE : ZM_TEXT_UP, layer,
                       name.parts[0]);
    if (info->gated)
        zm_model_text_name(loader->model, ZM_TEXT_UP, layer, name.parts[1]);
    const zm_linear_source source = {.parts = parts,
                                     .count = info->gated ? 2 : 1,
                                     .k = info->d,
                                     .norm = name.norm,
                                     .transposed = zm_model_text_family(loader->model)->transposed,
                                     .gated = info->gated};
    zm_status status = zm_load_linear(loader, &source, &mlp->up, &mlp->norm);
    return status == ZM_OK ? load_single(loader, ZM_TEXT_DOWN, layer, info->d, info->ff, &mlp->down)
                           : status;
}

static zm_status load_block(zm_weight_loader *loader, const zm_text_info *info, uint32_t layer,
                            zm_block *block)
{
    zm_status status = load_qkv(loader, info, layer, &block->self);
    if (status == ZM_OK)
        status = load_single(loader, ZM_TEXT_ATTENTION_OUT, layer, info->d,
                             info->heads * info->head_dim, &block->self.out);
    if (status == ZM_OK)
        status = load_mlp(loader, info, layer, &block->mlp);
    if (info->one_norm)
        block->mlp.norm = block->self.norm; /* the same numbers: it is calculated once */
    return status;
}

static zm_status load_head(zm_weight_loader *loader, zm_text_network *text)
{
    const zm_text_info *info = &text->info;
    names name = {0};
    zm_model_text_name(loader->model, info->tied ? ZM_TEXT_TOKENS : ZM_TEXT_HEAD, 0, name.parts[0]);
    zm_model_text_name(loader->model, ZM_TEXT_LAST_NORM, 0, name.norm);
    const zm_linear_part part = {.name = name.parts[0], .n = info->vocabulary};
    const zm_linear_source source = {.parts = &part, .count = 1, .k = info->d, .norm = name.norm};
    return zm_load_linear(loader, &source, &text->weights.head, &text->weights.last_norm);
}

/* The table is the head once more where that is on another device. */
static zm_status load_table(zm_weight_loader *loader, zm_text_network *text)
{
    zm_linear table = text->weights.head;
    zm_status status = ZM_OK;
    if (!text->info.tied || text->base.device_count > 1) {
        loader->again = text->info.tied;
        status = load_single(loader, ZM_TEXT_TOKENS, UINT32_MAX, text->info.vocabulary,
                             text->info.d, &table);
        loader->again = false;
    }
    text->weights.table = table.weight;
    return status;
}

static zm_status load_input(zm_weight_loader *loader, zm_text_network *text)
{
    const zm_text_info *info = &text->info;
    char name[ZM_TEXT_NAME + 8];
    zm_status status = load_table(loader, text);
    if (status == ZM_OK && zm_model_text_name(loader->model, ZM_TEXT_POSITIONS, 0, name)) {
        strcat(name, ".weight");
        status = zm_load_rows(loader, name, info->position_rows, info->d, &text->weights.positions);
    }
    if (status == ZM_OK && zm_model_text_name(loader->model, ZM_TEXT_EMBEDDING_NORM, 0, name))
        status = zm_load_norm(loader, name, info->d, &text->weights.embedding_norm);
    return status;
}

zm_status zm_text_load_weights(zm_text_network *text, const zm_model *model,
                               const zm_session_params *params)
{
    zm_weight_loader loader = {.model = model,
                               .plan = text->base.plan,
                               .column_sums = text->base.norm == ZM_NORM_LAYER,
                               .norm_plus_one = text->info.norm_plus_one,
                               .progress = params->progress,
                               .progress_user = params->progress_user};
    text->weights.blocks = zm_calloc(text->info.layers, sizeof(zm_block));
    go_to(&loader, text, text->base.device_count - 1);
    if (!text->weights.blocks)
        return zm_fail(&text->base.log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    zm_status status = zm_weight_loader_init(&loader);
    if (status == ZM_OK)
        status = load_head(&loader, text);
    if (status == ZM_OK && loader.narrow)
        status = zm_load_turn(&loader, text->base.norm, true, text->info.d, &text->base.widen);
    go_to(&loader, text, 0);
    if (status == ZM_OK && loader.narrow)
        status = zm_load_turn(&loader, text->base.norm, false, text->info.d, &text->base.narrow);
    if (status == ZM_OK)
        status = load_input(&loader, text);
    for (uint32_t i = 0; i < text->info.layers && status == ZM_OK; i++) {
        go_to(&loader, text, zm_network_device(&text->base, i, text->info.layers));
        status = load_block(&loader, &text->info, i, &text->weights.blocks[i]);
    }
    zm_weight_loader_finish(&loader);
    return status;
}

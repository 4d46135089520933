/* SPDX-License-Identifier: Apache-2.0 */
/* Names as in Hugging Face's WhisperForConditionalGeneration. */
#include "common/alloc.h"
#include "session/weights.h"
#include "session/whisper.h"

/* What reads no norm: a writer of the main branch, or the table. */
static zm_status load_single(zm_weight_loader *loader, const char *name, uint32_t n, uint32_t k,
                             bool writes, zm_linear *out)
{
    const zm_linear_part part = {.name = name, .n = n};
    const zm_linear_source source = {.parts = &part, .count = 1, .k = k, .writes = writes};
    return zm_load_linear(loader, &source, out, NULL);
}

/* A norm and what reads it. */
static zm_status load_normed(zm_weight_loader *loader, const char *norm, const char *name,
                             uint32_t n, uint32_t k, zm_norm_weights *out_norm, zm_linear *out)
{
    const zm_linear_part part = {.name = name, .n = n};
    const zm_linear_source source = {.parts = &part, .count = 1, .k = k, .norm = norm};
    return zm_load_linear(loader, &source, out, out_norm);
}

static zm_status load_self_attention(zm_weight_loader *loader, uint32_t d, zm_block_attention *self)
{
    const zm_linear_part in[] = {{.name = "self_attn.q_proj", .n = d},
                                 {.name = "self_attn.k_proj", .n = d},
                                 {.name = "self_attn.v_proj", .n = d}};
    const zm_linear_source source = {
        .parts = in, .count = 3, .k = d, .norm = "self_attn_layer_norm"};
    zm_status status = zm_load_linear(loader, &source, &self->in, &self->norm);
    if (status == ZM_OK)
        status = load_single(loader, "self_attn.out_proj", d, d, true, &self->out);
    return status;
}

static zm_status load_cross_attention(zm_weight_loader *loader, uint32_t d,
                                      zm_block_attention *cross, zm_linear *out_kv)
{
    const zm_linear_part kv[] = {{.name = "encoder_attn.k_proj", .n = d},
                                 {.name = "encoder_attn.v_proj", .n = d}};
    const zm_linear_source source = {.parts = kv, .count = 2, .k = d};
    zm_status status = load_normed(loader, "encoder_attn_layer_norm", "encoder_attn.q_proj", d, d,
                                   &cross->norm, &cross->in);
    if (status == ZM_OK)
        status = zm_load_linear(loader, &source, out_kv, NULL);
    if (status == ZM_OK)
        status = load_single(loader, "encoder_attn.out_proj", d, d, true, &cross->out);
    return status;
}

static zm_status load_mlp(zm_weight_loader *loader, uint32_t d, uint32_t ff, zm_block_mlp *mlp)
{
    zm_status status = load_normed(loader, "final_layer_norm", "fc1", ff, d, &mlp->norm, &mlp->up);
    if (status == ZM_OK)
        status = load_single(loader, "fc2", d, ff, true, &mlp->down);
    return status;
}

/* What comes next is for this device. */
static void go_to(zm_weight_loader *loader, zm_whisper *whisper, uint32_t device)
{
    loader->storage = &whisper->base.storages[device];
    loader->stream = whisper->base.streams[device];
}

/* One side's layers. cross_kv: of each; NULL = there is no cross-attention. */
typedef struct layers {
    const char *name;
    uint32_t count, ff;
    uint32_t (*device)(const zm_whisper *whisper, uint32_t layer);
    zm_block *blocks;
    zm_linear *cross_kv;
} layers;

static zm_status load_blocks(zm_weight_loader *loader, zm_whisper *whisper, const layers *side)
{
    zm_status status = ZM_OK;
    uint32_t d = whisper->info.d;
    for (uint32_t i = 0; i < side->count && status == ZM_OK; i++) {
        zm_block *block = &side->blocks[i];
        go_to(loader, whisper, side->device(whisper, i));
        zm_weight_loader_prefix(loader, "model.%s.layers.%u.", side->name, i);
        status = load_self_attention(loader, d, &block->self);
        if (status == ZM_OK && side->cross_kv)
            status = load_cross_attention(loader, d, &block->cross, &side->cross_kv[i]);
        if (status == ZM_OK)
            status = load_mlp(loader, d, side->ff, &block->mlp);
    }
    return status;
}

/* Behind the blocks comes what is on the last device. */
static zm_status load_encoder(zm_weight_loader *loader, zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_whisper_weights *weights = &whisper->weights;
    const layers side = {"encoder",        info->encoder_layers,
                         info->encoder_ff, zm_whisper_encoder_device,
                         weights->encoder, NULL};
    go_to(loader, whisper, 0);
    zm_weight_loader_prefix(loader, "model.encoder.");
    zm_status status = zm_load_conv1d(loader, "conv1", info->d, info->mel_bins, ZM_WHISPER_KERNEL,
                                      &weights->conv1);
    if (status == ZM_OK)
        status =
            zm_load_conv1d(loader, "conv2", info->d, info->d, ZM_WHISPER_KERNEL, &weights->conv2);
    if (status == ZM_OK)
        status = zm_load_rows(loader, "embed_positions.weight", info->encoder_positions, info->d,
                              &weights->encoder_positions);
    if (status == ZM_OK)
        status = load_blocks(loader, whisper, &side);
    zm_weight_loader_prefix(loader, "model.encoder.");
    if (status == ZM_OK)
        status = zm_load_norm(loader, "layer_norm", info->d, &weights->encoder_norm);
    return status;
}

/* The head, which is the table, with what it takes over from the last norm. */
static zm_status load_head(zm_weight_loader *loader, zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_whisper_weights *weights = &whisper->weights;
    zm_weight_loader_prefix(loader, "model.decoder.");
    return load_normed(loader, "layer_norm", "embed_tokens", info->vocabulary, info->d,
                       &weights->decoder_norm, &weights->head);
}

/* The table is the head once more where that is on another device. */
static zm_status load_table(zm_weight_loader *loader, zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_whisper_weights *weights = &whisper->weights;
    zm_linear table = weights->head;
    zm_status status = ZM_OK;
    if (whisper->base.device_count > 1) {
        loader->again = true;
        status = load_single(loader, "embed_tokens", info->vocabulary, info->d, false, &table);
        loader->again = false;
    }
    weights->table = table.weight;
    return status;
}

static zm_status load_decoder(zm_weight_loader *loader, zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_whisper_weights *weights = &whisper->weights;
    const layers side = {"decoder",        info->decoder_layers,
                         info->decoder_ff, zm_whisper_decoder_device,
                         weights->decoder, weights->cross_kv};
    go_to(loader, whisper, whisper->base.device_count - 1);
    zm_status status = load_head(loader, whisper);
    go_to(loader, whisper, 0);
    if (status == ZM_OK)
        status = load_table(loader, whisper);
    if (status == ZM_OK)
        status = zm_load_rows(loader, "embed_positions.weight", info->decoder_positions, info->d,
                              &weights->decoder_positions);
    if (status == ZM_OK)
        status = load_blocks(loader, whisper, &side);
    return status;
}

/* At both ends of the main branches, which are on the same two devices. */
static zm_status load_turns(zm_weight_loader *loader, zm_whisper *whisper)
{
    zm_network *network = &whisper->base;
    go_to(loader, whisper, 0);
    zm_status status =
        zm_load_turn(loader, whisper->base.norm, false, whisper->info.d, &network->narrow);
    go_to(loader, whisper, network->device_count - 1);
    return status == ZM_OK
               ? zm_load_turn(loader, whisper->base.norm, true, whisper->info.d, &network->widen)
               : status;
}

zm_status zm_whisper_load_weights(zm_whisper *whisper, const zm_model *model,
                                  const zm_session_params *params)
{
    zm_weight_loader loader = {.storage = &whisper->base.storages[0],
                               .stream = whisper->base.streams[0],
                               .model = model,
                               .plan = whisper->base.plan,
                               .column_sums = whisper->base.norm == ZM_NORM_LAYER,
                               .progress = params->progress,
                               .progress_user = params->progress_user};
    zm_whisper_weights *weights = &whisper->weights;
    weights->encoder = zm_calloc(whisper->info.encoder_layers, sizeof(zm_block));
    weights->decoder = zm_calloc(whisper->info.decoder_layers, sizeof(zm_block));
    weights->cross_kv = zm_calloc(whisper->info.decoder_layers, sizeof(zm_linear));
    if (!weights->encoder || !weights->decoder || !weights->cross_kv)
        return zm_fail(&whisper->base.log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    zm_status status = zm_weight_loader_init(&loader);
    if (status == ZM_OK && loader.narrow)
        status = load_turns(&loader, whisper);
    if (status == ZM_OK)
        status = load_encoder(&loader, whisper);
    if (status == ZM_OK)
        status = load_decoder(&loader, whisper);
    zm_weight_loader_finish(&loader);
    return status;
}

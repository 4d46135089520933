/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attention_gpu.h"

#include <inttypes.h>

#include "ops/gpu_rows.h"
#include "ops/kv_layout.h"
#include "ops/parts.h"
#include "ops/tuning.h"

#define LANES 16     /* attention.cl */
#define ROW_ITEMS 64 /* attention_row.cl */
#define ROW_LEAST 32
#define ROW_HEAD 512

/* The tiles of attention.cl. */
typedef struct attention_tile {
    uint32_t items, rows_each, keys, chunk;
} attention_tile;

static uint32_t tile_rows(const attention_tile *tile)
{
    return tile->items / LANES * tile->rows_each;
}

/* struct memory of attention.cl */
static uint64_t local_bytes(const attention_tile *tile, uint32_t head_dim)
{
    uint64_t rows = tile_rows(tile), vectors = zm_ceil_div(head_dim, 4);
    uint64_t keys = (uint64_t)tile->keys * (tile->chunk / 4 + 1);
    uint64_t floats = 4 * rows * (vectors + 1) + 4 * (keys > vectors ? keys : vectors) +
                      rows * (tile->keys + 1) + rows + tile->items;
    return floats * sizeof(float);
}

/* Larger heads leave registers for fewer rows. */
static uint32_t rows_for_head(uint32_t rows_each, uint32_t head_dim)
{
    while (rows_each > 1 && rows_each * head_dim > 512)
        rows_each /= 2;
    return rows_each;
}

/* The tuned tile, or what of it fits the device; false = none does. */
static bool tile_get(const zm_device *device, uint32_t head_dim, uint32_t items,
                     attention_tile *tile)
{
    const zm_gpu_row_tuning *tuning = zm_gpu_row_tuning_get(device);
    uint64_t room = device->info.limits.local_memory_bytes;
    if (room > tuning->attention_local_bytes)
        room = tuning->attention_local_bytes;
    *tile = (attention_tile){.items = items,
                             .rows_each = rows_for_head(tuning->attention_rows_each, head_dim),
                             .keys = tuning->attention_keys,
                             .chunk = tuning->attention_chunk};
    while (local_bytes(tile, head_dim) > room) {
        if (tile->keys > 2 * LANES)
            tile->keys /= 2;
        else if (tile->items > 4 * LANES)
            tile->items /= 2;
        else if (tile->rows_each > 1)
            tile->rows_each /= 2;
        else if (tile->items > LANES)
            tile->items /= 2;
        else if (tile->keys > LANES)
            tile->keys /= 2;
        else
            return false;
    }
    return tile->items >= LANES;
}

zm_status zm_attention_gpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_attention_params *p = params;
    attention_tile tile;
    if (!tile_get(device, p->layout.head_dim, zm_gpu_items(device, LANES), &tile))
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "head_dim %" PRIu32 ": %" PRIu64
                         " bytes of local memory and work-groups of %" PRIu32 " don't do",
                         p->layout.head_dim, device->info.limits.local_memory_bytes,
                         device->info.limits.max_work_group);
    return zm_kv_layout_accepts(ZM_FAMILY_GPU, &p->layout, refusal);
}

static zm_options attention_options(const zm_attention_params *p, uint32_t items)
{
    const zm_tensor *const tensors[] = {&p->q, &p->k_cache, &p->v_cache, &p->dst};
    zm_options options = zm_options_get(p->q.dtype);
    zm_options_add(&options, "KV_TYPE", p->layout.dtype);
    zm_options_add(&options, "HEAD_DIM", p->layout.head_dim);
    zm_options_add(&options, "ITEMS", items);
    if (p->layout.head_dim % 4 == 0)
        zm_gpu_options_aligned(&options, tensors, ZM_COUNT(tensors));
    return options;
}

zm_status zm_attention_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_attention_params *p = call->params;
    const struct zm_attention_args args = zm_attention_args_get(p);
    uint32_t items = zm_gpu_call_items(call, zm_gpu_row_tuning_get(call->device)->attention_items);
    attention_tile tile;
    if (!tile_get(call->device, args.head_dim, items, &tile))
        return ZM_ERROR_UNSUPPORTED;
    zm_options options = attention_options(p, tile.items);
    zm_options_add(&options, "ROWS_EACH", tile.rows_each);
    zm_options_add(&options, "KEYS", tile.keys);
    zm_options_add(&options, "CHUNK", tile.chunk);
    uint64_t packed = (uint64_t)args.rows * (args.heads / args.kv_heads);
    const zm_launch launch = {
        .options = options.text,
        .buffers = {p->q.buffer, p->k_cache.buffer, p->v_cache.buffer, p->slopes.buffer,
                    p->lengths.buffer, p->starts.buffer, p->dst.buffer},
        .buffer_count = 7,
        .groups = {args.kv_heads, zm_ceil_div(packed, tile_rows(&tile)), args.sequences},
        .local = {tile.items},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

/* ---- few rows ---- */

/* struct memory of attention_row.cl, with as many queries as there may be */
static uint64_t row_local_bytes(const zm_gpu_row_tuning *tuning, uint32_t head_dim)
{
    uint64_t queries = tuning->row_queries, vectors = zm_ceil_div(head_dim, 4);
    uint64_t floats = 4 * queries * vectors +
                      4 * ROW_ITEMS * ((uint64_t)tuning->attention_chunk / 4 + 1) +
                      queries * ROW_ITEMS + queries + ROW_ITEMS;
    return floats * sizeof(float);
}

zm_status zm_attention_gpu_row_accepts(const zm_device *device, const void *params,
                                       zm_refusal *refusal)
{
    const zm_attention_params *p = params;
    const zm_gpu_row_tuning *tuning = zm_gpu_row_tuning_get(device);
    uint32_t rows = zm_attention_rows(p), share = zm_attention_heads(p) / p->layout.heads;
    if (rows > tuning->row_most_rows && (uint64_t)rows * share > tuning->row_most_packed)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "%" PRIu32 " rows of %" PRIu32 " heads to a KV head are too many", rows,
                         share);
    if (p->layout.head_dim > ROW_HEAD)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "head_dim %" PRIu32 " is over %d",
                         p->layout.head_dim, ROW_HEAD);
    if (device->info.limits.max_work_group < ROW_LEAST)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "work-groups of %d items are over the limit", ROW_LEAST);
    if (row_local_bytes(tuning, p->layout.head_dim) > device->info.limits.local_memory_bytes)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "head_dim %" PRIu32 ": %" PRIu64 " bytes of local memory don't do",
                         p->layout.head_dim, device->info.limits.local_memory_bytes);
    return zm_kv_layout_accepts(ZM_FAMILY_GPU, &p->layout, refusal);
}

typedef struct row_cut {
    uint32_t queries, packs, splits;
} row_cut;

/* Splits of the keys: as many work-groups as fill a large device, none with too few keys. */
/* As many as for all sequences, where the call is for a part of them. */
static row_cut row_cut_get(const zm_call *call, const struct zm_attention_args *args)
{
    uint32_t sequences = call->part ? call->part->rows : args->sequences;
    const zm_gpu_row_tuning *tuning = zm_gpu_row_tuning_get(call->device);
    uint32_t packed = args->rows * (args->heads / args->kv_heads);
    row_cut cut = {.queries = 1, .splits = 1};
    while (cut.queries < packed && cut.queries < tuning->row_queries)
        cut.queries *= 2;
    cut.packs = zm_ceil_div(packed, cut.queries);
    uint64_t keys = args->kv_length;
    if (args->window && (uint64_t)args->window + args->rows < keys)
        keys = (uint64_t)args->window + args->rows;
    uint64_t groups = (uint64_t)cut.packs * args->kv_heads * sequences;
    uint64_t splits = tuning->row_groups / groups, most = keys / tuning->row_split_keys;
    if (splits > most)
        splits = most;
    if (splits > 1)
        cut.splits = (uint32_t)splits;
    return cut;
}

static zm_status merge_add(const zm_call *call, const struct zm_attention_args *of, uint32_t splits,
                           zm_plan *plan)
{
    const zm_attention_params *p = call->params;
    const struct zm_attention_merge_args args = {
        .rows = of->rows,
        .heads = of->heads,
        .kv_heads = of->kv_heads,
        .head_dim = of->head_dim,
        .splits = splits,
        .dst_offset = of->dst_offset,
        .dst_stride = of->dst_stride,
        .all_rows = of->all_rows,
        .starts_offset = of->starts_offset,
        .flags = of->flags & ZM_FLAG_STARTS,
    };
    zm_options options = zm_options_get(p->q.dtype);
    uint32_t items = zm_gpu_call_items(call, ROW_ITEMS);
    zm_options_add(&options, "ITEMS", items);
    const zm_launch launch = {
        .kernel = "attention_merge",
        .options = options.text,
        .buffers = {NULL, p->starts.buffer, p->dst.buffer},
        .buffer_count = 3,
        .groups = {of->rows * (of->heads / of->kv_heads), of->kv_heads, of->sequences},
        .local = {items},
        .scratch = 1 + 0,
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

/* What a work-group leaves of a query. */
static uint64_t note_bytes(uint32_t head_dim)
{
    return (4 + 4 * (uint64_t)zm_ceil_div(head_dim, 4)) * sizeof(float);
}

uint64_t zm_attention_gpu_scratch(const zm_device *device, const zm_attention_params *p)
{
    const zm_gpu_row_tuning *tuning = zm_gpu_row_tuning_get(device);
    return (uint64_t)tuning->row_groups * tuning->row_queries * note_bytes(p->layout.head_dim);
}

zm_status zm_attention_gpu_row_plan(const zm_call *call, zm_plan *plan)
{
    const zm_attention_params *p = call->params;
    const struct zm_attention_args args = zm_attention_args_get(p);
    const row_cut cut = row_cut_get(call, &args);
    uint32_t items = zm_gpu_call_items(call, ROW_ITEMS);
    if (items < ROW_LEAST)
        return ZM_ERROR_LIMIT;
    bool split = cut.splits > 1;
    zm_options options = attention_options(p, items);
    zm_options_add(&options, "QUERIES", cut.queries);
    zm_options_add(&options, "CHUNK", zm_gpu_row_tuning_get(call->device)->attention_chunk);
    const zm_launch launch = {
        .options = options.text,
        .buffers = {p->q.buffer, p->k_cache.buffer, p->v_cache.buffer, p->slopes.buffer,
                    p->lengths.buffer, p->starts.buffer, p->dst.buffer},
        .buffer_count = 8,
        .groups = {args.kv_heads, cut.splits, cut.packs * args.sequences},
        .local = {items},
        .scratch = split ? 1 + 7 : 0,
        .scratch_bytes = split ? (uint64_t)args.sequences * args.rows * args.heads * cut.splits *
                                     note_bytes(args.head_dim)
                               : 0,
        .args = &args,
        .args_size = sizeof(args),
    };
    zm_status status = zm_plan_add(call, &launch, plan);
    return status == ZM_OK && split ? merge_add(call, &args, cut.splits, plan) : status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/parts.h"

#include <inttypes.h>

#include "ops/tuning.h"
#include "ops/view.h"

/* Rows at whose multiples panels and groups of statistics end, also of the half that a gated
 * product has for outputs. */
static uint64_t rows_together(const zm_device *device, uint32_t panel)
{
    uint64_t rows = 2 * (uint64_t)zm_statistics_group(device);
    return panel && rows % panel != 0 ? rows * panel : rows;
}

uint32_t zm_part_rows(const zm_device *device, uint32_t n, uint32_t panel, uint32_t k,
                      zm_dtype dtype, uint64_t most)
{
    uint64_t step = rows_together(device, panel);
    uint64_t steps = (n - 1) / step + 1, fit = most / zm_dtype_bytes(dtype, step * k);
    if (fit == 0)
        return 0;
    uint64_t parts = (steps - 1) / fit + 1;
    return (uint32_t)(((steps - 1) / parts + 1) * step);
}

/* ---- views ---- */

/* Elements of a part; 0 = they don't fill it. */
static uint64_t part_elements(const zm_tensor *weight)
{
    uint64_t bytes = weight->buffer->part_bytes, block = zm_dtype_block_size(weight->dtype);
    return bytes % block == 0 ? bytes / block * zm_dtype_block_length(weight->dtype) : 0;
}

/* Behind its last element. */
static uint64_t end_of(const zm_tensor *weight)
{
    uint64_t elements = 0;
    zm_weight_elements(weight->panel, weight->shape[0], weight->shape[1], &elements);
    return weight->offset + elements;
}

zm_status zm_parts_check(const zm_tensor *weight, uint32_t step, zm_refusal *refusal)
{
    if (!weight->buffer->part_bytes)
        return ZM_OK;
    uint64_t part = part_elements(weight), k = weight->shape[weight->rank - 1];
    uint64_t panel = weight->panel ? weight->panel : 1;
    bool fits = weight->rank == 2 && zm_tensor_is_packed(weight) && part > 0;
    if (fits) {
        uint64_t first = (weight->offset / part + 1) * part, end = end_of(weight);
        for (uint64_t at = first; fits && at < end; at += part)
            fits =
                (at - weight->offset) % (panel * k) == 0 && (at - weight->offset) / k % step == 0;
    }
    return fits ? ZM_OK
                : zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                            "the parts of the weight's buffer don't end at multiples of %" PRIu64
                            " of its rows",
                            panel > step ? panel : step);
}

static zm_tensor cache_matrix(const zm_tensor *cache, const zm_kv_layout *layout)
{
    zm_tensor matrix = {
        .buffer = cache->buffer,
        .offset = cache->offset,
        .dtype = cache->dtype,
        .rank = 2,
        .shape = {(uint32_t)(cache->shape[0] / layout->elements), (uint32_t)layout->elements}};
    return matrix;
}

zm_status zm_parts_check_caches(const zm_tensor *keys, const zm_tensor *values,
                                const zm_kv_layout *layout, zm_refusal *refusal)
{
    const zm_tensor k = cache_matrix(keys, layout), v = cache_matrix(values, layout);
    bool same = keys->buffer->part_bytes == values->buffer->part_bytes &&
                (!keys->buffer->part_bytes || keys->offset == values->offset);
    if (!same)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "keys and values are not in the same parts");
    if (zm_parts_check(&k, 1, refusal) == ZM_OK && zm_parts_check(&v, 1, refusal) == ZM_OK)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                     "the parts of a cache's buffer don't end where a sequence does");
}

zm_tensor zm_parts_matrix(const zm_op *op, const void *params)
{
    const zm_kv_store_params *store = params;
    const zm_attention_params *reader = params;
    if (op == &zm_op_matmul)
        return ((const zm_matmul_params *)params)->weight;
    if (op == &zm_op_embedding)
        return ((const zm_embedding_params *)params)->table;
    if (op == &zm_op_kv_store)
        return cache_matrix(&store->k_cache, &store->layout);
    if (op == &zm_op_attention)
        return cache_matrix(&reader->k_cache, &reader->layout);
    return (zm_tensor){0};
}

uint32_t zm_parts_count(const zm_tensor *weight)
{
    if (!weight->buffer->part_bytes)
        return 1;
    uint64_t part = part_elements(weight);
    return (uint32_t)((end_of(weight) - 1) / part - weight->offset / part + 1);
}

zm_part zm_part_get(const zm_tensor *weight, uint32_t index)
{
    uint64_t part = part_elements(weight), place = weight->offset / part + index;
    uint64_t begin = place * part, end = begin + part, k = weight->shape[1];
    if (begin < weight->offset)
        begin = weight->offset;
    zm_part out = {.index = index,
                   .weight = *weight,
                   .first = (uint32_t)((begin - weight->offset) / k),
                   .rows = weight->shape[0]};
    uint64_t rows = (end - begin) / k, left = weight->shape[0] - out.first;
    out.weight.buffer = weight->buffer->parts[place];
    out.weight.offset = begin - place * part;
    out.weight.shape[0] = (uint32_t)(rows < left ? rows : left);
    return out;
}

/* ---- calls ---- */

/* Absent ones stay so. */
static void take_columns(zm_tensor *tensor, uint32_t first, uint32_t count)
{
    if (tensor->buffer)
        *tensor = zm_tensor_cols(*tensor, first, count);
}

/* The outputs of some rows of the weight. */
static void matmul_take(const zm_device *device, const zm_part *part, zm_matmul_params *p)
{
    uint32_t rows = part->weight.shape[0], share = p->gated ? 2 : 1;
    uint32_t first = part->first / share, n = rows / share, group = zm_statistics_group(device);
    p->weight = part->weight;
    take_columns(&p->bias, part->first, rows);
    take_columns(&p->scale.column_sums, part->first, rows);
    take_columns(&p->residual, first, n);
    take_columns(&p->factor, first, n);
    take_columns(&p->dst, first, n);
    take_columns(&p->norm_weight, first, n);
    take_columns(&p->weighted, first, n);
    take_columns(&p->statistics, 2 * (first / group), 2 * zm_ceil_div(n, group));
}

/* The sequences of a part: their caches, and their rows, or where those of each begin. */
static void sequences_take(const zm_part *part, const zm_kv_layout *layout, zm_tensor *keys,
                           zm_tensor *values, zm_tensor *starts)
{
    const zm_tensor all = cache_matrix(values, layout);
    const zm_tensor own = zm_part_get(&all, part->index).weight;
    uint32_t elements = part->weight.shape[0] * part->weight.shape[1];
    *keys = zm_tensor_1d(part->weight.buffer, keys->dtype, elements);
    keys->offset = part->weight.offset;
    *values = zm_tensor_1d(own.buffer, values->dtype, elements);
    values->offset = own.offset;
    take_columns(starts, part->first, part->weight.shape[0] + 1);
}

/* As many rows for each sequence, where no starts say how many. */
static void rows_take(const zm_part *part, const zm_tensor *starts, zm_tensor *matrix)
{
    uint32_t each = matrix->shape[0] / part->rows;
    if (!starts->buffer)
        *matrix = zm_tensor_rows(*matrix, part->first * each, part->weight.shape[0] * each);
}

static void kv_store_take(const zm_part *part, zm_kv_store_params *p)
{
    rows_take(part, &p->starts, &p->k);
    rows_take(part, &p->starts, &p->v);
    sequences_take(part, &p->layout, &p->k_cache, &p->v_cache, &p->starts);
    take_columns(&p->positions, part->first, part->weight.shape[0]);
    p->sequences = part->weight.shape[0];
}

static void attention_take(const zm_part *part, zm_attention_params *p)
{
    rows_take(part, &p->starts, &p->q);
    rows_take(part, &p->starts, &p->dst);
    sequences_take(part, &p->layout, &p->k_cache, &p->v_cache, &p->starts);
    take_columns(&p->lengths, part->first, part->weight.shape[0]);
    p->sequences = part->weight.shape[0];
}

void zm_part_take(const zm_device *device, const zm_op *op, const zm_part *part,
                  zm_part_params *params)
{
    if (op == &zm_op_matmul)
        matmul_take(device, part, &params->matmul);
    else if (op == &zm_op_kv_store)
        kv_store_take(part, &params->kv_store);
    else if (op == &zm_op_attention)
        attention_take(part, &params->attention);
    else
        params->embedding.table = part->weight;
}

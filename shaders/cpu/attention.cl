/* SPDX-License-Identifier: Apache-2.0 */
/* attention for CPU devices, many query rows: dst = softmax(scale q k^T) v, online softmax.
 *
 *   k cache of one head: panels of 16 keys      v cache of one head: rows
 *     [position / 16][head_dim][16]               [position][head_dim]
 *
 * A work-item owns one head (group 0) and row_block query rows (group 1) of a sequence (group 2),
 * in tiles of ROWS rows. All tiles, or TILES of them, take in the same KEYS keys before they go on
 * to the next ones, which so stay in the core's own cache. With the keys that it sees a tile
 *   1. computes ROWS x KEYS scores, COLUMNS keys (panels of 16) at a time in registers,
 *   2. caps and biases them, and turns them into weights e^(score - max), rescaling what the rows
 *      have gathered so far when their maximum grows,
 *   3. adds weights x values, COLUMNS of the head at a time in registers.
 *
 *   rows    keys seen (causal, window)
 *    0      . . x x x X X X X . . .       X: seen by all rows, one product for the whole tile
 *    1      . . . x x X X X X x . .       x: the rest. Where their values are finite they go into
 *    2      . . . . x X X X X x x .          the product, with weight 0 for rows that don't see
 *    3      . . . . . X X X X x x x          them; else row by row, since 0 times NaN is NaN
 *
 * Keys from kv_length on are read (the cache is whole panels) but never counted, whatever they
 * hold. A sequence of fewer rows than ROWS is filled up with its last one. HEAD_DIM is a multiple
 * of 16. */
#include "args.h"
#include "attention.clh"
#include "kernel.clh"

#ifndef ROWS
#define ROWS 12
#endif
#ifndef COLUMNS
#define COLUMNS 32
#endif

/* So many that what they have gathered takes 64 KiB. */
#define TILES (ROWS * HEAD_DIM < 16384 ? 16384 / (ROWS * HEAD_DIM) : 1)

/* Vectors side by side in registers; see matmul_tile.clh. */
#define ACROSS (COLUMNS / 16)

/* scores[r][0..COLUMNS) of neighbouring panels of keys. */
#define SCORE_PANELS(name, q_t)                                                                    \
    static void name(q_t *const row[ROWS], __global const kv_t *panel, float scale, float *scores) \
    {                                                                                              \
        float16 acc[ROWS][ACROSS];                                                                 \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                           \
            _Pragma("unroll") for (int c = 0; c < ACROSS; c++) acc[r][c] = (float16)(0.0f);        \
        _Pragma("unroll 8") for (uint i = 0; i < HEAD_DIM; i++, panel += PANEL)                    \
        {                                                                                          \
            float16 k[ACROSS];                                                                     \
            _Pragma("unroll") for (int c = 0; c < ACROSS; c++) k[c] =                              \
                LOAD_KV16(panel, c * HEAD_DIM * PANEL);                                            \
            _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                       \
            {                                                                                      \
                float16 v = (float16)(row[r][i]);                                                  \
                _Pragma("unroll") for (int c = 0; c < ACROSS; c++) acc[r][c] =                     \
                    fma(v, k[c], acc[r][c]);                                                       \
            }                                                                                      \
        }                                                                                          \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++)                                           \
            _Pragma("unroll") for (int c = 0; c < ACROSS; c++)                                     \
                KEEP16(acc[r][c] * scale, scores, r * KEYS + 16 * c);                              \
    }

SCORE_PANELS(score_copied, const float)
#if ACT_TYPE == 1
SCORE_PANELS(score_stored, __global const float)
#endif

/* out[r][0..COLUMNS) = out * factor[r] + weights x values over the keys. */
static void gather(const float *weights, __global const kv_t *values, uint keys,
                   const float *factor, float *out)
{
    float16 acc[ROWS][ACROSS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < ACROSS; c++)
            acc[r][c] = vload16(c, out + r * HEAD_DIM) * factor[r];
#pragma unroll 4
    for (size_t j = 0; j < keys; j++) {
        float16 v[ACROSS];
#pragma unroll
        for (int c = 0; c < ACROSS; c++)
            v[c] = LOAD_KV16(values, 16 * c);
        values += HEAD_DIM;
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float16 w = (float16)(weights[r * KEYS + j]);
#pragma unroll
            for (int c = 0; c < ACROSS; c++)
                acc[r][c] = fma(w, v[c], acc[r][c]);
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < ACROSS; c++)
            KEEP16(acc[r][c], out, r * HEAD_DIM + 16 * c);
}

/* The last 16 columns where HEAD_DIM is no multiple of COLUMNS. */
static void gather_rest(const float *weights, __global const kv_t *values, uint keys,
                        const float *factor, float *out)
{
    for (int r = 0; r < ROWS; r++) {
        float16 acc = vload16(0, out + r * HEAD_DIM) * factor[r];
        for (uint j = 0; j < keys; j++)
            acc = fma((float16)(weights[r * KEYS + j]), LOAD_KV16(values, j * HEAD_DIM), acc);
        KEEP16(acc, out, r * HEAD_DIM);
    }
}

static void gather_columns(const float *weights, __global const kv_t *values, uint keys,
                           const float *factor, float *out)
{
    uint d = 0;
    for (; d + COLUMNS <= HEAD_DIM; d += COLUMNS)
        gather(weights, values + d, keys, factor, out + d);
    if (d < HEAD_DIM)
        gather_rest(weights, values + d, keys, factor, out + d);
}

/* Keys begin .. end-1 of the block for a single row. */
static void gather_row(const float *weights, __global const kv_t *values, uint begin, uint end,
                       float *out)
{
    for (uint d = 0; d < HEAD_DIM && begin < end; d += 16) {
        float16 acc = vload16(0, out + d);
        for (uint j = begin; j < end; j++)
            acc = fma((float16)(weights[j]), LOAD_KV16(values, j * HEAD_DIM + d), acc);
        KEEP16(acc, out, d);
    }
}

/* 0 times a finite number is 0, whose bits beside the sign are, too. */
static bool are_finite(__global const kv_t *values, uint begin, uint end)
{
    uint16 bits = (uint16)(0);
    for (size_t i = (size_t)begin * HEAD_DIM; i < (size_t)end * HEAD_DIM; i += 16)
        bits |= as_uint16(LOAD_KV16(values, i) * 0.0f);
    return all(bits << 1 == 0);
}

/* A tile of rows, from `row` on, and what they have gathered. */
struct tile {
    uint row;
    bool is_copied;
    __global const act_t *stored[ROWS]; /* q where it lies, if it isn't copied; see TILE_STEP */
    float copy[ROWS * HEAD_DIM] __attribute__((aligned(64)));
    float out[ROWS * HEAD_DIM] __attribute__((aligned(64)));
    float max[ROWS], sum[ROWS];
};

static void score_keys(const struct tile *t, const struct zm_attention_args *a,
                       __global const kv_t *panel, uint keys, float *scores)
{
    const float *copied[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        copied[r] = t->copy + r * HEAD_DIM;
    for (uint j = 0; j < keys; j += COLUMNS, panel += COLUMNS * HEAD_DIM) {
#if ACT_TYPE == 1
        if (!t->is_copied) {
            score_stored(t->stored, panel, a->scale, scores + j);
            continue;
        }
#endif
        score_copied(copied, panel, a->scale, scores + j);
    }
}

/* Takes in the keys key .. key+keys-1. */
static void take_keys(struct tile *t, const struct zm_attention_args *a,
                      __global const kv_t *k_cache, __global const kv_t *values, uint key,
                      uint keys, float slope)
{
    float scores[ROWS * KEYS] __attribute__((aligned(64)));
    float factor[ROWS];
    uint begin[ROWS], end[ROWS], row = t->row;
    score_keys(t, a, k_cache + (size_t)key * HEAD_DIM, keys, scores);
    for (int r = 0; r < ROWS; r++) {
        begin[r] = in_block(first_key(a, row + r), key, keys);
        end[r] = in_block(end_key(a, row + r), key, keys);
        if (a->soft_cap != 0.0f || (a->flags & ZM_FLAG_SLOPES))
            adjust(scores + r * KEYS, keys, a->soft_cap, slope, key_distance(a, row + r, key));
        factor[r] = soften(scores + r * KEYS, begin[r], end[r], keys, &t->max[r], &t->sum[r]);
    }
    uint common = begin[ROWS - 1], common_end = max(common, end[0]);
    bool takes_all =
        are_finite(values, begin[0], common) && are_finite(values, common_end, end[ROWS - 1]);
    if (takes_all) {
        common = begin[0];
        common_end = end[ROWS - 1];
    }
    gather_columns(scores + common, values + (size_t)common * HEAD_DIM, common_end - common, factor,
                   t->out);
    for (int r = 0; r < ROWS && !takes_all; r++) {
        gather_row(scores + r * KEYS, values, begin[r], min(end[r], common), t->out + r * HEAD_DIM);
        gather_row(scores + r * KEYS, values, max(begin[r], common_end), end[r],
                   t->out + r * HEAD_DIM);
    }
}

/* q is copied when it is stored narrow, when there are fewer rows than a tile has, or when the tile
 * begins before the rows of its work-item: that one reads row `next` instead of theirs, which
 * another work-item may be writing (dst may be q). */
static void tile_begin(struct tile *t, __global const act_t *q, const struct zm_attention_args *a,
                       uint row, uint next, bool copies)
{
    size_t stride = a->q_stride;
    t->row = row;
    t->is_copied = copies;
    for (uint r = 0; r < ROWS; r++) {
        __global const act_t *from = q + min(max(row + r, next), a->rows - 1) * stride;
        t->stored[r] = from;
        for (uint i = 0; i < HEAD_DIM; i += 16) {
            if (copies)
                KEEP16(LOAD_ACT16(from, i), t->copy, r * HEAD_DIM + i);
            KEEP16((float16)(0.0f), t->out, r * HEAD_DIM + i);
        }
        t->max[r] = -INFINITY;
        t->sum[r] = 0.0f;
    }
}

/* The tiles of the rows next .. end-1, TILES at most. Returns how many. */
static uint tiles_begin(struct tile tiles[TILES], __global const act_t *q,
                        const struct zm_attention_args *a, uint first, uint next, uint end)
{
    uint count = 0;
    for (; count < TILES && next < end; count++, next += ROWS) {
        uint row = a->rows > ROWS ? min(next, a->rows - ROWS) : 0;
        tile_begin(&tiles[count], q, a, row, next, ACT_TYPE != 1 || row < first || a->rows < ROWS);
    }
    return count;
}

/* What a tile sees of the keys key .. key+KEYS-1. Blocks of keys are the same for all tiles of a
 * head, so that the bits don't depend on how rows are shared out. */
static void tile_take(struct tile *t, const struct zm_attention_args *a,
                      __global const kv_t *k_cache, __global const kv_t *v_cache, uint key,
                      float slope)
{
    uint begin = max(key, first_key(a, t->row) / (2 * PANEL) * (2 * PANEL));
    uint end = min(key + KEYS, end_key(a, t->row + ROWS - 1));
    if (begin < end)
        take_keys(t, a, k_cache, v_cache + (size_t)begin * HEAD_DIM, begin, end - begin, slope);
}

/* Stores the rows next .. end-1, those of them that are the tile's. */
static void tile_end(const struct tile *t, const struct zm_attention_args *a, uint next, uint end,
                     __global act_t *dst)
{
    for (uint y = next; y < min(next + ROWS, end); y++) {
        uint r = y - t->row;
        for (uint i = 0; i < HEAD_DIM; i += 16)
            STORE_ACT16(vload16(0, t->out + r * HEAD_DIM + i) / t->sum[r],
                        dst + (size_t)y * a->dst_stride, i);
    }
}

KERNEL(attention, __global const act_t *q, __global const kv_t *k_cache,
       __global const kv_t *v_cache, __global const float *slopes, __global const int *lengths,
       __global const int *starts, __global act_t *dst, struct zm_attention_args args)
{
    uint head = GROUP(0), sequence = GROUP(2);
    const struct zm_attention_args a = of_sequence(args, lengths, starts, sequence);
    uint first = GROUP(1) * a.row_block;
    uint end = min(first + a.row_block, a.rows);
    q += a.q_offset + (size_t)a.first_row * a.q_stride + head * HEAD_DIM;
    dst += a.dst_offset + (size_t)a.first_row * a.dst_stride + head * HEAD_DIM;
    k_cache += a.k_cache_offset + head_begin(&a, sequence, head);
    v_cache += a.v_cache_offset + head_begin(&a, sequence, head);

    float slope = head_slope(slopes, &a, head);
    struct tile tiles[TILES];
    for (uint next = first, count; next < end; next += count * ROWS) {
        count = tiles_begin(tiles, q, &a, first, next, end);
        uint length = end_key(&a, tiles[count - 1].row + ROWS - 1);
        for (uint key = first_key(&a, tiles[0].row) / KEYS * KEYS; key < length; key += KEYS)
            for (uint i = 0; i < count; i++)
                tile_take(&tiles[i], &a, k_cache, v_cache, key, slope);
        for (uint i = 0; i < count; i++)
            tile_end(&tiles[i], &a, next + i * ROWS, end, dst);
    }
}

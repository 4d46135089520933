/* SPDX-License-Identifier: Apache-2.0 */
/* copy for CPU devices: any strides, any of the types X_TYPE to any of DST_TYPE; the bits stay as
 * they are when both are the same.
 *
 *   lines (dimension 3 is contiguous on both sides, or on neither)    | LINE | LINE | rest |
 *
 *   squares (a transpose: dimension 3 is contiguous on one side, `turned` on the other)
 *
 *     x        turned ->           dst      3 ->
 *     3   | 16 x 16 | 16 x 16 |    turned | 16 x 16 | 16 x 16 |
 *     |   | 16 x 16 | 16 x 16 |    |      | 16 x 16 | 16 x 16 |
 *
 * The tensor is cut into blocks, 1 x LINE or 16 x 16 of the two dimensions; work-items share them
 * evenly. Whole squares turn in registers, so that all loads and stores are whole vectors. */
#include "args.h"
#include "kernel.clh"

#ifndef X_TYPE
#define X_TYPE 1
#endif
#ifndef DST_TYPE
#define DST_TYPE 1
#endif
#include "square.clh"
#include "types.clh"
#include "vector.clh"

/* 16 bits as they are, in a float that nobody calculates with. */
#define TYPE_RAW ushort
#define LOAD_RAW(p, i) as_float((uint)(p)[i])
#define LOAD16_RAW(p, i) as_float16(convert_uint16(vload16(0, (p) + (i))))
#define STORE_RAW(v, p, i) ((p)[i] = (ushort)as_uint(v))
#define STORE16_RAW(v, p, i) (PACKED_USHORT16(p, i) = convert_ushort16(as_uint16(v)))

#if X_TYPE == DST_TYPE && X_TYPE != 1
#define FROM RAW
#define TO RAW
#else
#define FROM X_TYPE
#define TO DST_TYPE
#endif
typedef JOIN(TYPE_, FROM) x_t;
typedef JOIN(TYPE_, TO) dst_t;
#define LOAD(p, i) JOIN(LOAD_, FROM)(p, i)
#define LOAD16(p, i) JOIN(LOAD16_, FROM)(p, i)
#define STORE(v, p, i) JOIN(STORE_, TO)(v, p, i)
#define STORE16(v, p, i) JOIN(STORE16_, TO)(v, p, i)

#define LINE 4096

/* Which dimension goes with 3 to make blocks, and how. */
struct plan {
    uint turned;
    uint rows, columns; /* of a block */
    bool is_contiguous, is_square;
    size_t load_step, store_step; /* squares: between vectors */
};

static struct plan plan_get(const struct zm_copy_args *a)
{
    bool x_flat = a->x_stride[3] == 1, dst_flat = a->dst_stride[3] == 1;
    struct plan p = {2, 1, LINE, x_flat && dst_flat, false, 0, 0};
    for (uint d = 0; d < 3 && x_flat != dst_flat; d++)
        if (a->shape[d] > 1 && (x_flat ? a->dst_stride[d] : a->x_stride[d]) == 1) {
            p.turned = d;
            p.rows = p.columns = 16;
            p.is_square = true;
            p.load_step = x_flat ? a->x_stride[d] : a->x_stride[3];
            p.store_step = x_flat ? a->dst_stride[3] : a->dst_stride[d];
        }
    return p;
}

static void copy_square(__global const x_t *x, __global dst_t *dst, const struct plan *p)
{
    float16 square[16];
#pragma unroll
    for (int i = 0; i < 16; i++)
        square[i] = LOAD16(x, i * p->load_step);
    turn_square(square);
#pragma unroll
    for (int i = 0; i < 16; i++)
        STORE16(square[i], dst, i * p->store_step);
}

static void copy_line(__global const x_t *x, size_t x_step, __global dst_t *dst, size_t dst_step,
                      uint count, bool is_contiguous)
{
    uint i = 0;
    if (is_contiguous) {
        for (; i + 16 <= count; i += 16)
            STORE16(LOAD16(x, i), dst, i);
        for (; i < count; i++)
            STORE(LOAD(x, i), dst, i);
    }
    for (; i < count; i++)
        STORE(LOAD(x, i * x_step), dst, i * dst_step);
}

static uint blocks_of(uint extent, uint each)
{
    return (extent - 1) / each + 1;
}

/* Block number `block` of all. */
static void copy_block(__global const x_t *x, __global dst_t *dst, const struct zm_copy_args *a,
                       const struct plan *p, size_t block)
{
    uint place[4], column_blocks = blocks_of(a->shape[3], p->columns);
    place[3] = (uint)(block % column_blocks) * p->columns;
    block /= column_blocks;
    for (uint d = 3; d-- > 0;) {
        uint each = d == p->turned ? p->rows : 1, count = blocks_of(a->shape[d], each);
        place[d] = (uint)(block % count) * each;
        block /= count;
    }
    for (uint d = 0; d < 4; d++) {
        x += (size_t)place[d] * a->x_stride[d];
        dst += (size_t)place[d] * a->dst_stride[d];
    }
    uint rows = min(p->rows, a->shape[p->turned] - place[p->turned]);
    uint columns = min(p->columns, a->shape[3] - place[3]);
    if (p->is_square && rows == 16 && columns == 16)
        copy_square(x, dst, p);
    else
        for (uint r = 0; r < rows; r++)
            copy_line(x + (size_t)r * a->x_stride[p->turned], a->x_stride[3],
                      dst + (size_t)r * a->dst_stride[p->turned], a->dst_stride[3], columns,
                      p->is_contiguous);
}

KERNEL(copy, __global const x_t *x, __global dst_t *dst, struct zm_copy_args a)
{
    const struct plan p = plan_get(&a);
    size_t blocks = blocks_of(a.shape[3], p.columns);
    for (uint d = 0; d < 3; d++)
        blocks *= blocks_of(a.shape[d], d == p.turned ? p.rows : 1);
    size_t groups = GROUPS(0), group = GROUP(0);
    size_t each = blocks / groups, more = blocks % groups;
    size_t first = group * each + min(group, more);
    size_t end = first + each + (group < more);
    for (size_t block = first; block < end; block++)
        copy_block(x + a.x_offset, dst + a.dst_offset, &a, &p, block);
}

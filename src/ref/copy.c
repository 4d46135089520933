/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/half.h"
#include "ref/real.h"

/* An item is a line along the innermost dimension. What keeps its type keeps its bits. */
static void copy_line(const struct zm_copy_args *a, void *const *buffers, size_t from, size_t to)
{
    zm_dtype x_type = (zm_dtype)a->x_type, dst_type = (zm_dtype)a->dst_type;
    size_t x_size = zm_dtype_size(x_type), dst_size = zm_dtype_size(dst_type);
    const char *x = (const char *)buffers[0] + from * x_size;
    char *dst = (char *)buffers[1] + to * dst_size;
    size_t count = a->shape[3], x_step = a->x_stride[3], dst_step = a->dst_stride[3];
    if (x_step == 1 && dst_step == 1 && x_type == dst_type) {
        memcpy(dst, x, count * x_size);
    } else if (x_step == 1 && dst_step == 1) {
        zm_convert_reals(dst, dst_type, x, x_type, count);
    } else if (x_type == dst_type) {
        for (size_t i = 0; i < count; ++i) {
            memcpy(dst + i * dst_step * dst_size, x + i * x_step * x_size, x_size);
        }
    } else {
        for (size_t i = 0; i < count; ++i) {
            zm_store_real(dst, dst_type, i * dst_step, zm_load_real(x, x_type, i * x_step));
        }
    }
}

void ZM_REF(copy)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_copy_args *a = args;
    for (size_t item = begin; item < end; ++item) {
        size_t index[3] = {item / a->shape[2] / a->shape[1], item / a->shape[2] % a->shape[1],
                           item % a->shape[2]};
        size_t from = a->x_offset, to = a->dst_offset;
        for (size_t i = 0; i < 3; ++i) {
            from += index[i] * a->x_stride[i];
            to += index[i] * a->dst_stride[i];
        }
        copy_line(a, buffers, from, to);
    }
}

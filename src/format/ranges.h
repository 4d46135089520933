/* SPDX-License-Identifier: Apache-2.0 */
/* Where tensors lie in the data section of a file. */
#ifndef ZM_SRC_FORMAT_RANGES_H
#define ZM_SRC_FORMAT_RANGES_H

#include <stddef.h>
#include <zeromean/model.h>

typedef struct zm_tensor_range {
    uint64_t begin, end;
    zm_model_tensor *tensor;
} zm_tensor_range;

/* By their beginnings, then by their ends. */
void zm_ranges_sort(zm_tensor_range *ranges, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "format/ranges.h"

#include <stdlib.h>

static int compare(const void *left, const void *right)
{
    const zm_tensor_range *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

void zm_ranges_sort(zm_tensor_range *ranges, size_t count)
{
    qsort(ranges, count, sizeof(*ranges), compare);
}

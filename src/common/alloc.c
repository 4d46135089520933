/* SPDX-License-Identifier: Apache-2.0 */
#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

bool zm_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a != 0 && b > UINT64_MAX / a)
        return false;
    *out = a * b;
    return true;
}

bool zm_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b > UINT64_MAX - a)
        return false;
    *out = a + b;
    return true;
}

void *zm_calloc(size_t count, size_t size)
{
    return calloc(count ? count : 1, size ? size : 1);
}

void *zm_aligned_calloc(size_t alignment, size_t size)
{
    if (size > SIZE_MAX - alignment)
        return NULL;
    size_t rounded = (size + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, rounded ? rounded : alignment);
    if (memory)
        memset(memory, 0, rounded ? rounded : alignment);
    return memory;
}

void *zm_huge_alloc(size_t size)
{
    if (size > SIZE_MAX - HUGE_PAGE)
        return NULL;
    size_t rounded = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = aligned_alloc(HUGE_PAGE, rounded ? rounded : HUGE_PAGE);
#ifdef MADV_HUGEPAGE
    if (memory)
        madvise(memory, rounded, MADV_HUGEPAGE); /* advice: failure changes nothing */
#endif
    return memory;
}

void zm_pages_touch(void *memory, size_t size)
{
#ifdef MADV_POPULATE_WRITE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)memory;
    uintptr_t start = (first + page - 1) / page * page, end = (first + size) / page * page;
    if (end > start)
        madvise((void *)start, end - start, MADV_POPULATE_WRITE); /* failure changes nothing */
#else
    (void)memory, (void)size;
#endif
}

bool zm_array_reserve(void **array, size_t *capacity, size_t count, size_t element_size)
{
    if (count <= *capacity)
        return true;
    size_t wanted = *capacity ? *capacity : 16;
    while (wanted < count) {
        if (wanted > SIZE_MAX / 2)
            return false;
        wanted *= 2;
    }
    if (wanted > SIZE_MAX / element_size)
        return false;
    void *grown = realloc(*array, wanted * element_size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

char *zm_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Checked sizes and memory. */
#ifndef ZM_SRC_COMMON_ALLOC_H
#define ZM_SRC_COMMON_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False on overflow; *out is then untouched. */
bool zm_mul_u64(uint64_t a, uint64_t b, uint64_t *out);
bool zm_add_u64(uint64_t a, uint64_t b, uint64_t *out);

/* Zeroed arrays; NULL when out of memory or on overflow. Free with free(). */
void *zm_calloc(size_t count, size_t size);

/* Zeroed, aligned to a power of two >= sizeof(void *). Free with free(). */
void *zm_aligned_calloc(size_t alignment, size_t size);

/* Aligned for, and asking for, the huge pages of the system: a core then looks up fewer addresses.
 * Undefined contents. Free with free(). */
void *zm_huge_alloc(size_t size);

/* About to be written, all of it: whole pages of it that are new are made at once, which costs less
 * than one by one when they are touched. Does nothing where the system can't. */
void zm_pages_touch(void *memory, size_t size);

/* Grows *array (of *capacity elements) to hold at least count elements; the new part is
 * undefined. False when out of memory; the array is then as it was. */
bool zm_array_reserve(void **array, size_t *capacity, size_t count, size_t element_size);

char *zm_strdup(const char *text);

#endif

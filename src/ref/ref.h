/* SPDX-License-Identifier: Apache-2.0 */
/* Plain-C operations: the specification of every op, the truth of every test and the kernels of
 * the host device. Each takes the argument struct of shaders/args.h and the buffers in its order.
 * One source is compiled twice, with float and with double as the storage of activations;
 * sums are in double in both.
 *
 * An op is a loop over independent items (rows, or rows x heads); a call does the items
 * begin .. end-1, so that a caller may share them among threads without changing a bit. */
#ifndef ZM_SRC_REF_REF_H
#define ZM_SRC_REF_REF_H

#include <stddef.h>

typedef void (*zm_ref_fn)(const void *args, void *const *buffers, size_t begin, size_t end);

typedef struct zm_ref_op {
    const char *name; /* as the kernel files are called */
    zm_ref_fn f32;
    zm_ref_fn f64;
} zm_ref_op;

/* NULL when there is none of that name. */
const zm_ref_op *zm_ref_find(const char *name);

#endif

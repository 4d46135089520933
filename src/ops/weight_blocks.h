/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised weights. In rows they are as in GGUF files. In a panel the blocks of its rows lie
 * beside each other, one block of each and then the next ones along k, with none of their bits
 * lost: each number and each word of a block next to those of the other rows, so that one load has
 * the values of many rows. shaders/panel_blocks.clh says which numbers and words. */
#ifndef ZM_SRC_OPS_WEIGHT_BLOCKS_H
#define ZM_SRC_OPS_WEIGHT_BLOCKS_H

#include "ops/op.h"

#define ZM_BLOCKS_MOST_ROWS 32

/* Rows of k elements, at most ZM_BLOCKS_MOST_ROWS, become the rows lane .. lane+rows-1 of the panel
 * that begins at dst. */
void zm_blocks_pack(void *dst, zm_dtype dtype, uint32_t panel, uint32_t lane, const void *src,
                    uint32_t rows, uint32_t k);
/* The other way round. */
void zm_blocks_unpack(void *dst, zm_dtype dtype, uint32_t panel, uint32_t lane, const void *src,
                      uint32_t rows, uint32_t k);

/* Do the family's kernels of matmul and embedding read quantised weights of that type? */
bool zm_blocks_family_reads(zm_kernel_family family, zm_dtype dtype);
/* Where the weight is quantised: do they read it as it lies? */
zm_status zm_blocks_accept(zm_kernel_family family, const zm_tensor *weight, zm_refusal *refusal);

#endif

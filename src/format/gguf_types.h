/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader and the writer of GGUF share: numbers of the format and what they mean here. */
#ifndef ZM_SRC_FORMAT_GGUF_TYPES_H
#define ZM_SRC_FORMAT_GGUF_TYPES_H

#include <zeromean/metadata.h>
#include <zeromean/model.h>

#define ZM_GGUF_MAGIC "GGUF"
#define ZM_GGUF_VERSION 3u /* what is written; 2 has the same layout */
#define ZM_GGUF_ALIGNMENT_KEY "general.alignment"
#define ZM_GGUF_ALIGNMENT 32u /* where the key is missing */
#define ZM_GGUF_MAX_KEY 65535u
#define ZM_GGUF_TYPES "F32, F16, BF16, F64, I8 to I64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K"

/* ZM_DTYPE_NONE for a type that this library does not have; *name is then what GGUF calls it, NULL
 * for a number that is not known. */
zm_dtype zm_gguf_type_find(uint32_t id, const char **name);
/* False for a type that GGUF does not have. */
bool zm_gguf_type_id(zm_dtype dtype, uint32_t *id);

#define ZM_GGUF_DEPTH 8 /* of arrays in arrays, at most */
/* ZM_METADATA_NONE for what is not known. */
zm_metadata_type zm_gguf_value_type_find(uint32_t id);
uint32_t zm_gguf_value_type_id(zm_metadata_type type);

/* A key or a name: not empty, not too long, no control characters. */
bool zm_gguf_name_valid(const char *name, uint64_t length);
/* Sets elements and bytes from dtype, rank and shape. NULL when that can be, else why not. */
const char *zm_gguf_measure(zm_model_tensor *tensor);
/* Of the values' alignment key, or the default. False when it is no power of two in 8..65536. */
bool zm_gguf_alignment(const zm_metadata_value *values, size_t count, uint32_t *out);
/* To the next multiple of a power of two; false on overflow. */
bool zm_gguf_align(uint64_t offset, uint32_t alignment, uint64_t *out);

#endif

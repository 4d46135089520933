/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader and the writer of safetensors share. */
#ifndef ZM_SRC_FORMAT_SAFETENSORS_TYPES_H
#define ZM_SRC_FORMAT_SAFETENSORS_TYPES_H

#include <zeromean/model.h>

#define ZM_SAFETENSORS_METADATA "__metadata__"
/* As in the reference implementation. */
#define ZM_SAFETENSORS_MAX_HEADER 100000000u
#define ZM_SAFETENSORS_LENGTH_SIZE 8u

/* "F32", ...; NULL for a type that the format does not have. */
const char *zm_safetensors_type_name(zm_dtype dtype);
/* ZM_DTYPE_NONE for a name that is not known. */
zm_dtype zm_safetensors_type_find(const char *name);

/* Not empty, no control characters, not the name of the metadata. */
bool zm_safetensors_name_valid(const char *name);
/* Sets elements and bytes from dtype, rank and shape; false on overflow. */
bool zm_safetensors_measure(zm_model_tensor *tensor);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The safetensors format: an 8-byte little-endian header length, a JSON header, then tensor data.
 */
#ifndef ZM_SRC_FORMAT_SAFETENSORS_H
#define ZM_SRC_FORMAT_SAFETENSORS_H

#include <zeromean/model.h>

#include "common/file.h"
#include "format/tensor_writer.h"

typedef struct zm_metadata {
    char *key;
    char *value;
} zm_metadata;

/* An open file. Everything that the header says has been checked against the file: each tensor's
 * type, shape product and byte range, no overlap, no hole, nothing behind. The data of each tensor
 * is aligned to its element: a file that does not align them is copied to memory. */
typedef struct zm_safetensors {
    zm_map map;
    void *aligned; /* the copy of the data section, NULL where the mapping serves */
    char *path;
    zm_model_tensor *tensors; /* in order of name; names are owned */
    size_t tensor_count;
    zm_metadata *metadata;
    size_t metadata_count;
} zm_safetensors;

zm_status zm_safetensors_open(const char *path, const zm_log *log, zm_safetensors **out);
void zm_safetensors_close(zm_safetensors **file);

/* Begins a file: the tensors' name, dtype, rank and shape are read; data is not. */
zm_status zm_safetensors_writer_open(const char *path, const zm_model_tensor *tensors,
                                     size_t tensor_count, const zm_metadata *metadata,
                                     size_t metadata_count, const zm_log *log,
                                     zm_tensor_writer **out);

#endif

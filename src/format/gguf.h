/* SPDX-License-Identifier: Apache-2.0 */
/* The GGUF format, versions 2 and 3, little-endian: a header, typed metadata, a list of tensors,
 * then their data. A model may be split into parts, PREFIX-00001-of-00003.gguf and so on. */
#ifndef ZM_SRC_FORMAT_GGUF_H
#define ZM_SRC_FORMAT_GGUF_H

#include <zeromean/metadata.h>
#include <zeromean/model.h>

#include "common/file.h"
#include "format/tensor_writer.h"

/* One file. */
typedef struct zm_gguf_part {
    zm_map map;
    char *path;
    zm_metadata_value *values; /* in order of key; owned, but elements of arrays are in the map */
    size_t value_count;
    size_t tensor_count;
} zm_gguf_part;

/* An open model: all of its parts. Everything in them has been checked: values and their types, no
 * key twice; each tensor's type, shape product, alignment and byte range, no overlap, no name
 * twice. The data of each tensor is aligned to at least 8 bytes. */
typedef struct zm_gguf {
    zm_gguf_part *parts; /* the metadata that counts is in the first one */
    size_t part_count;
    zm_model_tensor *tensors; /* of all parts, in order of name; names are owned */
    size_t tensor_count;
} zm_gguf;

/* Is it a file that begins as GGUF files do? Whatever its name is. */
bool zm_gguf_is(const char *path);
/* Is that what the name says of a file that is yet to be written? */
bool zm_gguf_is_name(const char *path);

/* path may be any part of a split model; the others are opened beside it. */
zm_status zm_gguf_open(const char *path, const zm_log *log, zm_gguf **out);
void zm_gguf_close(zm_gguf **file);

/* Begins a file: the tensors' name, dtype, rank and shape are read, data is not; values in any
 * order. Alignment is that of the value general.alignment, else 32. */
zm_status zm_gguf_writer_open(const char *path, const zm_model_tensor *tensors, size_t tensor_count,
                              const zm_metadata_value *values, size_t value_count,
                              const zm_log *log, zm_tensor_writer **out);

#endif

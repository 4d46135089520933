/* SPDX-License-Identifier: Apache-2.0 */
/* The weight files of the input, and a file like them for the output. */
#ifndef ZM_SRC_CONVERT_SOURCE_H
#define ZM_SRC_CONVERT_SOURCE_H

#include "convert/progress.h"
#include "model/model_private.h"

/* Of all files. */
uint64_t zm_source_bytes(const zm_model *model);

/* Of all files, one after the other. ZM_ERROR_CANCELLED. */
zm_status zm_source_hash(const zm_model *model, zm_convert_progress *progress, char hex[65]);

/* Begins a file of the input's format: with the metadata of all its files (the first one wins; of
 * GGUF, that of the first part, with general.file_type written anew where most weights have another
 * type than before), without keys of this converter, then extra. */
zm_status zm_source_writer_open(const zm_model *model, const char *path,
                                const zm_model_tensor *tensors, size_t tensor_count,
                                const zm_metadata *extra, size_t extra_count, const zm_log *log,
                                zm_tensor_writer **out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The weight files of the input, and a file like them for the output. */
#ifndef ZM_SRC_CONVERT_SOURCE_H
#define ZM_SRC_CONVERT_SOURCE_H

#include <zeromean/convert.h>

#include "convert/progress.h"
#include "model/model_private.h"

/* Reads all files, one after the other, and reports how many bytes they have, and their hash.
 * ZM_ERROR_CANCELLED. */
zm_status zm_source_hash(const zm_model *model, zm_convert_progress *progress,
                         zm_convert_report *report);

/* Begins a file of the input's format: with the metadata of all its files (the first one wins; of
 * GGUF, that of the first part, with general.file_type written anew where most weights have another
 * type than before), without keys of this converter, then extra. */
zm_status zm_source_writer_open(const zm_model *model, const char *path,
                                const zm_model_tensor *tensors, size_t tensor_count,
                                const zm_metadata *extra, size_t extra_count, const zm_log *log,
                                zm_tensor_writer **out);

#endif

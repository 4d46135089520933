/* SPDX-License-Identifier: Apache-2.0 */
/* The weight files of the input. */
#ifndef ZM_SRC_CONVERT_SOURCE_H
#define ZM_SRC_CONVERT_SOURCE_H

#include "convert/progress.h"
#include "model/model_private.h"

/* Of all files, one after the other. ZM_ERROR_CANCELLED. */
zm_status zm_source_hash(const zm_model *model, zm_convert_progress *progress, char hex[65]);

/* The metadata of all files (the first file wins), without keys of this converter, then extra.
 * Keys and values are borrowed; free(*out). */
zm_status zm_source_metadata(const zm_model *model, const zm_metadata *extra, size_t extra_count,
                             const zm_log *log, zm_metadata **out, size_t *count);

#endif

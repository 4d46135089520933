/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a model directory that are not weights: config.json, tokenizer.json and so on. */
#ifndef ZM_SRC_CONVERT_COPY_H
#define ZM_SRC_CONVERT_COPY_H

#include "common/log.h"

/* Copies every visible regular file of input that is neither weights nor an index of weights nor
 * larger than 64 MiB, links followed; what is skipped is logged. *bytes: what was copied. With
 * output == NULL it only counts. */
zm_status zm_copy_side_files(const char *input, const char *output, const zm_log *log,
                             uint64_t *bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a file of tensors, of any format: its header first, from all tensors as they are
 * declared, then their data in that order, piece by piece. The file is complete or absent. */
#ifndef ZM_SRC_FORMAT_TENSOR_WRITER_H
#define ZM_SRC_FORMAT_TENSOR_WRITER_H

#include <zeromean/common.h>
#include <zeromean/log.h>

typedef struct zm_tensor_writer zm_tensor_writer;

/* For the formats: sizes in bytes of the data of each tensor, each of which begins at a multiple of
 * alignment in the data section; zeros are written between and behind them. */
zm_status zm_tensor_writer_open(const char *path, const uint64_t *sizes, size_t count,
                                uint32_t alignment, const zm_log *log, zm_tensor_writer **out);
zm_status zm_tensor_writer_header(zm_tensor_writer *writer, const void *header, uint64_t size);

/* The next bytes of the data, of one tensor or several. */
zm_status zm_tensor_writer_write(zm_tensor_writer *writer, const void *data, uint64_t size);
/* ZM_ERROR_INVALID_ARGUMENT unless exactly the declared bytes were written. Closes the writer. */
zm_status zm_tensor_writer_commit(zm_tensor_writer **writer);
/* Leaves no file. Accepts NULL. */
void zm_tensor_writer_discard(zm_tensor_writer **writer);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "format/tensor_writer.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"

struct zm_tensor_writer {
    zm_writer file;
    uint64_t *sizes; /* of the tensors; of the current one what is left */
    size_t count, current;
    uint64_t position; /* in the data section, with the zeros */
    uint64_t declared; /* bytes of all tensors, without the zeros */
    uint64_t written;
    uint32_t alignment;
};

zm_status zm_tensor_writer_open(const char *path, const uint64_t *sizes, size_t count,
                                uint32_t alignment, const zm_log *log, zm_tensor_writer **out)
{
    zm_tensor_writer *writer = zm_calloc(1, sizeof(*writer));
    zm_status status = ZM_OK;
    if (writer) {
        writer->file.fd = -1;
        writer->sizes = zm_calloc(count, sizeof(*sizes));
        writer->count = count;
        writer->alignment = alignment;
    }
    if (!writer || !writer->sizes)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to write it", path);
    for (size_t i = 0; i < count && status == ZM_OK; i++) {
        writer->sizes[i] = sizes[i];
        writer->declared += sizes[i];
    }
    if (status == ZM_OK)
        status = zm_writer_open(&writer->file, path, log);
    if (status != ZM_OK) {
        zm_tensor_writer_discard(&writer);
        return status;
    }
    *out = writer;
    return ZM_OK;
}

zm_status zm_tensor_writer_header(zm_tensor_writer *writer, const void *header, uint64_t size)
{
    return zm_writer_write(&writer->file, header, size);
}

static zm_status pad(zm_tensor_writer *writer)
{
    static const char zeros[4096];
    zm_status status = ZM_OK;
    while (writer->position % writer->alignment != 0 && status == ZM_OK) {
        uint64_t size = writer->alignment - writer->position % writer->alignment;
        size = size < sizeof(zeros) ? size : sizeof(zeros);
        status = zm_writer_write(&writer->file, zeros, size);
        writer->position += size;
    }
    return status;
}

zm_status zm_tensor_writer_write(zm_tensor_writer *writer, const void *data, uint64_t size)
{
    const char *bytes = data;
    if (size > writer->declared - writer->written)
        return zm_fail(&writer->file.log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: more data than the tensors that were declared", writer->file.path);
    while (size > 0) {
        uint64_t *left = &writer->sizes[writer->current];
        uint64_t piece = size < *left ? size : *left;
        zm_status status = zm_writer_write(&writer->file, bytes, piece);
        if (status != ZM_OK)
            return status;
        *left -= piece;
        writer->position += piece;
        writer->written += piece;
        bytes += piece;
        size -= piece;
        if (*left > 0)
            continue;
        status = pad(writer);
        if (status != ZM_OK)
            return status;
        writer->current++;
    }
    return ZM_OK;
}

zm_status zm_tensor_writer_commit(zm_tensor_writer **writer)
{
    zm_tensor_writer *w = *writer;
    zm_status status = ZM_OK;
    if (w->written != w->declared)
        status = zm_fail(&w->file.log, ZM_ERROR_INVALID_ARGUMENT,
                         "%s: %llu bytes of data were written, %llu declared", w->file.path,
                         (unsigned long long)w->written, (unsigned long long)w->declared);
    else
        status = zm_writer_commit(&w->file);
    zm_tensor_writer_discard(writer);
    return status;
}

void zm_tensor_writer_discard(zm_tensor_writer **writer)
{
    if (!writer || !*writer)
        return;
    zm_writer_discard(&(*writer)->file);
    free((*writer)->sizes);
    free(*writer);
    *writer = NULL;
}

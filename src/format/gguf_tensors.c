/* SPDX-License-Identifier: Apache-2.0 */
/* The list of tensors of a GGUF file, and where their data is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/gguf_reader.h"
#include "format/gguf_types.h"
#include "format/ranges.h"

#define NAME "%.200s"
/* What an entry takes at least: a name of one character, a rank of 0, a type, an offset. */
#define LEAST_ENTRY (8u + 1u + 4u + 4u + 8u)

/* GGUF counts dimensions from the innermost one. */
static zm_status read_shape(zm_gguf_reader *r, zm_model_tensor *tensor)
{
    zm_status status = zm_gguf_u32(r, tensor->name, &tensor->rank);
    if (status != ZM_OK)
        return status;
    if (tensor->rank > 4)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: tensor " NAME ": rank %u is over the limit of 4", r->part->path,
                       tensor->name, tensor->rank);
    for (uint32_t i = tensor->rank; i-- > 0 && status == ZM_OK;)
        status = zm_gguf_u64(r, tensor->name, &tensor->shape[i]);
    return status;
}

static zm_status read_type(zm_gguf_reader *r, zm_model_tensor *tensor)
{
    uint32_t id = 0;
    const char *name = NULL;
    zm_status status = zm_gguf_u32(r, tensor->name, &id);
    if (status != ZM_OK)
        return status;
    tensor->dtype = zm_gguf_type_find(id, &name);
    if (tensor->dtype == ZM_DTYPE_NONE && name)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: tensor " NAME " has type %s, which is not supported: convert it to one "
                       "of " ZM_GGUF_TYPES,
                       r->part->path, tensor->name, name);
    if (tensor->dtype == ZM_DTYPE_NONE)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: tensor " NAME " has type number %u, which is not known; known "
                       "are " ZM_GGUF_TYPES,
                       r->part->path, tensor->name, id);
    const char *reason = zm_gguf_measure(tensor);
    return reason ? zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: tensor " NAME ": %s", r->part->path,
                            tensor->name, reason)
                  : ZM_OK;
}

/* Until the data section is known, data is the offset in it. */
static zm_status read_entry(zm_gguf_reader *r)
{
    zm_gguf *file = r->file;
    char *name = NULL;
    void *grown = file->tensors;
    uint64_t offset = 0;
    zm_status status = zm_gguf_name(r, "the name of a tensor", &name);
    if (status != ZM_OK)
        return status;
    if (!zm_array_reserve(&grown, &r->tensor_capacity, file->tensor_count + 1,
                          sizeof(*file->tensors))) {
        free(name);
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its tensors",
                       r->part->path);
    }
    file->tensors = grown;
    zm_model_tensor *tensor = &file->tensors[file->tensor_count++];
    *tensor = (zm_model_tensor){.name = name};
    r->part->tensor_count++;
    status = read_shape(r, tensor);
    if (status == ZM_OK)
        status = read_type(r, tensor);
    if (status == ZM_OK)
        status = zm_gguf_u64(r, name, &offset);
    if (status == ZM_OK && offset > zm_gguf_left(r)) /* also: what follows fits into a pointer */
        status = zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                         "%s: tensor " NAME " begins at byte %" PRIu64 " of the data, which has "
                         "at most %" PRIu64 ": truncated? fetch it again",
                         r->part->path, name, offset, zm_gguf_left(r));
    tensor->data = (const void *)(uintptr_t)offset;
    return status;
}

static zm_status place(const zm_gguf_reader *r, zm_model_tensor *tensor, uint64_t begin,
                       uint32_t alignment, zm_tensor_range *out)
{
    const zm_map *map = &r->part->map;
    uint64_t offset = (uint64_t)(uintptr_t)tensor->data, size = map->size - begin;
    if (offset % alignment != 0)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor " NAME " begins at byte %" PRIu64 " of the data, which is no "
                       "multiple of the alignment %u",
                       r->part->path, tensor->name, offset, alignment);
    if (offset > size || tensor->bytes > size - offset)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor " NAME " has %" PRIu64 " bytes from byte %" PRIu64
                       " of the data on, which has %" PRIu64 ": truncated? fetch it again",
                       r->part->path, tensor->name, tensor->bytes, offset, size);
    *out = (zm_tensor_range){offset, offset + tensor->bytes, tensor};
    tensor->data = map->data + (tensor->bytes ? begin + offset : 0); /* aligned in any case */
    return ZM_OK;
}

static zm_status check_overlaps(const zm_gguf_reader *r, zm_tensor_range *ranges)
{
    size_t count = r->part->tensor_count;
    zm_ranges_sort(ranges, count);
    for (size_t i = 1; i < count; i++)
        if (ranges[i].begin < ranges[i - 1].end)
            return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                           "%s: tensor " NAME " overlaps tensor " NAME "; export it again",
                           r->part->path, ranges[i].tensor->name, ranges[i - 1].tensor->name);
    return ZM_OK;
}

static zm_status place_all(const zm_gguf_reader *r)
{
    const zm_gguf_part *part = r->part;
    uint32_t alignment = 0;
    uint64_t begin = 0;
    if (!zm_gguf_alignment(part->values, part->value_count, &alignment))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: " ZM_GGUF_ALIGNMENT_KEY " is no power of two from 8 to 65536",
                       part->path);
    if (part->tensor_count == 0)
        return ZM_OK;
    /* Tensors without elements may be all there is: the data section then is empty. */
    if (!zm_gguf_align(r->at, alignment, &begin) || begin > part->map.size)
        begin = part->map.size;
    zm_tensor_range *ranges = zm_calloc(part->tensor_count, sizeof(*ranges));
    if (!ranges)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its tensors", part->path);
    zm_model_tensor *first = r->file->tensors + r->file->tensor_count - part->tensor_count;
    zm_status status = ZM_OK;
    for (size_t i = 0; i < part->tensor_count && status == ZM_OK; i++)
        status = place(r, &first[i], begin, alignment, &ranges[i]);
    if (status == ZM_OK)
        status = check_overlaps(r, ranges);
    free(ranges);
    return status;
}

zm_status zm_gguf_read_tensors(zm_gguf_reader *r, uint64_t count)
{
    if (count > zm_gguf_left(r) / LEAST_ENTRY)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: claims %" PRIu64 " tensors, the file ends before: truncated? fetch it "
                       "again",
                       r->part->path, count);
    zm_status status = ZM_OK;
    for (uint64_t i = 0; i < count && status == ZM_OK; i++)
        status = read_entry(r);
    return status == ZM_OK ? place_all(r) : status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "format/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/gguf_reader.h"
#include "format/gguf_types.h"
#include "format/metadata.h"

#define NAME "%.200s"
#define MAX_PARTS 1024u

/* ---- plain pieces ---- */

uint64_t zm_gguf_left(const zm_gguf_reader *r)
{
    return r->part->map.size - r->at;
}

zm_status zm_gguf_take(zm_gguf_reader *r, uint64_t size, const char *what, const uint8_t **out)
{
    if (size > zm_gguf_left(r))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: the file ends in " NAME " at byte %" PRIu64 ": truncated? fetch it "
                       "again",
                       r->part->path, what, r->at);
    *out = r->part->map.data + r->at;
    r->at += size;
    return ZM_OK;
}

/* Of so many bytes, the lowest first. */
static zm_status take_number(zm_gguf_reader *r, int size, const char *what, uint64_t *out)
{
    const uint8_t *bytes = NULL;
    zm_status status = zm_gguf_take(r, (uint64_t)size, what, &bytes);
    *out = 0;
    for (int i = 0; i < size && status == ZM_OK; i++)
        *out |= (uint64_t)bytes[i] << 8 * i;
    return status;
}

zm_status zm_gguf_u64(zm_gguf_reader *r, const char *what, uint64_t *out)
{
    return take_number(r, 8, what, out);
}

zm_status zm_gguf_u32(zm_gguf_reader *r, const char *what, uint32_t *out)
{
    uint64_t value;
    zm_status status = take_number(r, 4, what, &value);
    *out = (uint32_t)value;
    return status;
}

zm_status zm_gguf_text(zm_gguf_reader *r, const char *what, zm_text *out)
{
    const uint8_t *bytes = NULL;
    uint64_t length = 0;
    zm_status status = zm_gguf_u64(r, what, &length);
    if (status == ZM_OK)
        status = zm_gguf_take(r, length, what, &bytes);
    *out = (zm_text){(const char *)bytes, (size_t)length};
    return status;
}

zm_status zm_gguf_name(zm_gguf_reader *r, const char *what, char **out)
{
    zm_text text;
    uint64_t at = r->at;
    zm_status status = zm_gguf_text(r, what, &text);
    if (status != ZM_OK)
        return status;
    if (!zm_gguf_name_valid(text.data, text.length))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: %s at byte %" PRIu64 " is empty, has control characters or is over %u "
                       "bytes",
                       r->part->path, what, at, ZM_GGUF_MAX_KEY);
    char *copy = zm_calloc(text.length + 1, 1);
    if (!copy)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", r->part->path);
    memcpy(copy, text.data, text.length);
    *out = copy;
    return ZM_OK;
}

/* ---- one part ---- */

static zm_status check_version(const zm_gguf_reader *r, uint32_t version)
{
    const char *path = r->part->path;
    if (version == 2 || version == 3)
        return ZM_OK;
    if (version != 0 && (version & 0xffff) == 0)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: is a big-endian GGUF file, which is not supported; convert it to "
                       "little-endian",
                       path);
    return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                   "%s: is a GGUF file of version %u, supported are 2 and 3; convert the model "
                   "again",
                   path, version);
}

static bool has_magic(const zm_map *map)
{
    return map->size >= 4 && memcmp(map->data, ZM_GGUF_MAGIC, 4) == 0;
}

bool zm_gguf_is(const char *path)
{
    zm_map map;
    if (zm_map_open(path, NULL, &map) != ZM_OK)
        return false; /* who reads it will say why */
    const bool is = has_magic(&map);
    zm_map_close(&map);
    return is;
}

bool zm_gguf_is_name(const char *path)
{
    static const char suffix[] = ".gguf";
    return zm_path_ends_with(path, suffix) && strcmp(path, suffix) != 0 &&
           !zm_path_is_directory(path);
}

static zm_status read_header(zm_gguf_reader *r, uint64_t *tensors, uint64_t *values)
{
    const uint8_t *magic = NULL;
    uint32_t version = 0;
    if (!has_magic(&r->part->map))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: does not begin with " ZM_GGUF_MAGIC ": no GGUF file? fetch or convert "
                       "it again",
                       r->part->path);
    zm_status status = zm_gguf_take(r, 4, "its header", &magic);
    if (status == ZM_OK)
        status = zm_gguf_u32(r, "its header", &version);
    if (status == ZM_OK)
        status = check_version(r, version);
    if (status == ZM_OK)
        status = zm_gguf_u64(r, "its header", tensors);
    if (status == ZM_OK)
        status = zm_gguf_u64(r, "its header", values);
    return status;
}

/* reader->part is empty; what was read hangs on it, also on failure. */
static zm_status read_part(zm_gguf_reader *r, const char *path)
{
    uint64_t tensors = 0, values = 0;
    r->at = 0;
    r->part->path = zm_strdup(path);
    if (!r->part->path)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", path);
    zm_status status = zm_map_open(path, r->log, &r->part->map);
    if (status == ZM_OK)
        status = read_header(r, &tensors, &values);
    if (status == ZM_OK)
        status = zm_gguf_read_values(r, values);
    if (status == ZM_OK)
        status = zm_gguf_read_tensors(r, tensors);
    return status;
}

/* ---- all parts ---- */

/* missing where there is no such key, which is no failure. */
static zm_status read_split(const zm_gguf_reader *r, const char *key, int64_t missing, int64_t most,
                            int64_t *out)
{
    const zm_gguf_part *part = r->part;
    const zm_metadata_value *value = zm_metadata_find(part->values, part->value_count, key);
    *out = missing;
    if (value &&
        (value->is_array || !zm_metadata_integer(value, 0, out) || *out < 0 || *out > most))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: %s is no integer from 0 to %" PRId64,
                       part->path, key, most);
    return ZM_OK;
}

/* The part that was read is number *number, from 0, of *count; 0 of 1 where it is all. */
static zm_status read_place(const zm_gguf_reader *r, uint32_t *number, uint32_t *count)
{
    int64_t no = 0, parts = 1;
    uint32_t named = 0, named_count = 0;
    zm_status status = read_split(r, "split.count", 1, MAX_PARTS, &parts);
    if (status == ZM_OK)
        status = read_split(r, "split.no", 0, MAX_PARTS, &no);
    if (status != ZM_OK)
        return status;
    *number = (uint32_t)no;
    *count = parts > 1 ? (uint32_t)parts : 1;
    if (*count == 1 && no == 0)
        return ZM_OK;
    if (no >= parts || !zm_gguf_part_parse(r->part->path, &named, &named_count) ||
        named != *number + 1 || named_count != *count)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: is part %u of %u by its metadata, but its name does not end in "
                       "-%05u-of-%05u.gguf",
                       r->part->path, *number + 1, *count, *number + 1, *count);
    return ZM_OK;
}

static zm_status read_other(zm_gguf_reader *r, zm_gguf_part *part, const char *beside,
                            uint32_t number, uint32_t count)
{
    uint32_t found = 0, found_count = 0;
    char *path = zm_gguf_part_path(beside, number + 1, count);
    if (!path)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", beside);
    r->part = part;
    zm_status status = ZM_OK;
    if (!zm_path_exists(path))
        status =
            zm_fail(r->log, ZM_ERROR_NOT_FOUND,
                    "%s: is missing, part %u of %u of the model; put all parts into one folder",
                    path, number + 1, count);
    if (status == ZM_OK)
        status = read_part(r, path);
    if (status == ZM_OK)
        status = read_place(r, &found, &found_count);
    if (status == ZM_OK && found_count != count)
        status = zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: is not a part of %s", path, beside);
    free(path);
    return status;
}

/* What was opened is the only part so far, number of count. */
static zm_status read_others(zm_gguf_reader *r, uint32_t number, uint32_t count)
{
    zm_gguf *file = r->file;
    int64_t expected = 0;
    zm_gguf_part *parts = zm_calloc(count, sizeof(*parts));
    if (!parts)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", r->part->path);
    parts[number] = file->parts[0];
    free(file->parts);
    file->parts = parts;
    file->part_count = count;
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < count && status == ZM_OK; i++)
        if (i != number)
            status = read_other(r, &parts[i], parts[number].path, i, count);
    r->part = &parts[0];
    if (status == ZM_OK)
        status =
            read_split(r, "split.tensors.count", (int64_t)file->tensor_count, INT64_MAX, &expected);
    if (status == ZM_OK && (uint64_t)expected != file->tensor_count)
        status = zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                         "%s: split.tensors.count is %" PRId64 ", the parts hold %zu tensors",
                         parts[0].path, expected, file->tensor_count);
    return status;
}

static int compare_names(const void *left, const void *right)
{
    const zm_model_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static zm_status sort_tensors(const zm_gguf_reader *r)
{
    const zm_gguf *file = r->file;
    if (file->tensor_count > 0)
        qsort(file->tensors, file->tensor_count, sizeof(*file->tensors), compare_names);
    for (size_t i = 1; i < file->tensor_count; i++)
        if (compare_names(&file->tensors[i - 1], &file->tensors[i]) == 0)
            return zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: two tensors are called " NAME,
                           file->parts[0].path, file->tensors[i].name);
    return ZM_OK;
}

zm_status zm_gguf_open(const char *path, const zm_log *log, zm_gguf **out)
{
    uint32_t number = 0, count = 1;
    zm_gguf_reader r = {.log = log, .file = zm_calloc(1, sizeof(*r.file))};
    if (r.file)
        r.file->parts = zm_calloc(1, sizeof(*r.file->parts));
    if (!r.file || !r.file->parts) {
        zm_gguf_close(&r.file);
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", path);
    }
    r.file->part_count = 1;
    r.part = &r.file->parts[0];
    zm_status status = read_part(&r, path);
    if (status == ZM_OK)
        status = read_place(&r, &number, &count);
    if (status == ZM_OK && count > 1)
        status = read_others(&r, number, count);
    if (status == ZM_OK)
        status = sort_tensors(&r);
    if (status != ZM_OK) {
        zm_gguf_close(&r.file);
        return status;
    }
    *out = r.file;
    return ZM_OK;
}

void zm_gguf_close(zm_gguf **file)
{
    if (!file || !*file)
        return;
    zm_gguf *f = *file;
    for (size_t i = 0; i < f->tensor_count; i++)
        free((void *)(uintptr_t)f->tensors[i].name);
    for (size_t i = 0; i < f->part_count; i++) {
        zm_gguf_free_values(&f->parts[i]);
        zm_map_close(&f->parts[i].map);
        free(f->parts[i].path);
    }
    free(f->tensors);
    free(f->parts);
    free(f);
    *file = NULL;
}

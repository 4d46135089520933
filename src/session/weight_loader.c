/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weight_loader.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"
#include "common/quant.h"
#include "model/architecture.h"
#include "model/pages.h"

#define PIECES_AT_ONCE 256u /* before progress is told */
#define MAX_NAME 192

zm_status zm_weight_out_of_memory(const zm_weight_loader *loader)
{
    return zm_fail(&loader->storage->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
}

zm_status zm_weight_loader_init(zm_weight_loader *loader)
{
    const zm_model_info *info = zm_model_get_info(loader->model);
    loader->folded = info->folded;
    loader->narrow = zm_norm_is_narrow(info->norm);
    loader->done = 0;
    loader->prefix[0] = '\0';
    return zm_weight_crew_init(&loader->crew) == ZM_OK ? ZM_OK : zm_weight_out_of_memory(loader);
}

void zm_weight_loader_finish(zm_weight_loader *loader)
{
    zm_weight_crew_finish(&loader->crew);
}

void zm_weight_loader_prefix(zm_weight_loader *loader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(loader->prefix, sizeof(loader->prefix), format, arguments);
    va_end(arguments);
}

const zm_model_tensor *zm_weight_find(const zm_weight_loader *loader, const char *name,
                                      const char *suffix)
{
    char full[MAX_NAME];
    int length = snprintf(full, sizeof(full), "%s%s%s", loader->prefix, name, suffix);
    if (length < 0 || (size_t)length >= sizeof(full))
        return NULL;
    return zm_model_find_tensor(loader->model, full);
}

static bool is_quantised(zm_dtype type)
{
    return zm_dtype_block_length(type) > 1;
}

/* The model has checked the tensors its architecture needs; this guards the memory of the device
 * against a model that did not. */
zm_status zm_weight_check(const zm_weight_loader *loader, const char *name, const char *suffix,
                          const zm_weight_source *source)
{
    const zm_log *log = &loader->storage->log;
    uint64_t cols = zm_weight_cols(source);
    if (!source->tensor)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: tensor %s%s%s is missing",
                       zm_model_get_info(loader->model)->path, loader->prefix, name, suffix);
    uint64_t together, last = zm_weight_row(source, source->n - 1, &together);
    if (!zm_quant_can_decode(source->tensor->dtype) || last >= zm_weight_rows(source) ||
        source->tensor->elements != zm_weight_rows(source) * cols ||
        source->k % zm_dtype_block_length(source->tensor->dtype) != 0 ||
        cols % zm_dtype_block_length(source->tensor->dtype) != 0)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: tensor %s is not of %llu x %llu real numbers",
                       zm_model_get_info(loader->model)->path, source->tensor->name,
                       (unsigned long long)zm_weight_rows(source), (unsigned long long)cols);
    if (source->transposed && zm_dtype_block_length(source->tensor->dtype) != 1)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: tensor %s is quantised along its outputs, which is not supported",
                       zm_model_get_info(loader->model)->path, source->tensor->name);
    return ZM_OK;
}

static zm_status fail_not_finite(const zm_weight_loader *loader, const zm_model_tensor *tensor)
{
    return zm_fail(&loader->storage->log, ZM_ERROR_BAD_FORMAT,
                   "%s: tensor %s holds NaN or infinity; convert or fetch it again",
                   zm_model_get_info(loader->model)->path, tensor->name);
}

/* So many bytes of the file are done. */
static zm_status advance(zm_weight_loader *loader, uint64_t bytes)
{
    loader->done += loader->again ? 0 : bytes;
    bool go_on = !loader->progress ||
                 loader->progress(loader->progress_user, "loading weights", loader->done,
                                  zm_model_get_info(loader->model)->bytes);
    return go_on ? ZM_OK : ZM_ERROR_CANCELLED;
}

static uint64_t bytes_of(const zm_weight_pieces *pieces, uint64_t first, uint64_t count)
{
    uint64_t bytes = 0;
    for (uint64_t i = first, row, rows; i < first + count; i++) {
        const zm_weight_source *source = zm_weight_piece_get(pieces, i, &row, &rows);
        bytes += zm_dtype_bytes(source->tensor->dtype, rows * zm_weight_cols(source));
    }
    return bytes;
}

static zm_status begin(const zm_weight_loader *loader, zm_weight_source *source)
{
    zm_status status = zm_weight_source_begin(source);
    return status == ZM_OK ? status : zm_weight_out_of_memory(loader);
}

static zm_status store_pieces(zm_weight_loader *loader, zm_weight_pieces *pieces)
{
    if (!zm_weight_pieces_cut(pieces))
        return zm_fail(&loader->storage->log, ZM_ERROR_LIMIT,
                       "%s: the rows of tensor %s are too long",
                       zm_model_get_info(loader->model)->path, pieces->sources->tensor->name);
    for (uint64_t i = 0, some, failed, row, rows; i < pieces->count; i += some) {
        some = pieces->count - i < PIECES_AT_ONCE ? pieces->count - i : PIECES_AT_ONCE;
        zm_status status = zm_weight_pieces_do(pieces, &loader->crew, i, some, &failed);
        if (status == ZM_ERROR_BAD_FORMAT)
            return fail_not_finite(loader,
                                   zm_weight_piece_get(pieces, failed, &row, &rows)->tensor);
        if (status == ZM_ERROR_OUT_OF_MEMORY)
            return zm_weight_out_of_memory(loader);
        if (status == ZM_OK)
            status = advance(loader, bytes_of(pieces, i, some));
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

/* Fills the target with the sources one below the other. fold NULL = what reads no such norm. */
static zm_status store(zm_weight_loader *loader, zm_weight_source *sources, uint32_t count,
                       const zm_norm_fold *fold, const zm_weight_target *target)
{
    zm_weight_pieces pieces = {.sources = sources,
                               .source_count = count,
                               .gain = loader->gain,
                               .fold = fold,
                               .target = target};
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < count && status == ZM_OK; i++)
        status = begin(loader, &sources[i]);
    if (status == ZM_OK)
        status = store_pieces(loader, &pieces);
    for (uint32_t i = 0; i < count; i++) {
        zm_weight_source_end(&sources[i]);
        if (status == ZM_OK && target->memory)
            zm_model_drop_pages(loader->model, sources[i].tensor);
    }
    return status;
}

/* Is the tensor in the file what the device reads? */
static bool is_in_place(const zm_weight_loader *loader, const zm_weight_source *sources,
                        uint32_t count, const zm_weight_target *target)
{
    const zm_model_tensor *tensor = sources[0].tensor;
    return count == 1 && sources[0].kernel == 1 && !sources[0].change && !loader->gain &&
           target->layout.panel == 0 && zm_weight_rows(sources) == sources[0].n &&
           !sources[0].run && !sources[0].transposed &&
           tensor->elements == (uint64_t)target->tensor.shape[0] * target->tensor.shape[1] &&
           !target->layout.part_rows && tensor->dtype == target->tensor.dtype &&
           zm_model_is_mapped(loader->model, tensor) &&
           zm_storage_can_wrap(loader->storage, tensor->data, tensor->dtype);
}

static zm_status wrap(zm_weight_loader *loader, const zm_model_tensor *tensor,
                      zm_weight_target *target)
{
    return zm_storage_wrap(loader->storage, tensor->data, tensor->elements, tensor->dtype,
                           &target->tensor.buffer, &target->tensor.offset);
}

/* Rows of linears and of tables can be cut. */
static zm_status check_size(const zm_weight_loader *loader, const zm_weight_source *source,
                            const zm_weight_target *target)
{
    const zm_device_info *info = zm_device_get_info(loader->storage->device);
    uint64_t bytes = zm_dtype_bytes(target->tensor.dtype, target->layout.elements);
    if (bytes <= info->limits.max_buffer_bytes || (target->layout.part_rows && source->kernel == 1))
        return ZM_OK;
    return zm_fail(&loader->storage->log, ZM_ERROR_LIMIT,
                   "%s: tensor %s takes %llu bytes on %s, whose buffers have at most %llu, and "
                   "can't be cut",
                   zm_model_get_info(loader->model)->path, source->tensor->name,
                   (unsigned long long)bytes, info->spec,
                   (unsigned long long)info->limits.max_buffer_bytes);
}

zm_status zm_weight_fill(zm_weight_loader *loader, zm_weight_source *sources, uint32_t count,
                         const zm_norm_fold *fold, zm_weight_target *target)
{
    zm_status status = check_size(loader, sources, target);
    if (status == ZM_OK)
        status = is_in_place(loader, sources, count, target)
                     ? wrap(loader, sources[0].tensor, target)
                     : zm_weight_target_make(target, loader->storage, loader->stream);
    if (status == ZM_OK)
        status = store(loader, sources, count, fold, target);
    zm_status finished = zm_weight_target_finish(target, loader->stream);
    return status != ZM_OK ? status : finished;
}

/* The type that a weight gets on the device: its source's where all of it is of one quantised type
 * that the device's kernels read, or of F16; anything else is float32, exactly. The plain C of the
 * host device works on its real type. */
static zm_dtype weight_type(const zm_weight_loader *loader, const zm_weight_source *sources,
                            uint32_t count)
{
    const zm_device *device = loader->storage->device;
    const zm_device_info *info = zm_device_get_info(device);
    zm_dtype type = sources[0].dtype;
    bool alike = true;
    for (uint32_t i = 1; i < count; i++)
        alike &= sources[i].dtype == type;
    if (alike && is_quantised(type) && sources[0].kernel == 1 && !loader->gain &&
        zm_weight_type_is_read(device, type))
        return type;
    if (info->backend == ZM_BACKEND_HOST)
        return info->real_type;
    return alike && type == ZM_F16 && !loader->gain ? ZM_F16 : ZM_F32;
}

zm_status zm_weight_load(zm_weight_loader *loader, zm_weight_source *sources, uint32_t count,
                         uint32_t zero_rows, const zm_norm_fold *fold, bool gated, zm_tensor *out)
{
    uint64_t n = zero_rows, k = sources[0].k;
    for (uint32_t i = 0; i < count; i++)
        n += sources[i].n;
    if (n > UINT32_MAX || k > UINT32_MAX)
        return zm_fail(&loader->storage->log, ZM_ERROR_LIMIT, "%s: tensor %s is too large",
                       zm_model_get_info(loader->model)->path, sources[0].tensor->name);
    zm_dtype type = weight_type(loader, sources, count);
    zm_weight_target target = {.tensor = zm_tensor_2d(NULL, type, (uint32_t)n, (uint32_t)k),
                               .gated = gated,
                               .zero_rows = zero_rows};
    zm_status status = zm_weight_layout_get(loader->storage->device, (uint32_t)n, (uint32_t)k, type,
                                            &target.layout);
    if (status != ZM_OK)
        return status;
    target.tensor.panel = target.layout.panel;
    status = zm_weight_fill(loader, sources, count, fold, &target);
    if (status == ZM_OK)
        *out = target.tensor;
    return status;
}

/* ---- vectors ---- */

zm_weight_source zm_weight_source_of(const zm_weight_loader *loader, const zm_linear_part *part,
                                     const char *suffix, uint32_t k, bool transposed)
{
    zm_weight_source source = {.n = part->n,
                               .k = k,
                               .kernel = 1,
                               .rows = part->rows,
                               .first = part->first,
                               .run = part->run,
                               .stride = part->stride,
                               .transposed = transposed};
    zm_weight_source_set(&source, zm_weight_find(loader, part->name, suffix), loader->plan);
    return source;
}

zm_status zm_vector_add_part(zm_weight_loader *loader, const zm_linear_part *part,
                             const char *suffix, double *values)
{
    zm_weight_source source = zm_weight_source_of(loader, part, suffix, 1, false);
    uint64_t n = part->n;
    zm_status status = zm_weight_check(loader, part->name, suffix, &source);
    if (status == ZM_OK)
        status = begin(loader, &source);
    if (status != ZM_OK)
        return status;
    double largest = loader->storage->real_type == ZM_F64 ? DBL_MAX : (double)FLT_MAX;
    zm_weight_room *room = zm_weight_room_take(&loader->crew);
    if (!room)
        return zm_weight_out_of_memory(loader);
    uint64_t block = ZM_WEIGHT_ROOM / sizeof(double);
    for (uint64_t i = 0, count; i < n && status == ZM_OK; i += count) {
        count = n - i < block ? n - i : block;
        const double *piece = zm_weight_fetch(room->raw, room->real, &source, i, &count, ZM_F64);
        for (uint64_t j = 0; j < count && status == ZM_OK; j++) {
            if (!(fabs(piece[j]) <= largest))
                status = fail_not_finite(loader, source.tensor);
            values[i + j] += piece[j];
        }
    }
    zm_weight_room_give(&loader->crew, room);
    zm_weight_source_end(&source);
    if (status != ZM_OK)
        return status;
    zm_model_drop_pages(loader->model, source.tensor);
    return advance(loader, zm_dtype_bytes(source.tensor->dtype, n));
}

zm_status zm_vector_add(zm_weight_loader *loader, const char *name, const char *suffix, uint32_t n,
                        double *values)
{
    const zm_linear_part part = {.name = name, .n = n};
    return zm_vector_add_part(loader, &part, suffix, values);
}

zm_status zm_vector_put(zm_weight_loader *loader, const double *values, uint32_t n, zm_tensor *out)
{
    zm_dtype type = loader->storage->real_type;
    uint64_t bytes = n * zm_dtype_size(type);
    zm_buffer *buffer;
    void *memory;
    zm_status status = zm_storage_buffer(loader->storage, n, type, &buffer);
    if (status == ZM_OK)
        status = zm_buffer_map(loader->stream, buffer, 0, bytes, &memory);
    if (status != ZM_OK)
        return status;
    zm_convert_reals(memory, type, values, ZM_F64, n);
    *out = zm_tensor_1d(buffer, type, n);
    return zm_buffer_unmap(loader->stream, buffer, memory);
}

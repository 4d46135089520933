/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weights.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/half.h"
#include "model/pages.h"
#include "session/fold.h"

/* Bytes of a piece: small enough to stay in a cache, large enough to matter. */
#define PIECE_BYTES (UINT64_C(1) << 20)
#define MAX_PARTS 3
#define MAX_NAME 192

/* A tensor of the file on its way into rows of a weight. */
typedef struct weight_source {
    const zm_model_tensor *tensor;
    uint64_t n, k;
    uint32_t kernel; /* > 1: [k / kernel][kernel] becomes [kernel][k / kernel] in each row */
} weight_source;

/* A weight in the device's memory while it is filled. */
typedef struct weight_target {
    zm_tensor tensor;
    zm_weight_layout layout;
    const zm_norm_fold *fold; /* NULL = what reads no such norm */
    void *memory;             /* NULL = the values stay where they are in the file */
} weight_target;

static zm_status out_of_memory(const zm_weight_loader *loader)
{
    return zm_fail(&loader->storage->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
}

zm_status zm_weight_loader_init(zm_weight_loader *loader)
{
    loader->done = 0;
    loader->prefix[0] = '\0';
    loader->raw = malloc(PIECE_BYTES);
    loader->real = malloc(PIECE_BYTES);
    if (loader->raw && loader->real)
        return ZM_OK;
    zm_weight_loader_finish(loader);
    return out_of_memory(loader);
}

void zm_weight_loader_finish(zm_weight_loader *loader)
{
    free(loader->raw);
    free(loader->real);
    loader->raw = loader->real = NULL;
}

void zm_weight_loader_prefix(zm_weight_loader *loader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(loader->prefix, sizeof(loader->prefix), format, arguments);
    va_end(arguments);
}

static const zm_model_tensor *find(const zm_weight_loader *loader, const char *name,
                                   const char *suffix)
{
    char full[MAX_NAME];
    int length = snprintf(full, sizeof(full), "%s%s%s", loader->prefix, name, suffix);
    if (length < 0 || (size_t)length >= sizeof(full))
        return NULL;
    return zm_model_find_tensor(loader->model, full);
}

static bool is_real(zm_dtype type)
{
    return type == ZM_F32 || type == ZM_F16 || type == ZM_BF16 || type == ZM_F64;
}

/* The model has checked the tensors its architecture needs; this guards the memory of the device
 * against a model that did not. */
static zm_status check_source(const zm_weight_loader *loader, const char *name, const char *suffix,
                              const weight_source *source)
{
    const zm_log *log = &loader->storage->log;
    if (!source->tensor)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: tensor %s%s%s is missing",
                       zm_model_get_info(loader->model)->path, loader->prefix, name, suffix);
    if (!is_real(source->tensor->dtype) || source->tensor->elements != source->n * source->k)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: tensor %s is not of %llu x %llu real numbers",
                       zm_model_get_info(loader->model)->path, source->tensor->name,
                       (unsigned long long)source->n, (unsigned long long)source->k);
    return ZM_OK;
}

static bool all_finite(const void *values, zm_dtype type, uint64_t count)
{
    uint64_t bad = 0;
    if (type == ZM_F16) {
        const uint16_t *bits = values;
        for (uint64_t i = 0; i < count; i++)
            bad |= (bits[i] & 0x7c00u) == 0x7c00u;
    } else if (type == ZM_F32) {
        const uint32_t *bits = values;
        for (uint64_t i = 0; i < count; i++)
            bad |= (bits[i] & 0x7f800000u) == 0x7f800000u;
    } else {
        const uint64_t *bits = values, mask = UINT64_C(0x7ff) << 52;
        for (uint64_t i = 0; i < count; i++)
            bad |= (bits[i] & mask) == mask;
    }
    return !bad;
}

/* [channels][kernel] -> [kernel][channels] for each of rows rows. */
static void reorder(void *dst, const void *src, zm_dtype type, uint64_t rows, uint64_t channels,
                    uint32_t kernel)
{
    size_t size = zm_dtype_size(type);
    for (uint64_t row = 0; row < rows; row++) {
        char *out = (char *)dst + row * channels * kernel * size;
        const char *in = (const char *)src + row * channels * kernel * size;
        for (uint32_t j = 0; j < kernel; j++) {
            for (uint64_t c = 0; c < channels; c++, out += size)
                memcpy(out, in + (c * kernel + j) * size, size);
        }
    }
}

/* Rows first .. first + rows - 1 of the source in the target's type: in loader->real or, where
 * nothing is to be done, in loader->raw. */
static const void *fetch(zm_weight_loader *loader, const weight_source *source, uint64_t first,
                         uint64_t rows, zm_dtype type)
{
    const zm_model_tensor *tensor = source->tensor;
    uint64_t size = zm_dtype_size(tensor->dtype), count = rows * source->k;
    const char *data = (const char *)tensor->data + first * source->k * size;
    /* The file does not promise alignment. */
    memcpy(loader->raw, data, count * size);
    void *values = loader->raw, *other = loader->real;
    if (tensor->dtype != type) {
        zm_convert_reals(loader->real, type, loader->raw, tensor->dtype, count);
        values = loader->real;
        other = loader->raw;
    }
    if (source->kernel > 1) {
        reorder(other, values, type, rows, source->k / source->kernel, source->kernel);
        values = other;
    }
    return values;
}

static zm_status fail_not_finite(const zm_weight_loader *loader, const zm_model_tensor *tensor)
{
    return zm_fail(&loader->storage->log, ZM_ERROR_BAD_FORMAT,
                   "%s: tensor %s holds NaN or infinity; convert or fetch it again",
                   zm_model_get_info(loader->model)->path, tensor->name);
}

/* So many elements of it are done. */
static zm_status advance(zm_weight_loader *loader, const zm_model_tensor *tensor, uint64_t elements)
{
    loader->done += loader->again ? 0 : elements * zm_dtype_size(tensor->dtype);
    bool go_on = !loader->progress ||
                 loader->progress(loader->progress_user, "loading weights", loader->done,
                                  zm_model_get_info(loader->model)->bytes);
    return go_on ? ZM_OK : ZM_ERROR_CANCELLED;
}

static zm_status store(zm_weight_loader *loader, const weight_source *source,
                       const weight_target *target, uint32_t first)
{
    const zm_model_tensor *tensor = source->tensor;
    zm_dtype type = target->tensor.dtype;
    uint64_t size = zm_dtype_size(tensor->dtype), widest = zm_dtype_size(type);
    uint64_t row_bytes = source->k * (widest > size ? widest : size);
    if (row_bytes > PIECE_BYTES)
        return zm_fail(&loader->storage->log, ZM_ERROR_LIMIT,
                       "%s: the rows of tensor %s are too long",
                       zm_model_get_info(loader->model)->path, tensor->name);
    uint64_t block = PIECE_BYTES / row_bytes;
    for (uint64_t row = 0; row < source->n; row += block) {
        uint64_t rows = source->n - row < block ? source->n - row : block;
        const void *values = fetch(loader, source, row, rows, type);
        if (!all_finite(values, type, rows * source->k))
            return fail_not_finite(loader, tensor);
        if (target->fold)
            zm_norm_fold_rows(target->fold, first + row, values, type, rows, source->k);
        zm_status status = ZM_OK;
        if (target->memory)
            status = zm_weight_pack(target->memory, type, &target->layout, target->tensor.shape[0],
                                    first + (uint32_t)row, values, type, (uint32_t)rows,
                                    (uint32_t)source->k);
        if (status == ZM_OK)
            status = advance(loader, tensor, rows * source->k);
        if (status != ZM_OK)
            return status;
    }
    if (target->memory)
        zm_model_drop_pages(loader->model, tensor);
    return ZM_OK;
}

/* Is the tensor in the file what the device reads? */
static bool is_in_place(const zm_weight_loader *loader, const weight_source *sources,
                        uint32_t count, const weight_target *target)
{
    const zm_model_tensor *tensor = sources[0].tensor;
    return count == 1 && sources[0].kernel == 1 && target->layout.panel == 0 &&
           tensor->dtype == target->tensor.dtype && zm_model_is_mapped(loader->model, tensor) &&
           zm_storage_can_wrap(loader->storage, tensor->data, tensor->dtype);
}

static zm_status wrap(zm_weight_loader *loader, const zm_model_tensor *tensor,
                      weight_target *target)
{
    return zm_storage_wrap(loader->storage, tensor->data, tensor->elements, tensor->dtype,
                           &target->tensor.buffer, &target->tensor.offset);
}

/* No tensor is split: one that is too large for a buffer is too large for the device. */
static zm_status check_size(const zm_weight_loader *loader, const zm_model_tensor *tensor,
                            const weight_target *target)
{
    const zm_device_info *info = zm_device_get_info(loader->storage->device);
    uint64_t bytes = target->layout.elements * zm_dtype_size(target->tensor.dtype);
    if (bytes <= info->limits.max_buffer_bytes)
        return ZM_OK;
    return zm_fail(&loader->storage->log, ZM_ERROR_LIMIT,
                   "%s: tensor %s takes %llu bytes on %s, whose buffers have at most %llu",
                   zm_model_get_info(loader->model)->path, tensor->name, (unsigned long long)bytes,
                   info->spec, (unsigned long long)info->limits.max_buffer_bytes);
}

/* Makes the target's buffer. */
static zm_status make(zm_weight_loader *loader, weight_target *target)
{
    zm_dtype type = target->tensor.dtype;
    uint64_t bytes = target->layout.elements * zm_dtype_size(type);
    zm_status status =
        zm_storage_buffer(loader->storage, target->layout.elements, type, &target->tensor.buffer);
    if (status == ZM_OK)
        status = zm_buffer_map(loader->stream, target->tensor.buffer, 0, bytes, &target->memory);
    if (status == ZM_OK)
        memset(target->memory, 0, bytes);
    return status;
}

/* Makes the target of the sources one below the other. */
static zm_status fill(zm_weight_loader *loader, const weight_source *sources, uint32_t count,
                      weight_target *target)
{
    zm_status status = check_size(loader, sources[0].tensor, target);
    if (status == ZM_OK)
        status = is_in_place(loader, sources, count, target)
                     ? wrap(loader, sources[0].tensor, target)
                     : make(loader, target);
    if (status != ZM_OK)
        return status;
    uint32_t first = 0;
    for (uint32_t i = 0; i < count && status == ZM_OK; i++) {
        status = store(loader, &sources[i], target, first);
        first += (uint32_t)sources[i].n;
    }
    if (!target->memory)
        return status;
    zm_status unmapped = zm_buffer_unmap(loader->stream, target->tensor.buffer, target->memory);
    return status != ZM_OK ? status : unmapped;
}

/* F16 stays where all of it is F16; anything else is float32, exactly. The plain C of the host
 * device works on its real type. */
static zm_dtype weight_type(const zm_weight_loader *loader, const weight_source *sources,
                            uint32_t count)
{
    const zm_device_info *info = zm_device_get_info(loader->storage->device);
    if (info->backend == ZM_BACKEND_HOST)
        return info->real_type;
    for (uint32_t i = 0; i < count; i++) {
        if (sources[i].tensor->dtype != ZM_F16)
            return ZM_F32;
    }
    return ZM_F16;
}

static zm_status load_matrix(zm_weight_loader *loader, const weight_source *sources, uint32_t count,
                             const zm_norm_fold *fold, zm_tensor *out)
{
    uint64_t n = sources[0].n * count, k = sources[0].k;
    if (n > UINT32_MAX || k > UINT32_MAX)
        return zm_fail(&loader->storage->log, ZM_ERROR_LIMIT, "%s: tensor %s is too large",
                       zm_model_get_info(loader->model)->path, sources[0].tensor->name);
    zm_dtype type = weight_type(loader, sources, count);
    weight_target target = {.tensor = zm_tensor_2d(NULL, type, (uint32_t)n, (uint32_t)k),
                            .fold = fold};
    zm_status status = zm_weight_layout_get(loader->storage->device, (uint32_t)n, (uint32_t)k, type,
                                            &target.layout);
    if (status != ZM_OK)
        return status;
    target.tensor.panel = target.layout.panel;
    status = fill(loader, sources, count, &target);
    if (status == ZM_OK)
        *out = target.tensor;
    return status;
}

/* Rows of the real type. */
static zm_status load_plain(zm_weight_loader *loader, const weight_source *source, zm_tensor *out)
{
    zm_dtype type = loader->storage->real_type;
    weight_target target = {.tensor =
                                zm_tensor_2d(NULL, type, (uint32_t)source->n, (uint32_t)source->k),
                            .layout = {.elements = source->n * source->k}};
    zm_status status = fill(loader, source, 1, &target);
    if (status == ZM_OK)
        *out = target.tensor;
    return status;
}

/* ---- vectors ---- */

/* Adds NAME + suffix [n] to the values; each of its elements is one of the real type. */
static zm_status vector_add(zm_weight_loader *loader, const char *name, const char *suffix,
                            uint64_t n, double *values)
{
    weight_source source = {find(loader, name, suffix), n, 1, 1};
    zm_status status = check_source(loader, name, suffix, &source);
    if (status != ZM_OK)
        return status;
    double largest = loader->storage->real_type == ZM_F64 ? DBL_MAX : (double)FLT_MAX;
    uint64_t block = PIECE_BYTES / sizeof(double);
    for (uint64_t i = 0; i < n; i += block) {
        uint64_t count = n - i < block ? n - i : block;
        const double *piece = fetch(loader, &source, i, count, ZM_F64);
        for (uint64_t j = 0; j < count; j++) {
            if (!(fabs(piece[j]) <= largest))
                return fail_not_finite(loader, source.tensor);
            values[i + j] += piece[j];
        }
    }
    zm_model_drop_pages(loader->model, source.tensor);
    return advance(loader, source.tensor, n);
}

/* Rounds to the real type, once. */
static zm_status vector_put(zm_weight_loader *loader, const double *values, uint32_t n,
                            zm_tensor *out)
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

static zm_status load_vector(zm_weight_loader *loader, const char *name, const char *suffix,
                             uint32_t d, zm_tensor *out)
{
    double *values = zm_calloc(d, sizeof(*values));
    if (!values)
        return out_of_memory(loader);
    zm_status status = vector_add(loader, name, suffix, d, values);
    if (status == ZM_OK)
        status = vector_put(loader, values, d, out);
    free(values);
    return status;
}

/* ---- linears ---- */

/* NAME.bias of each part, one behind the other, is added to the values. */
static zm_status add_biases(zm_weight_loader *loader, const zm_linear_source *source,
                            double *values, bool *present)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < source->count && status == ZM_OK; i++) {
        if (!find(loader, source->names[i], ".bias"))
            continue;
        status = vector_add(loader, source->names[i], ".bias", source->n,
                            values + (size_t)i * source->n);
        *present = true;
    }
    return status;
}

static void fold_free(zm_norm_fold *fold)
{
    free(fold->gamma);
    free(fold->beta);
    free(fold->bias);
    free(fold->sums);
}

/* Where no norm is read, there is nothing yet in the bias and nothing will be. */
static zm_status fold_make(zm_weight_loader *loader, const zm_linear_source *source,
                           zm_norm_fold *out)
{
    size_t n = (size_t)source->count * source->n;
    out->layer = loader->column_sums;
    out->gamma = zm_calloc(source->k, sizeof(double));
    out->beta = zm_calloc(source->k, sizeof(double));
    out->bias = zm_calloc(n, sizeof(double));
    out->sums = zm_calloc(n, sizeof(double));
    if (!out->gamma || !out->beta || !out->bias || !out->sums)
        return out_of_memory(loader);
    if (!source->norm)
        return ZM_OK;
    zm_status status = vector_add(loader, source->norm, ".weight", source->k, out->gamma);
    if (status == ZM_OK)
        status = vector_add(loader, source->norm, ".bias", source->k, out->beta);
    return status;
}

static zm_status load_weights(zm_weight_loader *loader, const zm_linear_source *source,
                              const zm_norm_fold *fold, zm_tensor *out)
{
    weight_source sources[MAX_PARTS];
    for (uint32_t i = 0; i < source->count; i++) {
        sources[i] =
            (weight_source){find(loader, source->names[i], ".weight"), source->n, source->k, 1};
        zm_status status = check_source(loader, source->names[i], ".weight", &sources[i]);
        if (status != ZM_OK)
            return status;
    }
    return load_matrix(loader, sources, source->count, fold, out);
}

zm_status zm_load_linear(zm_weight_loader *loader, const zm_linear_source *source, zm_linear *out,
                         zm_norm_weights *norm)
{
    if (source->count == 0 || source->count > MAX_PARTS)
        return ZM_ERROR_INVALID_ARGUMENT;
    uint32_t n = source->count * source->n;
    bool biased = source->norm != NULL;
    zm_norm_fold fold = {0};
    zm_status status = fold_make(loader, source, &fold);
    if (status == ZM_OK)
        status = load_weights(loader, source, biased ? &fold : NULL, &out->weight);
    if (status == ZM_OK)
        status = add_biases(loader, source, fold.bias, &biased);
    if (status == ZM_OK && biased)
        status = vector_put(loader, fold.bias, n, &out->bias);
    if (status == ZM_OK && source->norm && loader->column_sums)
        status = vector_put(loader, fold.sums, n, &out->column_sums);
    if (status == ZM_OK && source->norm)
        status = vector_put(loader, fold.gamma, source->k, &norm->weight);
    fold_free(&fold);
    return status;
}

zm_status zm_load_conv1d(zm_weight_loader *loader, const char *name, uint32_t n, uint32_t channels,
                         uint32_t kernel, zm_linear *out)
{
    weight_source weight = {find(loader, name, ".weight"), n, (uint64_t)channels * kernel, kernel};
    zm_status status = check_source(loader, name, ".weight", &weight);
    if (status == ZM_OK)
        status = load_matrix(loader, &weight, 1, NULL, &out->weight);
    if (status == ZM_OK && find(loader, name, ".bias"))
        status = load_vector(loader, name, ".bias", n, &out->bias);
    return status;
}

/* ---- others ---- */

zm_status zm_load_norm(zm_weight_loader *loader, const char *name, uint32_t d, zm_norm_weights *out)
{
    zm_status status = load_vector(loader, name, ".weight", d, &out->weight);
    if (status == ZM_OK)
        status = load_vector(loader, name, ".bias", d, &out->bias);
    return status;
}

zm_status zm_load_rows(zm_weight_loader *loader, const char *name, uint32_t rows, uint32_t cols,
                       zm_tensor *out)
{
    weight_source table = {find(loader, name, ""), rows, cols, 1};
    zm_status status = check_source(loader, name, "", &table);
    return status == ZM_OK ? load_plain(loader, &table, out) : status;
}

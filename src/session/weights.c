/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weights.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/half.h"
#include "model/pages.h"

/* Bytes of a piece: small enough to stay in a cache, large enough to matter. */
#define PIECE_BYTES (UINT64_C(1) << 20)
#define MAX_PARTS 3
#define MAX_NAME 192

/* A tensor of the file on its way into rows of a weight. */
typedef struct weight_source {
    const zm_model_tensor *tensor; /* NULL: zeros */
    uint64_t n, k;
    uint32_t kernel; /* > 1: [k / kernel][kernel] becomes [kernel][k / kernel] in each row */
} weight_source;

/* A weight in the device's memory while it is filled. */
typedef struct weight_target {
    zm_tensor tensor;
    zm_weight_layout layout;
    void *memory;
} weight_target;

zm_status zm_weight_loader_init(zm_weight_loader *loader)
{
    loader->done = 0;
    loader->prefix[0] = '\0';
    loader->raw = malloc(PIECE_BYTES);
    loader->real = malloc(PIECE_BYTES);
    if (loader->raw && loader->real)
        return ZM_OK;
    zm_weight_loader_finish(loader);
    return zm_fail(&loader->storage->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
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

static bool report(const zm_weight_loader *loader)
{
    return !loader->progress ||
           loader->progress(loader->progress_user, "loading weights", loader->done,
                            zm_model_get_info(loader->model)->bytes);
}

static zm_status store(zm_weight_loader *loader, const weight_source *source,
                       const weight_target *target, uint32_t first)
{
    const zm_model_tensor *tensor = source->tensor;
    const zm_log *log = &loader->storage->log;
    const char *path = zm_model_get_info(loader->model)->path;
    zm_dtype type = target->tensor.dtype;
    uint64_t size = zm_dtype_size(tensor->dtype), widest = zm_dtype_size(type);
    uint64_t row_bytes = source->k * (widest > size ? widest : size);
    if (row_bytes > PIECE_BYTES)
        return zm_fail(log, ZM_ERROR_LIMIT, "%s: the rows of tensor %s are too long", path,
                       tensor->name);
    uint64_t block = PIECE_BYTES / row_bytes;
    for (uint64_t row = 0; row < source->n; row += block) {
        uint64_t rows = source->n - row < block ? source->n - row : block;
        const void *values = fetch(loader, source, row, rows, type);
        if (!all_finite(values, type, rows * source->k))
            return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                           "%s: tensor %s holds NaN or infinity; convert or fetch it again", path,
                           tensor->name);
        zm_status status = zm_weight_pack(target->memory, type, &target->layout,
                                          target->tensor.shape[0], first + (uint32_t)row, values,
                                          type, (uint32_t)rows, (uint32_t)source->k);
        if (status != ZM_OK)
            return status;
        loader->done += loader->again ? 0 : rows * source->k * size;
        if (!report(loader))
            return ZM_ERROR_CANCELLED;
    }
    zm_model_drop_pages(loader->model, tensor);
    return ZM_OK;
}

/* Makes the target's buffer and fills it with the sources one below the other. */
static zm_status fill(zm_weight_loader *loader, const weight_source *sources, uint32_t count,
                      weight_target *target)
{
    zm_buffer *buffer;
    zm_dtype type = target->tensor.dtype;
    zm_status status = zm_storage_buffer(loader->storage, target->layout.elements, type, &buffer);
    if (status != ZM_OK)
        return status;
    uint64_t bytes = target->layout.elements * zm_dtype_size(type);
    status = zm_buffer_map(loader->stream, buffer, 0, bytes, &target->memory);
    if (status != ZM_OK)
        return status;
    memset(target->memory, 0, bytes);
    uint32_t first = 0;
    for (uint32_t i = 0; i < count && status == ZM_OK; i++) {
        if (sources[i].tensor)
            status = store(loader, &sources[i], target, first);
        first += (uint32_t)sources[i].n;
    }
    zm_status unmapped = zm_buffer_unmap(loader->stream, buffer, target->memory);
    target->tensor.buffer = buffer;
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
                             zm_tensor *out)
{
    uint64_t n = sources[0].n * count, k = sources[0].k;
    if (n > UINT32_MAX || k > UINT32_MAX)
        return zm_fail(&loader->storage->log, ZM_ERROR_LIMIT, "%s: tensor %s is too large",
                       zm_model_get_info(loader->model)->path, sources[0].tensor->name);
    zm_dtype type = weight_type(loader, sources, count);
    weight_target target = {.tensor = zm_tensor_2d(NULL, type, (uint32_t)n, (uint32_t)k)};
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

/* Rows of the real type: a matrix with one row per source row, or a vector. */
static zm_status load_plain(zm_weight_loader *loader, const weight_source *sources, uint32_t count,
                            zm_tensor *out)
{
    uint64_t n = sources[0].n * count, k = sources[0].k;
    zm_dtype type = loader->storage->real_type;
    weight_target target = {.tensor = zm_tensor_2d(NULL, type, (uint32_t)n, (uint32_t)k),
                            .layout = {.elements = n * k}};
    zm_status status = fill(loader, sources, count, &target);
    if (status == ZM_OK)
        *out = target.tensor;
    return status;
}

/* NAME.bias of each part, one behind the other; parts without one are zeros. */
static zm_status load_bias(zm_weight_loader *loader, const char *const *names, uint32_t count,
                           uint32_t n, zm_tensor *out)
{
    weight_source sources[MAX_PARTS];
    uint32_t present = 0;
    for (uint32_t i = 0; i < count; i++) {
        sources[i] = (weight_source){find(loader, names[i], ".bias"), n, 1, 1};
        if (!sources[i].tensor)
            continue;
        zm_status status = check_source(loader, names[i], ".bias", &sources[i]);
        if (status != ZM_OK)
            return status;
        present++;
    }
    *out = (zm_tensor){0};
    if (present == 0)
        return ZM_OK;
    zm_status status = load_plain(loader, sources, count, out);
    if (status == ZM_OK)
        *out = zm_tensor_1d(out->buffer, out->dtype, count * n);
    return status;
}

zm_status zm_load_linear(zm_weight_loader *loader, const char *const *names, uint32_t count,
                         uint32_t n, uint32_t k, zm_linear *out)
{
    weight_source sources[MAX_PARTS];
    if (count == 0 || count > MAX_PARTS)
        return ZM_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < count; i++) {
        sources[i] = (weight_source){find(loader, names[i], ".weight"), n, k, 1};
        zm_status status = check_source(loader, names[i], ".weight", &sources[i]);
        if (status != ZM_OK)
            return status;
    }
    zm_status status = load_matrix(loader, sources, count, &out->weight);
    if (status == ZM_OK)
        status = load_bias(loader, names, count, n, &out->bias);
    return status;
}

zm_status zm_load_conv1d(zm_weight_loader *loader, const char *name, uint32_t n, uint32_t channels,
                         uint32_t kernel, zm_linear *out)
{
    weight_source weight = {find(loader, name, ".weight"), n, (uint64_t)channels * kernel, kernel};
    zm_status status = check_source(loader, name, ".weight", &weight);
    if (status == ZM_OK)
        status = load_matrix(loader, &weight, 1, &out->weight);
    if (status == ZM_OK)
        status = load_bias(loader, &name, 1, n, &out->bias);
    return status;
}

static zm_status load_vector(zm_weight_loader *loader, const char *name, const char *suffix,
                             uint32_t d, zm_tensor *out)
{
    weight_source vector = {find(loader, name, suffix), d, 1, 1};
    zm_status status = check_source(loader, name, suffix, &vector);
    if (status == ZM_OK)
        status = load_plain(loader, &vector, 1, out);
    if (status == ZM_OK)
        *out = zm_tensor_1d(out->buffer, out->dtype, d);
    return status;
}

zm_status zm_load_norm(zm_weight_loader *loader, const char *name, uint32_t d, zm_norm_weights *out)
{
    zm_status status = load_vector(loader, name, ".weight", d, &out->weight);
    if (status == ZM_OK)
        status = load_vector(loader, name, ".bias", d, &out->bias);
    return status;
}

zm_status zm_load_table(zm_weight_loader *loader, const char *name, uint32_t n, uint32_t k,
                        zm_tensor *out)
{
    weight_source table = {find(loader, name, ""), n, k, 1};
    zm_status status = check_source(loader, name, "", &table);
    return status == ZM_OK ? load_matrix(loader, &table, 1, out) : status;
}

zm_status zm_load_rows(zm_weight_loader *loader, const char *name, uint32_t rows, uint32_t cols,
                       zm_tensor *out)
{
    weight_source table = {find(loader, name, ""), rows, cols, 1};
    zm_status status = check_source(loader, name, "", &table);
    return status == ZM_OK ? load_plain(loader, &table, 1, out) : status;
}

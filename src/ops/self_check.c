/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/self_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/half.h"

/* Relative L2 error of one result. float32 sums of a few hundred products are well under it; where
 * results are stored in less, a few of them are rounded to the other neighbour. */
static double tolerance(zm_dtype type)
{
    return type == ZM_F16 ? 2e-4 : type == ZM_BF16 ? 1e-3 : 2e-5;
}
#define NAN_BITS 0x7fff7fffu /* in every type */
#define SEED UINT64_C(0x5eed)

/* ---- samples ---- */

/* SplitMix64 (Steele et al. 2014). */
static float next_value(zm_sample *s)
{
    uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (float)((z ^ z >> 31) >> 40) * (2.0f / 16777216.0f) - 1.0f;
}

static float *random_values(zm_sample *s, size_t count)
{
    float *values = s->status == ZM_OK ? zm_calloc(count, sizeof(float)) : NULL;
    if (!values && s->status == ZM_OK)
        s->status = ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; values && i < count; i++)
        values[i] = next_value(s);
    return values;
}

zm_buffer *zm_sample_buffer(zm_sample *s, uint64_t size)
{
    const zm_buffer_params params = {.size = size};
    if (s->status != ZM_OK)
        return NULL;
    zm_buffer **buffer = &s->buffers[s->buffer_count];
    s->status = zm_buffer_create(s->device, &params, buffer);
    s->buffer_count += s->status == ZM_OK;
    return *buffer;
}

static zm_buffer *filled_buffer(zm_sample *s, const void *bytes, uint64_t size)
{
    zm_buffer *buffer = zm_sample_buffer(s, size);
    if (s->status == ZM_OK)
        s->status = zm_buffer_write(s->stream, buffer, 0, bytes, size);
    return buffer;
}

/* Of whole words. */
static uint64_t bytes_of(zm_dtype type, size_t count)
{
    return (count * zm_dtype_size(type) + 3) / 4 * 4;
}

static zm_tensor random_tensor(zm_sample *s, zm_dtype type, uint32_t rows, uint32_t cols)
{
    size_t count = (size_t)rows * cols;
    float *values = random_values(s, count);
    void *bytes = values ? zm_calloc(1, bytes_of(type, count)) : NULL;
    if (values && !bytes)
        s->status = ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; bytes && i < count; i++)
        zm_store_real(bytes, type, i, values[i]);
    zm_buffer *buffer = filled_buffer(s, bytes, bytes_of(type, count));
    free(values);
    free(bytes);
    return zm_tensor_2d(buffer, type, rows, cols);
}

zm_tensor zm_sample_random(zm_sample *s, uint32_t rows, uint32_t cols)
{
    return random_tensor(s, s->type, rows, cols);
}

zm_tensor zm_sample_reals(zm_sample *s, uint32_t rows, uint32_t cols)
{
    return random_tensor(s, ZM_F32, rows, cols);
}

zm_tensor zm_sample_vector(zm_sample *s, uint32_t n)
{
    return zm_tensor_1d(zm_sample_reals(s, 1, n).buffer, ZM_F32, n);
}

static zm_tensor result_of(zm_sample *s, zm_dtype type, uint32_t rows, uint32_t cols)
{
    uint64_t size = bytes_of(type, (size_t)rows * cols);
    zm_buffer *buffer = zm_sample_buffer(s, size);
    if (s->status == ZM_OK)
        s->status = zm_buffer_fill(s->stream, buffer, 0, size, NAN_BITS);
    s->result = zm_tensor_2d(buffer, type, rows, cols);
    return s->result;
}

zm_tensor zm_sample_result(zm_sample *s, uint32_t rows, uint32_t cols)
{
    return result_of(s, s->type, rows, cols);
}

zm_tensor zm_sample_statistics(zm_sample *s, uint32_t rows, uint32_t cols)
{
    return result_of(s, ZM_F32, rows, cols);
}

zm_tensor zm_sample_places(zm_sample *s, uint32_t rows, uint32_t cols)
{
    zm_tensor places = result_of(s, ZM_I32, rows, cols);
    return rows > 1 ? places : zm_tensor_1d(places.buffer, ZM_I32, cols);
}

zm_tensor zm_sample_indices(zm_sample *s, uint32_t n, uint32_t least, uint32_t most)
{
    int32_t *values = s->status == ZM_OK ? zm_calloc(n, sizeof(*values)) : NULL;
    if (!values && s->status == ZM_OK)
        s->status = ZM_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; values && i < n; i++) {
        float part = (next_value(s) + 1) / 2;
        values[i] = (int32_t)least + (int32_t)(part * (float)(most - least));
    }
    zm_buffer *buffer = filled_buffer(s, values, n * sizeof(*values));
    free(values);
    return zm_tensor_1d(buffer, ZM_I32, n);
}

zm_tensor zm_sample_weight(zm_sample *s, uint32_t n, uint32_t k, zm_dtype dtype)
{
    zm_weight_layout layout = {0};
    zm_tensor weight = zm_tensor_2d(NULL, dtype, n, k);
    float *values = random_values(s, (size_t)n * k);
    if (s->status == ZM_OK)
        s->status = zm_weight_layout_get(s->device, n, k, dtype, &layout);
    uint64_t size = layout.elements * zm_dtype_size(dtype);
    void *packed =
        s->status == ZM_OK ? zm_calloc((size_t)layout.elements, zm_dtype_size(dtype)) : NULL;
    if (s->status == ZM_OK)
        s->status = packed ? zm_weight_pack(packed, dtype, &layout, n, 0, values, ZM_F32, n, k)
                           : ZM_ERROR_OUT_OF_MEMORY;
    weight.buffer = filled_buffer(s, packed, size);
    weight.panel = layout.panel;
    free(values);
    free(packed);
    return weight;
}

void zm_sample_called(zm_sample *s, zm_status status)
{
    if (s->status == ZM_OK)
        s->status = status;
}

/* ---- both sides ---- */

static void sample_finish(zm_sample *s)
{
    for (size_t i = 0; i < s->buffer_count; i++)
        zm_buffer_destroy(&s->buffers[i]);
    s->buffer_count = 0;
}

/* What was read, as doubles. */
typedef struct outcome {
    zm_dtype type;
    size_t count;
    double *values;
} outcome;

static void widen(const void *bytes, outcome *out)
{
    for (size_t i = 0; i < out->count; i++)
        out->values[i] =
            out->type == ZM_I32 ? ((const int32_t *)bytes)[i] : zm_load_real(bytes, out->type, i);
}

/* Runs the sample and reads its result; free out->values. */
static zm_status sample_run(zm_device *device, zm_stream *stream, const zm_sample_op *op,
                            size_t variant, outcome *out)
{
    zm_sample s = {.device = device, .stream = stream, .random = SEED + variant, .type = ZM_F32};
    op->run(&s, variant);
    *out =
        (outcome){.type = s.result.dtype, .count = (size_t)s.result.shape[0] * s.result.shape[1]};
    uint64_t size = bytes_of(out->type, out->count);
    void *bytes = s.status == ZM_OK ? zm_calloc(1, size) : NULL;
    out->values = s.status == ZM_OK ? zm_calloc(out->count, sizeof(double)) : NULL;
    if (s.status == ZM_OK && (!bytes || !out->values))
        s.status = ZM_ERROR_OUT_OF_MEMORY;
    if (s.status == ZM_OK)
        s.status = zm_buffer_read(stream, s.result.buffer, 0, bytes, size);
    zm_status waited = zm_stream_wait(stream);
    if (s.status == ZM_OK && waited == ZM_OK)
        widen(bytes, out);
    sample_finish(&s);
    free(bytes);
    return s.status ? s.status : waited;
}

static double relative_error(const outcome *got, const outcome *expected)
{
    double difference = 0, magnitude = 0;
    for (size_t i = 0; i < got->count; i++) {
        double d = got->values[i] - expected->values[i];
        difference += d * d;
        magnitude += expected->values[i] * expected->values[i];
    }
    return sqrt(difference / magnitude);
}

/* Both devices, and what the library last said about the one that is checked. */
typedef struct bench {
    zm_device *device, *host;
    zm_stream *stream, *host_stream;
    zm_check_limit limit;
    char message[128];
    size_t ran;
} bench;

static void keep_message(void *user, zm_log_level level, const char *message)
{
    bench *b = user;
    if (level == ZM_LOG_ERROR)
        snprintf(b->message, sizeof(b->message), "%s", message);
}

/* What a driver does with a kernel that it can't run. */
static bool is_the_kernels_fault(zm_status status)
{
    return status == ZM_ERROR_DEVICE || status == ZM_ERROR_LIMIT;
}

static zm_status check_variant(bench *b, const zm_sample_op *op, const char *kernel, size_t variant,
                               zm_refusal *why)
{
    outcome got = {.count = 0}, expected = {.count = 0};
    if (b->limit.go_on && !b->limit.go_on(b->limit.user))
        return ZM_ERROR_CANCELLED;
    zm_status status = sample_run(b->device, b->stream, op, variant, &got);
    if (status == ZM_ERROR_UNSUPPORTED) /* not for this candidate */
        return ZM_OK;
    if (is_the_kernels_fault(status))
        status = zm_refuse(why, ZM_ERROR_MISMATCH, "%s %s: %.100s", op->op, kernel, b->message);
    if (status == ZM_OK)
        status = sample_run(b->host, b->host_stream, op, variant, &expected);
    if (status == ZM_OK) {
        double error = relative_error(&got, &expected);
        b->ran++;
        if (!(error <= tolerance(got.type)))
            status = zm_refuse(why, ZM_ERROR_MISMATCH, "%s %s, case %zu: relative error %.2g",
                               op->op, kernel, variant, error);
    }
    free(got.values);
    free(expected.values);
    return status;
}

static zm_status check_op(bench *b, const zm_sample_op *sample, zm_kernel_family family,
                          size_t first, size_t end, zm_refusal *why)
{
    const zm_op *op = zm_op_find(sample->op);
    zm_status status = ZM_OK;
    for (size_t i = 0; op && i < op->candidate_count && status == ZM_OK; i++) {
        const zm_candidate *candidate = &op->candidates[i];
        if (candidate->family != family)
            continue;
        status = zm_device_force_kernel(b->device, sample->op, candidate->name);
        for (size_t j = first; j < end && status == ZM_OK; j++)
            status = check_variant(b, sample, candidate->name, j, why);
    }
    return status == ZM_OK ? zm_device_force_kernel(b->device, sample->op, NULL) : status;
}

static zm_status bench_open(bench *b, const zm_device *device)
{
    const zm_log log = {keep_message, b, ZM_LOG_ERROR};
    const zm_device_params params = {
        .spec = device->info.spec, .log = &log, .cache_dir = device->cache_dir};
    const zm_device_params host = {.spec = "host"};
    zm_status status = zm_device_open(&params, &b->device);
    if (status == ZM_OK)
        status = zm_device_set_shader_dir(b->device, device->shader_dir);
    if (status == ZM_OK)
        status = zm_stream_create(b->device, NULL, &b->stream);
    if (status == ZM_OK)
        status = zm_device_open(&host, &b->host);
    return status == ZM_OK ? zm_stream_create(b->host, NULL, &b->host_stream) : status;
}

static void bench_close(bench *b)
{
    zm_stream_destroy(&b->stream);
    zm_stream_destroy(&b->host_stream);
    zm_device_close(&b->device);
    zm_device_close(&b->host);
}

static zm_status check_ops(bench *b, const char *op, zm_kernel_family family, zm_refusal *why)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < zm_sample_op_count && status == ZM_OK; i++)
        if (strcmp(zm_sample_ops[i].tuned_as, op) == 0)
            status = check_op(b, &zm_sample_ops[i], family, 0, zm_sample_ops[i].variants, why);
    return status;
}

/* With no tile but this one. */
static zm_status check_tile(bench *b, const zm_tunings *tunings, size_t tile, zm_refusal *why)
{
    zm_tunings alone = *tunings;
    for (size_t i = 0; i < ZM_MAX_GPU_TILES; i++)
        if (i != tile)
            alone.gpu_matmul.tiles[i].efficiency = 0;
    zm_status status = zm_tunings_set(b->device, &alone);
    for (size_t i = 0; i < zm_sample_op_count && status == ZM_OK; i++) {
        const zm_sample_op *sample = &zm_sample_ops[i];
        if (strcmp(sample->tuned_as, "matmul") == 0)
            status = check_op(b, sample, ZM_FAMILY_GPU, sample->large, sample->large + 1, why);
    }
    return status;
}

/* Which tile runs is a matter of shapes: those that are not built in are checked one by one. */
static zm_status check_new_tiles(bench *b, const zm_tunings *tunings, zm_refusal *why)
{
    const zm_gpu_tile_tuning *known = zm_gpu_tile_tuning_default();
    zm_status status = ZM_OK;
    for (size_t i = 0; i < ZM_MAX_GPU_TILES && status == ZM_OK; i++) {
        const zm_gpu_tile *tile = &tunings->gpu_matmul.tiles[i];
        bool is_new = !known->tiles[i].efficiency || !zm_gpu_tile_same(&known->tiles[i], tile);
        if (tile->efficiency && is_new)
            status = check_tile(b, tunings, i, why);
    }
    return status;
}

/* From now on small calls are cut as large ones are. */
static zm_status cut_as_large(bench *b, const zm_tunings *tunings)
{
    zm_tunings large = *tunings;
    large.gpu_matmul.matvec_groups = 1;
    b->device->info.limits.compute_units = 1;
    return zm_tunings_set(b->device, &large);
}

zm_status zm_self_check(const zm_device *device, const char *op, zm_kernel_family family,
                        const zm_tunings *tunings, const zm_check_limit *limit, zm_refusal *why)
{
    bench b = {.limit = limit ? *limit : (zm_check_limit){NULL, NULL}};
    zm_status status = bench_open(&b, device);
    if (status == ZM_OK && family == ZM_FAMILY_GPU && strcmp(op, "matmul") == 0)
        status = check_new_tiles(&b, tunings, why);
    if (status == ZM_OK)
        status = zm_tunings_set(b.device, tunings);
    if (status == ZM_OK)
        status = check_ops(&b, op, family, why);
    if (status == ZM_OK)
        status = cut_as_large(&b, tunings);
    if (status == ZM_OK)
        status = check_ops(&b, op, family, why);
    if (status == ZM_OK && b.ran == 0)
        status = zm_refuse(why, ZM_ERROR_UNSUPPORTED, "no kernel of %s could be checked", op);
    else if (status != ZM_OK && status != ZM_ERROR_MISMATCH)
        zm_refuse(why, status, "%.120s", b.message[0] ? b.message : zm_status_message(status));
    bench_close(&b);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ceiling.h"

#include <stdio.h>
#include <string.h>

#include "shaders/bench/bench_args.h"

#define UNROLL 8               /* shaders/bench/fma_chains.cl */
#define LEAST_BYTES (4u << 20) /* of a launch, so that what a launch costs doesn't count */

/* How a kind of device is filled: work-items of a group, and groups per compute unit. */
typedef struct filling {
    uint32_t group, fma_groups, stream_groups, rounds, stream_width;
} filling;

static const filling cpu_filling = {1, 4, 4, 20000, 0};
static const filling gpu_filling = {256, 16, 32, 2000, 4};

static bool is_cpu(const zm_device_info *info)
{
    return info->type == ZM_DEVICE_CPU;
}

static uint32_t native_width(const zm_device_info *info)
{
    uint32_t width = 1;
    while (width < 16 && width * 2 <= info->limits.float_vector_width)
        width *= 2;
    return width;
}

static filling filling_of(const zm_device_info *info)
{
    filling f = is_cpu(info) ? cpu_filling : gpu_filling;
    if (f.stream_width == 0)
        f.stream_width = native_width(info);
    while (f.group > info->limits.max_work_group)
        f.group /= 2;
    return f;
}

size_t ceiling_fma_list(const zm_device_info *info, ceiling_fma out[CEILING_MAX_FMA])
{
    static const uint32_t cpu_chains[] = {8, 10, 12, 16};
    static const ceiling_fma gpu[] = {{1, 8}, {1, 16}, {4, 4}, {4, 8}};
    size_t count = 0;
    for (size_t i = 0; i < 4; i++)
        out[count++] = is_cpu(info) ? (ceiling_fma){native_width(info), cpu_chains[i]} : gpu[i];
    return count;
}

/* What a kernel of shaders/bench is compiled with. */
typedef struct recipe {
    const char *name;
    uint32_t width, chains; /* chains 0: it has none */
    uint32_t buffers, args_size;
} recipe;

static zm_status try_kernel(zm_device *device, const recipe *r, uint32_t group, ceiling *out)
{
    char options[96];
    int used = snprintf(options, sizeof(options), "-DWIDTH=%u -DGROUP=%u", r->width, group);
    if (r->chains)
        snprintf(options + used, sizeof(options) - (size_t)used, " -DCHAINS=%u -DUNROLL=%d",
                 r->chains, UNROLL);
    const zm_kernel_desc desc = {
        .name = r->name,
        .family = ZM_FAMILY_BENCH,
        .options = options,
        .local = {group, 1, 1},
        .buffer_count = r->buffers,
        .args_size = r->args_size,
    };
    return zm_kernel_get(device, &desc, &out->dispatch.kernel);
}

/* A kernel's own limit can be under the device's: then with smaller work-groups. */
static zm_status get_kernel(zm_device *device, const recipe *r, uint32_t *group, ceiling *out)
{
    if (device->info.backend == ZM_BACKEND_HOST)
        return zm_fail(&device->log, ZM_ERROR_UNSUPPORTED,
                       "the host device runs no kernels that could show a ceiling");
    zm_status status = try_kernel(device, r, *group, out);
    while (status == ZM_ERROR_LIMIT && *group > 1) {
        *group /= 2;
        status = try_kernel(device, r, *group, out);
    }
    return status;
}

static zm_status get_buffer(zm_device *device, uint64_t size, size_t index, ceiling *out)
{
    const zm_buffer_params params = {.size = size};
    zm_status status = zm_buffer_create(device, &params, &out->buffers[index]);
    out->dispatch.buffers[index] = out->buffers[index];
    return status;
}

static void set_groups(ceiling *out, uint32_t groups)
{
    out->dispatch.groups[0] = groups;
    out->dispatch.groups[1] = out->dispatch.groups[2] = 1;
}

static uint32_t units_of(const zm_device *device)
{
    uint32_t units = device->info.limits.compute_units;
    return units ? units : 1;
}

zm_status ceiling_fma_create(zm_device *device, uint32_t width, uint32_t chains, ceiling *out)
{
    filling f = filling_of(&device->info);
    uint32_t groups = units_of(device) * f.fma_groups;
    const struct zm_bench_fma_args args = {f.rounds, 0.5f, 1.0f};
    const recipe r = {"fma_chains", width, chains, 1, sizeof(args)};
    *out = (ceiling){.kind = CEILING_FMA, .width = width, .chains = chains};
    zm_status status = get_kernel(device, &r, &f.group, out);
    uint64_t items = (uint64_t)groups * f.group;
    if (status == ZM_OK)
        status = get_buffer(device, items * width * sizeof(float), 0, out);
    memcpy(out->dispatch.args.bytes, &args, sizeof(args));
    set_groups(out, groups);
    out->flops = 2.0 * chains * width * UNROLL * f.rounds * (double)items;
    return status;
}

/* Vectors of one buffer that the device can have. */
static uint32_t clamp_vectors(const zm_device *device, uint64_t vectors, uint64_t vector_bytes)
{
    uint64_t most = device->info.limits.max_buffer_bytes / vector_bytes;
    if (vectors > most)
        vectors = most;
    return vectors < 1 ? 1 : vectors > INT32_MAX ? INT32_MAX : (uint32_t)vectors;
}

zm_status ceiling_stream_create(zm_device *device, zm_stream *stream, ceiling_kind kind,
                                uint64_t bytes, ceiling *out)
{
    filling f = filling_of(&device->info);
    bool copy = kind == CEILING_COPY;
    uint32_t groups = units_of(device) * f.stream_groups, buffers = copy ? 2 : 1;
    uint64_t vector = f.stream_width * sizeof(float);
    uint32_t vectors = clamp_vectors(device, bytes / buffers / vector, vector);
    uint64_t size = vectors * vector, moved = size * buffers;
    const struct zm_bench_stream_args args = {vectors, 1 + (uint32_t)(LEAST_BYTES / moved)};
    const recipe r = {copy ? "stream_copy" : "stream_read", f.stream_width, 0, 2, sizeof(args)};
    *out = (ceiling){.kind = kind, .width = f.stream_width};
    zm_status status = get_kernel(device, &r, &f.group, out);
    uint64_t sums = (uint64_t)groups * f.group * vector;
    if (status == ZM_OK)
        status = get_buffer(device, size, 0, out);
    if (status == ZM_OK)
        status = get_buffer(device, copy ? size : sums, 1, out);
    if (status == ZM_OK) /* pages that were never written may all be the same one */
        status = zm_buffer_fill(stream, out->buffers[0], 0, size, 0x3f800000);
    memcpy(out->dispatch.args.bytes, &args, sizeof(args));
    set_groups(out, groups);
    out->bytes = (double)moved * args.passes;
    return status;
}

zm_status ceiling_launch_create(zm_device *device, ceiling *out)
{
    const recipe r = {"nothing", 1, 0, 1, 0};
    uint32_t group = 1;
    *out = (ceiling){.kind = CEILING_LAUNCH};
    zm_status status = get_kernel(device, &r, &group, out);
    if (status == ZM_OK)
        status = get_buffer(device, sizeof(float), 0, out);
    set_groups(out, 1);
    return status;
}

void ceiling_finish(ceiling *c)
{
    zm_buffer_destroy(&c->buffers[0]);
    zm_buffer_destroy(&c->buffers[1]);
}

static zm_status enqueue(void *self, zm_stream *stream)
{
    const ceiling *c = self;
    return zm_device_dispatch(stream, &c->dispatch, NULL);
}

timed ceiling_timed(ceiling *c, double sample_seconds)
{
    return (timed){.enqueue = enqueue, .self = c, .sample_seconds = sample_seconds};
}

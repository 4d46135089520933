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

static zm_status get_kernel(zm_device *device, const char *name, const char *options,
                            uint32_t group, uint32_t buffers, uint32_t args_size, ceiling *out)
{
    const zm_kernel_desc desc = {
        .name = name,
        .family = ZM_FAMILY_BENCH,
        .options = options,
        .local = {group, 1, 1},
        .buffer_count = buffers,
        .args_size = args_size,
    };
    if (device->info.backend == ZM_BACKEND_HOST)
        return zm_fail(&device->log, ZM_ERROR_UNSUPPORTED,
                       "the host device runs no kernels that could show a ceiling");
    return zm_kernel_get(device, &desc, &out->dispatch.kernel);
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
    uint64_t items = (uint64_t)groups * f.group;
    const struct zm_bench_fma_args args = {f.rounds, 0.5f, 1.0f};
    char options[96];
    *out = (ceiling){.kind = CEILING_FMA, .width = width, .chains = chains};
    snprintf(options, sizeof(options), "-DWIDTH=%u -DCHAINS=%u -DUNROLL=%d -DGROUP=%u", width,
             chains, UNROLL, f.group);
    zm_status status = get_kernel(device, "fma_chains", options, f.group, 1, sizeof(args), out);
    if (status == ZM_OK)
        status = get_buffer(device, items * width * sizeof(float), 0, out);
    memcpy(out->dispatch.args.bytes, &args, sizeof(args));
    set_groups(out, groups);
    out->flops = 2.0 * chains * width * UNROLL * f.rounds * (double)items;
    return status;
}

zm_status ceiling_stream_create(zm_device *device, zm_stream *stream, ceiling_kind kind,
                                uint64_t bytes, ceiling *out)
{
    filling f = filling_of(&device->info);
    uint32_t groups = units_of(device) * f.stream_groups, buffers = kind == CEILING_COPY ? 2 : 1;
    uint64_t vector = f.stream_width * sizeof(float), least = (uint64_t)groups * f.group * vector;
    uint64_t vectors = bytes / buffers / vector, sums = least;
    char options[64];
    *out = (ceiling){.kind = kind, .width = f.stream_width};
    if (vectors > device->info.limits.max_buffer_bytes / vector)
        vectors = device->info.limits.max_buffer_bytes / vector;
    vectors = vectors < 1 ? 1 : vectors > INT32_MAX ? INT32_MAX : vectors;
    uint64_t moved = vectors * vector * buffers;
    const struct zm_bench_stream_args args = {(uint32_t)vectors,
                                              1 + (uint32_t)(LEAST_BYTES / moved)};
    snprintf(options, sizeof(options), "-DWIDTH=%u -DGROUP=%u", f.stream_width, f.group);
    zm_status status = get_kernel(device, kind == CEILING_COPY ? "stream_copy" : "stream_read",
                                  options, f.group, 2, sizeof(args), out);
    if (status == ZM_OK)
        status = get_buffer(device, vectors * vector, 0, out);
    if (status == ZM_OK)
        status = get_buffer(device, kind == CEILING_COPY ? vectors * vector : sums, 1, out);
    if (status == ZM_OK) /* pages that were never written may all be the same one */
        status = zm_buffer_fill(stream, out->buffers[0], 0, vectors * vector, 0x3f800000);
    memcpy(out->dispatch.args.bytes, &args, sizeof(args));
    set_groups(out, groups);
    out->bytes = (double)moved * args.passes;
    return status;
}

zm_status ceiling_launch_create(zm_device *device, ceiling *out)
{
    *out = (ceiling){.kind = CEILING_LAUNCH};
    zm_status status = get_kernel(device, "nothing", NULL, 1, 1, 0, out);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "support/scale.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support/folder.h"

#define GROUP_ITEMS 64u

static const char source[] = "#include \"scale.clh\"\n"
                             "__kernel void scale(__global const float *x, __global const float *y,"
                             " __global float *dst, struct scale_args a)\n"
                             "{\n"
                             "    for (uint i = 0; i < 64; i++) {\n"
                             "        uint k = get_group_id(0) * 64 + i;\n"
                             "        if (k < a.n)\n"
                             "            dst[k] = x[k] * a.factor * FACTOR + (y ? y[k] : 0.0f);\n"
                             "    }\n"
                             "}\n";
static const char header[] = "#ifndef FACTOR\n#define FACTOR 1.0f\n#endif\n"
                             "struct scale_args {\n    uint n;\n    float factor;\n};\n";
static const char broken[] = "__kernel void broken(__global float *x)\n"
                             "{\n    x[0] = no_such_thing;\n}\n";

static const char nameless[] = "__kernel void another(__global float *x)\n{\n    x[0] = 1.0f;\n}\n";

struct scale_args {
    uint32_t n;
    float factor;
};

static bool write_text(const char *folder, const char *name, const char *text)
{
    char path[320];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    bool written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

bool scale_folder_make(scale_folder *folder)
{
    folder->root = test_folder_make();
    if (!folder->root)
        return false;
    snprintf(folder->shaders, sizeof(folder->shaders), "%s/shaders", folder->root);
    snprintf(folder->cache, sizeof(folder->cache), "%s/cache/deep", folder->root);
    char cpu[256];
    snprintf(cpu, sizeof(cpu), "%s/cpu", folder->shaders);
    return mkdir(folder->shaders, 0700) == 0 && mkdir(cpu, 0700) == 0 &&
           write_text(cpu, "scale.cl", source) && write_text(cpu, "broken.cl", broken) &&
           write_text(cpu, "nameless.cl", nameless) &&
           write_text(folder->shaders, "scale.clh", header);
}

void scale_folder_remove(scale_folder *folder)
{
    test_folder_remove(folder->root);
    folder->root = NULL;
}

zm_status scale_open(const scale_folder *folder, const char *spec, bool cached, const zm_log *log,
                     zm_device **out)
{
    zm_device_params params = {
        .spec = spec, .log = log, .cache_dir = cached ? folder->cache : NULL};
    zm_device *device = NULL;
    zm_status status = zm_device_open(&params, &device);
    if (status == ZM_OK)
        status = zm_device_set_shader_dir(device, folder->shaders);
    if (status == ZM_OK)
        *out = device;
    else
        zm_device_close(&device);
    return status;
}

zm_status scale_kernel(zm_device *device, const char *options, const zm_kernel **out)
{
    zm_kernel_desc desc = {.name = "scale",
                           .family = ZM_FAMILY_CPU,
                           .options = options,
                           .buffer_count = 3,
                           .args_size = sizeof(struct scale_args)};
    return zm_kernel_get(device, &desc, out);
}

zm_status scale_run(zm_stream *stream, const zm_kernel *kernel, zm_buffer *x, zm_buffer *y,
                    zm_buffer *dst, float factor, zm_event *event)
{
    zm_dispatch dispatch = {.kernel = kernel,
                            .buffers = {x, y, dst},
                            .groups = {(SCALE_ITEMS + GROUP_ITEMS - 1) / GROUP_ITEMS, 1, 1}};
    struct scale_args args = {SCALE_ITEMS, factor};
    memcpy(dispatch.args.bytes, &args, sizeof(args));
    return zm_device_dispatch(stream, &dispatch, event);
}

typedef struct exercise {
    zm_buffer *x, *dst;
    zm_stream *stream;
    zm_event *event;
    const zm_kernel *kernel;
} exercise;

static zm_status prepare(zm_device *device, exercise *e)
{
    zm_buffer_params params = {.size = SCALE_ITEMS * sizeof(float)};
    zm_stream_params timed = {.timestamps = true};
    zm_status status = zm_buffer_create(device, &params, &e->x);
    if (status == ZM_OK)
        status = zm_buffer_create(device, &params, &e->dst);
    if (status == ZM_OK)
        status = zm_stream_create(device, &timed, &e->stream);
    if (status == ZM_OK)
        status = zm_event_create(device, &e->event);
    if (status == ZM_OK)
        status = scale_kernel(device, NULL, &e->kernel);
    return status;
}

static zm_status launch(exercise *e, float factor)
{
    float x[SCALE_ITEMS];
    for (uint32_t i = 0; i < SCALE_ITEMS; i++)
        x[i] = (float)i;
    zm_status status = zm_buffer_write(e->stream, e->x, 0, x, sizeof(x));
    if (status == ZM_OK)
        status = zm_buffer_fill(e->stream, e->dst, 0, sizeof(x), 0);
    if (status == ZM_OK)
        status = scale_run(e->stream, e->kernel, e->x, NULL, e->dst, factor, e->event);
    uint64_t start = 0, end = 0;
    if (status == ZM_OK)
        status = zm_event_times(e->event, &start, &end);
    if (status == ZM_OK)
        status = zm_event_mark(e->event, e->stream);
    if (status == ZM_OK)
        status = zm_buffer_copy(e->stream, e->x, 0, e->dst, 0, sizeof(x));
    return status;
}

static zm_status verify(exercise *e, float factor)
{
    float result[SCALE_ITEMS];
    void *mapped = NULL;
    bool right = true;
    zm_status status = zm_buffer_read(e->stream, e->dst, 0, result, sizeof(result));
    if (status == ZM_OK)
        status = zm_buffer_map(e->stream, e->x, 0, sizeof(result), &mapped);
    if (status == ZM_OK) {
        for (uint32_t i = 0; i < SCALE_ITEMS; i++)
            right &= result[i] == (float)i * factor;
        right &= memcmp(result, mapped, sizeof(result)) == 0;
        status = zm_buffer_unmap(e->stream, e->x, mapped);
    }
    if (status == ZM_OK)
        status = zm_stream_wait(e->stream);
    return status == ZM_OK && !right ? ZM_ERROR_MISMATCH : status;
}

zm_status scale_exercise(zm_device *device, float factor)
{
    exercise e = {0};
    zm_status status = prepare(device, &e);
    if (status == ZM_OK)
        status = launch(&e, factor);
    if (status == ZM_OK)
        status = verify(&e, factor);
    zm_event_destroy(&e.event);
    zm_stream_destroy(&e.stream);
    zm_buffer_destroy(&e.x);
    zm_buffer_destroy(&e.dst);
    return status;
}

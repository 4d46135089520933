/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the devices of all platforms and opens one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/compiler.h"
#include "opencl/opencl.h"

/* Of extensions and of later versions, so not in the headers of OpenCL 1.2. */
#define DEVICE_SUB_GROUP_SIZES_INTEL 0x4108
#define DEVICE_WAVEFRONT_WIDTH_AMD 0x4043
#define DEVICE_IL_VERSION 0x105b
#define DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE 0x1067
#define DEVICE_OPENCL_C_FEATURES 0x106f

/* cl_name_version */
typedef struct feature {
    cl_uint version;
    char name[64];
} feature;

#define MAX_PLATFORMS 32
#define MAX_DEVICES 64

/* What a walk over all devices calls; visit ends it with false. */
typedef struct walker {
    const zm_log *log;
    bool (*visit)(void *user, const zm_opencl_fns *cl, cl_platform_id platform, cl_device_id id,
                  const zm_device_info *info);
    void (*skip)(void *user, const char *reason); /* may be NULL */
    void *user;
    unsigned index; /* counts usable devices over all platforms */
} walker;

static const zm_device_fns opencl_fns;

/* ---- queries: 0 or "" where a driver does not answer ---- */

static void get(const zm_opencl_fns *cl, cl_device_id id, cl_device_info what, void *out,
                size_t size)
{
    unsigned char value[64] = {0};
    if (cl->clGetDeviceInfo(id, what, size, value, NULL) != CL_SUCCESS)
        memset(value, 0, sizeof(value));
    memcpy(out, value, size);
}

static cl_ulong get_ulong(const zm_opencl_fns *cl, cl_device_id id, cl_device_info what)
{
    cl_ulong value = 0;
    get(cl, id, what, &value, sizeof(value));
    return value;
}

static cl_uint get_uint(const zm_opencl_fns *cl, cl_device_id id, cl_device_info what)
{
    cl_uint value = 0;
    get(cl, id, what, &value, sizeof(value));
    return value;
}

static size_t get_size(const zm_opencl_fns *cl, cl_device_id id, cl_device_info what)
{
    size_t value = 0;
    get(cl, id, what, &value, sizeof(value));
    return value;
}

/* Cut to size, without the blanks that drivers pad names with. */
static void keep_text(char *out, size_t size, const char *text)
{
    text += strspn(text, " ");
    snprintf(out, size, "%s", text);
    for (size_t end = strlen(out); end > 0 && out[end - 1] == ' ';)
        out[--end] = '\0';
}

static void get_text(const zm_opencl_fns *cl, cl_device_id id, cl_device_info what, char *out,
                     size_t size)
{
    char text[512] = "";
    if (cl->clGetDeviceInfo(id, what, sizeof(text) - 1, text, NULL) != CL_SUCCESS)
        text[0] = '\0';
    keep_text(out, size, text);
}

static void get_platform_text(const zm_opencl_fns *cl, cl_platform_id platform,
                              cl_platform_info what, char *out, size_t size)
{
    char text[512] = "";
    if (cl->clGetPlatformInfo(platform, what, sizeof(text) - 1, text, NULL) != CL_SUCCESS)
        text[0] = '\0';
    keep_text(out, size, text);
}

/* The name and, in brackets, how the vendor calls this version of it. CL_PLATFORM_VERSION is
 * "OpenCL 3.0 PoCL 3.1+debian  Linux, LLVM ...": what matters ends at a comma or double blank. */
static void get_platform_title(const zm_opencl_fns *cl, cl_platform_id platform, char *out,
                               size_t size)
{
    char name[96], version[256], own[32];
    get_platform_text(cl, platform, CL_PLATFORM_NAME, name, sizeof(name));
    get_platform_text(cl, platform, CL_PLATFORM_VERSION, version, sizeof(version));
    int skip = 0;
    sscanf(version, "OpenCL %*d.%*d %n", &skip);
    char *end = strstr(version + skip, "  ");
    version[skip + (int)strcspn(version + skip, ",")] = '\0';
    if (end)
        *end = '\0';
    keep_text(own, sizeof(own), version + skip);
    const char *format = *own == '(' ? "%s %s" : "%s (%s)";
    snprintf(out, size, *own && skip ? format : "%s", name, own);
}

/* What is as long as the driver says, and a zero behind it. Free with free(); NULL = none. */
static char *get_block(const zm_opencl_fns *cl, cl_device_id id, cl_device_info what, size_t *size)
{
    *size = 0;
    if (cl->clGetDeviceInfo(id, what, 0, NULL, size) != CL_SUCCESS || *size == 0)
        return NULL;
    char *block = zm_calloc(*size + 1, 1);
    if (block && cl->clGetDeviceInfo(id, what, *size, block, NULL) == CL_SUCCESS)
        return block;
    free(block);
    return NULL;
}

static char *get_extensions(const zm_opencl_fns *cl, cl_device_id id)
{
    size_t size;
    return get_block(cl, id, CL_DEVICE_EXTENSIONS, &size);
}

/* Whole words only: cl_khr_fp16 is not in "cl_khr_fp16_x". */
static bool has_extension(const char *extensions, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = extensions; at && (at = strstr(at, name)); at += length)
        if ((at == extensions || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static bool has_feature(const zm_opencl_fns *cl, cl_device_id id, const char *name)
{
    size_t size;
    bool found = false;
    char *block = get_block(cl, id, DEVICE_OPENCL_C_FEATURES, &size);
    for (size_t at = 0; block && at + sizeof(feature) <= size; at += sizeof(feature))
        found |=
            strncmp(block + at + offsetof(feature, name), name, sizeof(((feature *)0)->name)) == 0;
    free(block);
    return found;
}

/* ---- one device ---- */

/* Major times 10 plus minor of what is written after the words; 0 = something else is there. */
static int get_version(const zm_opencl_fns *cl, cl_device_id id, cl_device_info what,
                       const char *words)
{
    char text[128];
    int major = 0, minor = 0;
    size_t length = strlen(words);
    get_text(cl, id, what, text, sizeof(text));
    if (strncmp(text, words, length) != 0 || sscanf(text + length, "%d.%d", &major, &minor) != 2)
        return 0;
    return major * 10 + minor;
}

/* OpenCL C has the functions from 2.0 on; a device of OpenCL 3.0 has the language of 3.0 whatever
 * older one it names. */
static const char *sub_group_language(const zm_opencl_fns *cl, cl_device_id id,
                                      const char *extensions)
{
    bool extension = has_extension(extensions, "cl_khr_subgroups");
    if (get_version(cl, id, CL_DEVICE_VERSION, "OpenCL ") >= 30)
        return extension || has_feature(cl, id, "__opencl_c_subgroups") ? "CL3.0" : NULL;
    return extension && get_version(cl, id, CL_DEVICE_OPENCL_C_VERSION, "OpenCL C ") >= 20 ? "CL2.0"
                                                                                           : NULL;
}

static uint32_t sub_group_size(const zm_opencl_fns *cl, cl_device_id id, const char *extensions)
{
    size_t sizes[8] = {0};
    if (!sub_group_language(cl, id, extensions))
        return 0;
    if (has_extension(extensions, "cl_intel_required_subgroup_size"))
        get(cl, id, DEVICE_SUB_GROUP_SIZES_INTEL, sizes, sizeof(sizes));
    else if (has_extension(extensions, "cl_amd_device_attribute_query"))
        sizes[0] = get_uint(cl, id, DEVICE_WAVEFRONT_WIDTH_AMD);
    else
        sizes[0] = get_size(cl, id, DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE);
    return sizes[0] ? (uint32_t)sizes[0] : 1;
}

/* Since OpenCL 2.1 that takes no extension. */
static bool takes_spirv(const zm_opencl_fns *cl, cl_device_id id)
{
    char text[128];
    get_text(cl, id, DEVICE_IL_VERSION, text, sizeof(text));
    return cl->clCreateProgramWithIL && strstr(text, "SPIR-V") &&
           get_version(cl, id, CL_DEVICE_VERSION, "OpenCL ") >= 21;
}

static uint32_t clamp_u32(size_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void fill_limits(const zm_opencl_fns *cl, cl_device_id id, zm_device_limits *limits)
{
    char *extensions = get_extensions(cl, id);
    limits->memory_bytes = get_ulong(cl, id, CL_DEVICE_GLOBAL_MEM_SIZE);
    limits->max_buffer_bytes = get_ulong(cl, id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    limits->local_memory_bytes = get_ulong(cl, id, CL_DEVICE_LOCAL_MEM_SIZE);
    limits->own_local_memory = get_uint(cl, id, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
    limits->compute_units = get_uint(cl, id, CL_DEVICE_MAX_COMPUTE_UNITS);
    limits->max_work_group = clamp_u32(get_size(cl, id, CL_DEVICE_MAX_WORK_GROUP_SIZE));
    size_t items[3] = {0};
    get(cl, id, CL_DEVICE_MAX_WORK_ITEM_SIZES, items, sizeof(items));
    for (int i = 0; i < 3; i++)
        limits->max_work_group_dim[i] = clamp_u32(items[i]);
    /* The driver counts bits. */
    uint32_t alignment = get_uint(cl, id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
    limits->buffer_alignment = alignment ? alignment : 1;
    limits->wrap_alignment = limits->buffer_alignment;
    limits->float_vector_width = get_uint(cl, id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    limits->sub_group_size = sub_group_size(cl, id, extensions);
    limits->fp16 = has_extension(extensions, "cl_khr_fp16");
    limits->fp64 = has_extension(extensions, "cl_khr_fp64") ||
                   get_ulong(cl, id, CL_DEVICE_DOUBLE_FP_CONFIG) != 0;
    limits->unified_memory = get_uint(cl, id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
    cl_command_queue_properties queues = get_ulong(cl, id, CL_DEVICE_QUEUE_PROPERTIES);
    limits->timestamps = (queues & CL_QUEUE_PROFILING_ENABLE) != 0;
    limits->spirv = takes_spirv(cl, id) || has_extension(extensions, "cl_khr_il_program");
    limits->command_buffer = has_extension(extensions, "cl_khr_command_buffer");
    free(extensions);
}

/* A simulator may call itself everything at once: whatever is a CPU too is one. */
static zm_device_type device_type(const zm_opencl_fns *cl, cl_device_id id)
{
    cl_device_type type = get_ulong(cl, id, CL_DEVICE_TYPE);
    if (type & CL_DEVICE_TYPE_CPU)
        return ZM_DEVICE_CPU;
    if (type & CL_DEVICE_TYPE_GPU)
        return ZM_DEVICE_GPU;
    return type & CL_DEVICE_TYPE_ACCELERATOR ? ZM_DEVICE_ACCELERATOR : ZM_DEVICE_OTHER;
}

/* Why a device cannot be used; NULL when it can. */
static const char *refusal(const zm_opencl_fns *cl, cl_device_id id, const zm_device_info *info)
{
    if (get_version(cl, id, CL_DEVICE_VERSION, "OpenCL ") < 12)
        return "it is older than OpenCL 1.2";
    if (!get_uint(cl, id, CL_DEVICE_AVAILABLE))
        return "it is not available";
    if (!get_uint(cl, id, CL_DEVICE_COMPILER_AVAILABLE))
        return "it has no compiler";
    if (!get_uint(cl, id, CL_DEVICE_ENDIAN_LITTLE))
        return "it is big-endian";
    if (!info->limits.max_buffer_bytes || !info->limits.max_work_group)
        return "the driver does not tell its limits";
    return NULL;
}

/* Work-groups of CPU drivers run on threads, which take turns whatever they wait for. */
static bool chains_launches(const zm_opencl_fns *cl, cl_device_id id, const zm_device_info *info)
{
    return info->type == ZM_DEVICE_CPU && get_version(cl, id, CL_DEVICE_VERSION, "OpenCL ") >= 30 &&
           get_size(cl, id, CL_DEVICE_MAX_PARAMETER_SIZE) >= ZM_OPENCL_CHAIN_BYTES &&
           has_feature(cl, id, "__opencl_c_atomic_order_acq_rel") &&
           has_feature(cl, id, "__opencl_c_atomic_scope_device");
}

static void fill_info(const zm_opencl_fns *cl, cl_platform_id platform, cl_device_id id,
                      zm_device_info *info)
{
    *info = (zm_device_info){.backend = ZM_BACKEND_OPENCL, .real_type = ZM_F32};
    get_text(cl, id, CL_DEVICE_NAME, info->name, sizeof(info->name));
    get_text(cl, id, CL_DEVICE_VENDOR, info->vendor, sizeof(info->vendor));
    get_text(cl, id, CL_DRIVER_VERSION, info->driver, sizeof(info->driver));
    get_platform_title(cl, platform, info->platform, sizeof(info->platform));
    info->type = device_type(cl, id);
    fill_limits(cl, id, &info->limits);
    info->limits.launch_chains = chains_launches(cl, id, info);
}

/* ---- all devices ---- */

ZM_PRINTF(2, 3) static void skip(const walker *w, const char *format, ...)
{
    char reason[512];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    zm_logf(w->log, ZM_LOG_INFO, "opencl: %s; skipped", reason);
    if (w->skip)
        w->skip(w->user, reason);
}

/* False when visit ended the walk. */
static bool walk_platform(walker *w, const zm_opencl_fns *cl, cl_platform_id platform)
{
    char name[128];
    get_platform_text(cl, platform, CL_PLATFORM_NAME, name, sizeof(name));
    cl_device_id ids[MAX_DEVICES];
    cl_uint count = 0;
    cl_int error = cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &count);
    if (error != CL_SUCCESS || count == 0) {
        skip(w,
             "platform '%s' has no devices (%s); does its driver find a folder to write to? For "
             "PoCL that is ~/.cache/pocl, or POCL_CACHE_DIR",
             name, zm_opencl_error_name(error));
        return true;
    }
    for (cl_uint i = 0; i < count && i < MAX_DEVICES; i++) {
        zm_device_info info;
        fill_info(cl, platform, ids[i], &info);
        const char *reason = refusal(cl, ids[i], &info);
        if (reason) {
            skip(w, "'%s' on '%s': %s", info.name, name, reason);
            continue;
        }
        snprintf(info.spec, sizeof(info.spec), "opencl:%u", w->index++);
        if (!w->visit(w->user, cl, platform, ids[i], &info))
            return false;
    }
    return true;
}

static void walk_platforms(walker *w)
{
    zm_opencl_fns cl;
    if (!zm_opencl_load(w->log, &cl))
        return;
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint count = 0;
    cl_int error = cl.clGetPlatformIDs(MAX_PLATFORMS, platforms, &count);
    if (error != CL_SUCCESS || count == 0) {
        skip(w, "no platforms (%s); install a driver, for example pocl-opencl-icd",
             zm_opencl_error_name(error));
        return;
    }
    for (cl_uint i = 0; i < count && i < MAX_PLATFORMS; i++)
        if (!walk_platform(w, &cl, platforms[i]))
            return;
}

/* Drivers set themselves up when they are asked for the first time, and PoCL 3.1 crashes when two
 * threads do that at once. */
static zm_mutex asking = PTHREAD_MUTEX_INITIALIZER;

static void walk(walker *w)
{
    zm_mutex_lock(&asking);
    walk_platforms(w);
    zm_mutex_unlock(&asking);
}

static bool visit_add(void *user, const zm_opencl_fns *cl, cl_platform_id platform, cl_device_id id,
                      const zm_device_info *info)
{
    (void)cl;
    (void)platform;
    (void)id;
    const zm_device_visitor *visitor = user;
    visitor->add(visitor->user, info);
    return true;
}

static void visit_skip(void *user, const char *reason)
{
    const zm_device_visitor *visitor = user;
    visitor->skip(visitor->user, reason);
}

static zm_status opencl_enumerate(const zm_log *log, const zm_device_visitor *visitor)
{
    zm_device_visitor copy = *visitor;
    walker w = {.log = log, .visit = visit_add, .skip = visit_skip, .user = &copy};
    walk(&w);
    return ZM_OK;
}

/* ---- opening ---- */

typedef struct selection {
    const zm_device_info *wanted;
    zm_opencl_device *device;
    bool found;
} selection;

static bool visit_select(void *user, const zm_opencl_fns *cl, cl_platform_id platform,
                         cl_device_id id, const zm_device_info *info)
{
    selection *s = user;
    if (strcmp(info->spec, s->wanted->spec) != 0 || strcmp(info->name, s->wanted->name) != 0)
        return true;
    s->device->cl = *cl;
    s->device->platform = platform;
    s->device->id = id;
    s->found = true;
    return false;
}

static void opencl_close(zm_device *device)
{
    zm_opencl_device *opencl = (zm_opencl_device *)device;
    if (opencl->context)
        opencl->cl.clReleaseContext(opencl->context);
    zm_opencl_pages_finish(&opencl->pages);
    zm_device_base_finish(device);
    free(opencl);
}

static void find_language(zm_opencl_device *device)
{
    char *extensions = get_extensions(&device->cl, device->id);
    device->sub_group_language = sub_group_language(&device->cl, device->id, extensions);
    free(extensions);
}

static void find_create_il(zm_opencl_device *device)
{
    if (takes_spirv(&device->cl, device->id)) {
        device->create_il = device->cl.clCreateProgramWithIL;
        return;
    }
    void *address = device->cl.clGetExtensionFunctionAddressForPlatform(device->platform,
                                                                        "clCreateProgramWithILKHR");
    memcpy(&device->create_il, &address, sizeof(address));
}

static zm_status create_context(zm_opencl_device *device)
{
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                          (cl_context_properties)device->platform, 0};
    cl_int error = CL_SUCCESS;
    zm_mutex_lock(&asking);
    device->context = device->cl.clCreateContext(properties, 1, &device->id, NULL, NULL, &error);
    zm_mutex_unlock(&asking);
    if (error != CL_SUCCESS)
        device->context = NULL;
    return zm_opencl_check(&device->base, error, "clCreateContext");
}

static zm_status opencl_open(const zm_device_info *info, const zm_device_params *params,
                             zm_device **out)
{
    zm_opencl_device *device = zm_calloc(1, sizeof(*device));
    if (!device)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", info->spec);
    zm_opencl_pages_init(&device->pages);
    zm_status status = zm_device_base_init(&device->base, &opencl_fns, info, params);
    if (status != ZM_OK)
        goto fail;
    selection s = {.wanted = info, .device = device};
    walker w = {.visit = visit_select, .user = &s};
    walk(&w);
    if (!s.found) {
        status = zm_fail(params->log, ZM_ERROR_DEVICE, "%s: %s is gone", info->spec, info->name);
        goto fail;
    }
    status = create_context(device);
    if (status != ZM_OK)
        goto fail;
    find_language(device);
    if (info->limits.spirv)
        find_create_il(device);
    if (info->limits.command_buffer)
        device->base.info.limits.command_buffer = zm_opencl_commands_find(device);
    *out = &device->base;
    return ZM_OK;
fail:
    opencl_close(&device->base);
    return status;
}

static const zm_device_fns opencl_fns = {
    .close = opencl_close,
    .buffer_create = zm_opencl_buffer_create,
    .buffer_destroy = zm_opencl_buffer_destroy,
    .buffer_write = zm_opencl_buffer_write,
    .buffer_read = zm_opencl_buffer_read,
    .buffer_copy = zm_opencl_buffer_copy,
    .buffer_fill = zm_opencl_buffer_fill,
    .buffer_map = zm_opencl_buffer_map,
    .buffer_unmap = zm_opencl_buffer_unmap,
    .stream_create = zm_opencl_stream_create,
    .stream_destroy = zm_opencl_stream_destroy,
    .stream_flush = zm_opencl_stream_flush,
    .stream_wait = zm_opencl_stream_wait,
    .event_create = zm_opencl_event_create,
    .event_destroy = zm_opencl_event_destroy,
    .event_mark = zm_opencl_event_mark,
    .event_wait = zm_opencl_event_wait,
    .event_times = zm_opencl_event_times,
    .kernel_create = zm_opencl_kernel_create,
    .kernel_destroy = zm_opencl_kernel_destroy,
    .dispatch = zm_opencl_dispatch,
    .record = zm_opencl_record,
    .recording_destroy = zm_opencl_recording_destroy,
    .recording_update = zm_opencl_recording_update,
    .replay = zm_opencl_replay,
};

const zm_backend_fns zm_backend_opencl = {"opencl", opencl_enumerate, opencl_open};

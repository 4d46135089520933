/* SPDX-License-Identifier: Apache-2.0 */
/* Launches one after the other in one launch (shaders/chain/chain.cl): what a CPU driver takes to
 * begin a launch, and to wake its threads for it, is taken once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "opencl/recording.h"
#include "shaders/chain.h"

#define KERNEL_TEXT 4096 /* of all kernels of a chain, in the description */
#define HASH_SLOTS 256   /* over twice the buffers, a power of two */

typedef struct chain {
    zm_opencl_recording base;
    zm_opencl_device *device;
    cl_kernel kernel;
    const zm_kernel *parts[ZM_LIST_KERNELS];
    size_t part_count;
    cl_mem steps, counters;
    bool changed; /* launches that the device was not told yet */
    /* Which buffers the launches use, found again by address. */
    cl_mem buffers[ZM_LIST_BUFFERS];
    size_t buffer_count;
    const zm_buffer *known[HASH_SLOTS];
    unsigned char slots[HASH_SLOTS];
    struct zm_chain_step *table; /* one more than there are launches */
    size_t count;
    zm_dispatch launches[];
} chain;

/* ---- the table ---- */

static size_t hash_of(const zm_buffer *buffer)
{
    return (size_t)((uintptr_t)buffer / sizeof(*buffer) * 2654435761u >> 8) % HASH_SLOTS;
}

/* ZM_CHAIN_ABSENT also where there are too many of them; then the chain is of no use. */
static unsigned slot_of(chain *c, const zm_buffer *buffer, bool *fits)
{
    if (!buffer)
        return ZM_CHAIN_ABSENT;
    size_t at = hash_of(buffer);
    while (c->known[at] && c->known[at] != buffer)
        at = (at + 1) % HASH_SLOTS;
    if (c->known[at])
        return c->slots[at];
    *fits = *fits && c->buffer_count < ZM_LIST_BUFFERS;
    if (!*fits)
        return ZM_CHAIN_ABSENT;
    c->known[at] = buffer;
    c->slots[at] = (unsigned char)c->buffer_count;
    c->buffers[c->buffer_count++] = ((const zm_opencl_buffer *)buffer)->memory;
    return c->slots[at];
}

static unsigned part_of(const chain *c, const zm_kernel *kernel)
{
    unsigned i = 0;
    while (i < c->part_count && c->parts[i] != kernel)
        i++;
    return i;
}

static void step_fill(chain *c, size_t index, bool *fits)
{
    const zm_dispatch *launch = &c->launches[index];
    const zm_kernel_desc *desc = &launch->kernel->desc;
    struct zm_chain_step *step = &c->table[index];
    uint32_t groups = launch->groups[0] * launch->groups[1] * launch->groups[2];
    step->part = part_of(c, launch->kernel);
    memcpy(step->groups, launch->groups, sizeof(step->groups));
    memset(step->bindings, ZM_CHAIN_ABSENT, sizeof(step->bindings));
    for (uint32_t i = 0; i < desc->buffer_count; i++) {
        uint32_t shift = i % 4 * 8;
        step->bindings[i / 4] &= ~(255u << shift);
        step->bindings[i / 4] |= slot_of(c, launch->buffers[i], fits) << shift;
    }
    memcpy(step->args, launch->args.bytes, desc->args_size);
    step[1].first = step->first + groups;
}

/* False: too many buffers. */
static bool table_fill(chain *c)
{
    bool fits = true;
    c->buffer_count = 0;
    memset(c->known, 0, sizeof(c->known));
    for (size_t i = 0; i < c->count; i++)
        step_fill(c, i, &fits);
    return fits;
}

static cl_int arguments_set(const chain *c)
{
    const zm_opencl_fns *cl = &c->device->cl;
    cl_uint count = (cl_uint)c->count;
    cl_int error = CL_SUCCESS;
    for (cl_uint i = 0; error == CL_SUCCESS && i < ZM_LIST_BUFFERS; i++)
        error = cl->clSetKernelArg(c->kernel, i, sizeof(cl_mem),
                                   i < c->buffer_count ? &c->buffers[i] : NULL);
    if (error == CL_SUCCESS)
        error = cl->clSetKernelArg(c->kernel, ZM_LIST_BUFFERS, sizeof(cl_mem), &c->steps);
    if (error == CL_SUCCESS)
        error = cl->clSetKernelArg(c->kernel, ZM_LIST_BUFFERS + 1, sizeof(cl_mem), &c->counters);
    if (error == CL_SUCCESS)
        error = cl->clSetKernelArg(c->kernel, ZM_LIST_BUFFERS + 2, sizeof(count), &count);
    return error;
}

/* ---- as a recording ---- */

static bool update(zm_opencl_recording *recording, size_t index, const zm_dispatch *launch)
{
    chain *c = (chain *)recording;
    if (part_of(c, launch->kernel) == c->part_count)
        return false;
    c->launches[index] = *launch;
    c->changed = true;
    return true;
}

/* The table is the driver's until it has been written, which the recording's event tells. */
static cl_int enqueue(zm_opencl_stream *stream, zm_opencl_recording *recording, cl_event *event)
{
    chain *c = (chain *)recording;
    const zm_opencl_fns *cl = &c->device->cl;
    const size_t groups[] = {c->device->base.info.limits.compute_units}, local[] = {1};
    cl_int error = CL_SUCCESS;
    if (c->changed && (zm_opencl_recording_is_pending(cl, recording) || !table_fill(c)))
        return CL_INVALID_OPERATION;
    if (c->changed)
        error = arguments_set(c);
    if (error == CL_SUCCESS && c->changed)
        error =
            cl->clEnqueueWriteBuffer(stream->queue, c->steps, CL_FALSE, 0,
                                     (c->count + 1) * sizeof(*c->table), c->table, 0, NULL, NULL);
    if (error == CL_SUCCESS)
        error = cl->clEnqueueNDRangeKernel(stream->queue, c->kernel, 1, NULL, groups, local, 0,
                                           NULL, event);
    if (error == CL_SUCCESS)
        c->changed = false;
    return error;
}

static void destroy(zm_opencl_device *device, zm_opencl_recording *recording)
{
    chain *c = (chain *)recording;
    if (c->kernel)
        device->cl.clReleaseKernel(c->kernel);
    if (c->steps)
        device->cl.clReleaseMemObject(c->steps);
    if (c->counters)
        device->cl.clReleaseMemObject(c->counters);
    free(c->table);
    free(c);
}

static const zm_opencl_recording_fns recording_fns = {destroy, update, enqueue, "a chain"};

/* ---- making one ---- */

/* One program serves all chains of the same kernels. */
static zm_status program_get(zm_device *device, const zm_list_params *params,
                             const zm_opencl_kernel **out)
{
    char *text = zm_calloc(KERNEL_TEXT, 1);
    size_t length = 0;
    if (!text)
        return ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < params->kernel_count && length < KERNEL_TEXT; i++) {
        const zm_kernel_desc *desc = &params->kernels[i]->desc;
        length += (size_t)snprintf(text + length, KERNEL_TEXT - length, "%s %u %u %s\n", desc->name,
                                   desc->buffer_count, desc->args_size, desc->options);
    }
    const zm_kernel_desc desc = {.name = "chain",
                                 .family = ZM_FAMILY_CHAIN,
                                 .options = text,
                                 .known_only = params->known_only};
    const zm_kernel *kernel = NULL;
    zm_status status =
        length < KERNEL_TEXT ? zm_kernel_get(device, &desc, &kernel) : ZM_ERROR_LIMIT;
    *out = (const zm_opencl_kernel *)kernel;
    free(text);
    return status;
}

static cl_int memory_create(chain *c)
{
    static const cl_uint zeros[64];
    const zm_opencl_fns *cl = &c->device->cl;
    cl_int error = CL_SUCCESS;
    c->counters = cl->clCreateBuffer(c->device->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                                     sizeof(zeros), (void *)zeros, &error);
    if (error == CL_SUCCESS)
        c->steps = cl->clCreateBuffer(c->device->context, CL_MEM_READ_ONLY,
                                      (c->count + 1) * sizeof(*c->table), NULL, &error);
    return error;
}

static zm_status fill(chain *c, const zm_list_params *params)
{
    const zm_opencl_kernel *program = NULL;
    if (params->kernel_count > ZM_LIST_KERNELS)
        return ZM_ERROR_LIMIT;
    c->part_count = params->kernel_count;
    memcpy(c->parts, params->kernels, params->kernel_count * sizeof(*c->parts));
    for (size_t i = 0; i < params->count; i++)
        if (!update(&c->base, i, params->launches[i]))
            return ZM_ERROR_INVALID_ARGUMENT;
    zm_status status = program_get(&c->device->base, params, &program);
    if (status != ZM_OK)
        return status;
    cl_int error = CL_SUCCESS;
    c->kernel = c->device->cl.clCreateKernel(program->program, program->base.desc.name, &error);
    if (error == CL_SUCCESS)
        error = memory_create(c);
    return error == CL_SUCCESS ? ZM_OK : zm_opencl_status(error);
}

zm_status zm_opencl_chain_create(zm_stream *stream, const zm_list_params *params,
                                 zm_opencl_recording **out)
{
    zm_opencl_device *device = (zm_opencl_device *)stream->device;
    chain *c = zm_calloc(1, sizeof(*c) + params->count * sizeof(zm_dispatch));
    if (!c)
        return ZM_ERROR_OUT_OF_MEMORY;
    c->base.fns = &recording_fns;
    c->device = device;
    c->count = params->count;
    c->table = zm_calloc(c->count + 1, sizeof(*c->table));
    zm_status status = c->table ? fill(c, params) : ZM_ERROR_OUT_OF_MEMORY;
    if (status != ZM_OK) {
        zm_logf(&device->base.log, ZM_LOG_DEBUG, "%s: %zu launches can't be chained: %s",
                device->base.info.spec, c->count, zm_status_name(status));
        destroy(device, &c->base);
        return status;
    }
    *out = &c->base;
    return ZM_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "session/network.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"

zm_status zm_network_reserve_staging(zm_network *network, uint64_t elements)
{
    size_t size = sizeof(double); /* of the widest device */
    network->staging = zm_calloc(elements, size);
    if (network->observe)
        network->observed = zm_calloc(elements, sizeof(double));
    if (!network->staging || (network->observe && !network->observed))
        return zm_fail(&network->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    network->staging_count = elements;
    return ZM_OK;
}

static uint64_t element_count(const zm_tensor *tensor)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

static zm_stream *stream_of(const zm_network *network, const zm_tensor *tensor)
{
    const zm_device *device = zm_buffer_get_device(tensor->buffer);
    uint32_t i = 0;
    while (i + 1 < network->device_count && network->devices[i] != device)
        i++;
    return network->streams[i];
}

/* Moves a tensor through the staging memory unless its numbers are those of the caller. */
zm_status zm_network_write(zm_network *network, const zm_tensor *dst, const float *values)
{
    uint64_t count = element_count(dst), size = zm_dtype_size(dst->dtype);
    const void *source = values;
    if (dst->dtype != ZM_F32) {
        if (count > network->staging_count)
            return ZM_ERROR_INVALID_ARGUMENT;
        zm_convert_reals(network->staging, dst->dtype, values, ZM_F32, count);
        source = network->staging;
    }
    return zm_buffer_write(stream_of(network, dst), dst->buffer, dst->offset * size, source,
                           count * size);
}

static zm_status read_raw(zm_network *network, const zm_tensor *src, void *values)
{
    uint64_t size = zm_dtype_size(src->dtype);
    return zm_buffer_read(stream_of(network, src), src->buffer, src->offset * size, values,
                          element_count(src) * size);
}

zm_status zm_network_read(zm_network *network, const zm_tensor *src, float *values)
{
    if (src->dtype == ZM_F32)
        return read_raw(network, src, values);
    if (element_count(src) > network->staging_count)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_status status = read_raw(network, src, network->staging);
    if (status == ZM_OK)
        zm_convert_reals(values, ZM_F32, network->staging, src->dtype, element_count(src));
    return status;
}

/* Shows a packed matrix to the observer; waits for it. */
static zm_status observe(void *user, const char *what, uint32_t layer, const zm_tensor *matrix)
{
    zm_network *network = user;
    if (element_count(matrix) > network->staging_count)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_status status = read_raw(network, matrix, network->staging);
    if (status != ZM_OK)
        return status;
    zm_convert_reals(network->observed, ZM_F64, network->staging, matrix->dtype,
                     element_count(matrix));
    zm_observation observation = {.what = what,
                                  .layer = layer,
                                  .rows = matrix->shape[0],
                                  .cols = matrix->shape[1],
                                  .data = network->observed};
    network->observe(network->observe_user, &observation);
    return ZM_OK;
}

static bool go_on(void *user)
{
    const zm_network *network = user;
    return network->go_on(network->go_on_user);
}

zm_status zm_network_compile(zm_network *network,
                             void (*build)(zm_network *network, zm_graph *graph),
                             const zm_compile_params *params, zm_pipeline **out)
{
    zm_graph *graph = NULL;
    zm_status status = zm_graph_create(&network->log, &graph);
    if (status != ZM_OK)
        return status;
    build(network, graph);
    status = zm_pipeline_compile(graph, network->devices, network->device_count, params, out);
    zm_graph_destroy(&graph);
    return status == ZM_OK ? zm_pipeline_reserve(*out, network->streams) : status;
}

zm_status zm_network_run(zm_network *network, zm_pipeline *pipeline)
{
    const zm_run_params params = {.go_on = network->go_on ? go_on : NULL,
                                  .observe = network->observe ? observe : NULL,
                                  .user = network};
    return zm_pipeline_run(pipeline, network->streams, &params);
}

zm_status zm_network_flush(zm_network *network)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; status == ZM_OK && i < network->device_count; i++)
        status = zm_stream_flush(network->streams[i]);
    return status;
}

zm_status zm_network_wait(zm_network *network)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; status == ZM_OK && i < network->device_count; i++)
        status = zm_stream_wait(network->streams[i]);
    return status;
}

/* ---- the main branch ---- */

zm_block_norm zm_network_block_norm(zm_norm norm)
{
    switch (norm) {
    case ZM_NORM_RMS:
    case ZM_NORM_ORTHO: return ZM_BLOCK_RMS_NORM;
    case ZM_NORM_CRMS: return ZM_BLOCK_CRMS_NORM;
    default: return ZM_BLOCK_LAYER_NORM;
    }
}

zm_tensor zm_network_enter(const zm_network *network, zm_graph *graph, zm_tensor x)
{
    return network->narrow.weight.buffer
               ? zm_graph_linear(graph, "x", &network->narrow, ZM_ACTIVATION_NONE, x)
               : x;
}

zm_tensor zm_network_leave(const zm_network *network, zm_graph *graph, const zm_block *block,
                           const zm_norm_weights *norm, zm_tensor x)
{
    zm_block last = *block;
    if (network->widen.weight.buffer && norm->weight.buffer) {
        x = zm_graph_linear(graph, "wide", &network->widen, ZM_ACTIVATION_NONE, x);
        last.norm = ZM_BLOCK_RMS_NORM;
    }
    return zm_graph_block_norm(graph, &last, norm, x);
}

/* ---- layers ---- */

zm_status zm_network_check_layers(const zm_network *network, const char *what, uint32_t layers)
{
    if (layers >= network->device_count)
        return ZM_OK;
    return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                   "session: the %u layers of the %s cannot be split over %u devices", layers, what,
                   network->device_count);
}

/* Where the layers of a device end: its part of all shares, rounded; none ends up without one. */
static uint32_t end_of(const zm_network *network, uint32_t device, uint32_t layers)
{
    uint64_t sum = 0, part = 0;
    uint32_t behind = network->device_count - 1 - device;
    for (uint32_t i = 0; i < network->device_count; i++) {
        sum += network->shares[i];
        part += i <= device ? network->shares[i] : 0;
    }
    uint32_t end = (uint32_t)((part * layers + sum / 2) / sum);
    uint32_t least = device + 1, most = layers - behind;
    return end < least ? least : end > most ? most : end;
}

uint32_t zm_network_device(const zm_network *network, uint32_t layer, uint32_t layers)
{
    uint32_t device = 0;
    while (device + 1 < network->device_count && layer >= end_of(network, device, layers))
        device++;
    return device;
}

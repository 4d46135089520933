/* SPDX-License-Identifier: Apache-2.0 */
#include "session/network.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"

zm_status zm_network_reserve_staging(zm_network *network, uint64_t elements)
{
    size_t size = zm_dtype_size(network->storage.real_type);
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
    return zm_buffer_write(network->stream, dst->buffer, dst->offset * size, source, count * size);
}

static zm_status read_raw(zm_network *network, const zm_tensor *src, void *values)
{
    uint64_t size = zm_dtype_size(src->dtype);
    return zm_buffer_read(network->stream, src->buffer, src->offset * size, values,
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

zm_status zm_network_run(zm_network *network, zm_executable *executable)
{
    const zm_run_params params = {.go_on = network->go_on ? go_on : NULL,
                                  .observe = network->observe ? observe : NULL,
                                  .user = network};
    return zm_executable_run(executable, network->stream, &params);
}

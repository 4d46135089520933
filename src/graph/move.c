/* SPDX-License-Identifier: Apache-2.0 */
/* Between stages: what one device has written comes to the others. */
#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"
#include "common/log.h"
#include "graph/pipeline.h"

static zm_status staging_bytes(const zm_pipeline *pipeline, uint64_t *out)
{
    uint64_t most = 1, bytes = 0;
    for (size_t i = 0; i < pipeline->crossing_count; i++) {
        const zm_crossing *crossing = &pipeline->crossings[i];
        const zm_value *value = pipeline->graph->values[crossing->root];
        if (crossing->constant)
            continue;
        if (value->kind == ZM_VALUE_BUFFER)
            bytes = value->tensor.buffer->size;
        else if (zm_value_bytes(pipeline->graph, value, &bytes) != ZM_OK)
            return ZM_ERROR_LIMIT;
        most = bytes > most ? bytes : most;
    }
    *out = most;
    return ZM_OK;
}

zm_status zm_staging_create(zm_pipeline *pipeline)
{
    uint64_t bytes = 0;
    zm_status status = staging_bytes(pipeline, &bytes);
    for (size_t i = 0; status == ZM_OK && i < 2; i++) {
        pipeline->staging[i] = zm_calloc(1, bytes);
        if (!pipeline->staging[i])
            status = zm_fail(&pipeline->graph->log, ZM_ERROR_OUT_OF_MEMORY,
                             "graph: out of memory for %llu bytes on their way between devices",
                             (unsigned long long)bytes);
    }
    return status;
}

/* Elements in use; of a given buffer all of its bytes. */
static uint64_t elements_of(const zm_pipeline *pipeline, const zm_value *root)
{
    uint64_t elements = 1;
    if (root->kind == ZM_VALUE_BUFFER)
        return root->tensor.buffer->size;
    for (uint32_t i = 0; i < root->tensor.rank; i++)
        elements *= zm_size_number(pipeline->numbers, root->tensor.shape[i]);
    return elements;
}

static zm_status move(zm_pipeline *pipeline, zm_crossing *crossing, uint32_t from, uint32_t to,
                      zm_stream *const *streams)
{
    const zm_value *root = pipeline->graph->values[crossing->root];
    const zm_tensor *src = &crossing->place[from], *dst = &crossing->place[to];
    bool raw = root->kind == ZM_VALUE_BUFFER;
    uint64_t count = elements_of(pipeline, root);
    uint64_t read = raw ? 1 : zm_dtype_size(src->dtype),
             write = raw ? 1 : zm_dtype_size(dst->dtype);
    const void *data = pipeline->staging[0];
    zm_status status = zm_buffer_read(streams[from], src->buffer, src->offset * read,
                                      pipeline->staging[0], count * read);
    if (status == ZM_OK && !raw && src->dtype != dst->dtype) {
        zm_convert_reals(pipeline->staging[1], dst->dtype, data, src->dtype, count);
        data = pipeline->staging[1];
    }
    if (status == ZM_OK)
        status =
            zm_buffer_write(streams[to], dst->buffer, dst->offset * write, data, count * write);
    if (status != ZM_OK)
        return status;
    crossing->valid |= 1u << to;
    pipeline->info.moves++;
    pipeline->info.moved_bytes += count * write;
    return ZM_OK;
}

uint32_t zm_first_device(uint32_t mask)
{
    uint32_t i = 0;
    while (!(mask & (1u << i)))
        i++;
    return i;
}

/* Also what is only written, since it need not be all of it. */
zm_status zm_moves_before(zm_pipeline *pipeline, const zm_stage *stage, zm_stream *const *streams)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < pipeline->crossing_count; i++) {
        zm_crossing *crossing = &pipeline->crossings[i];
        if (stage->uses[i] && crossing->valid && !(crossing->valid & (1u << stage->device)))
            status =
                move(pipeline, crossing, zm_first_device(crossing->valid), stage->device, streams);
    }
    return status;
}

zm_status zm_moves_after(zm_pipeline *pipeline, const zm_stage *stage, zm_stream *const *streams)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < pipeline->crossing_count; i++) {
        zm_crossing *crossing = &pipeline->crossings[i];
        if (!(stage->uses[i] & ZM_STAGE_WRITES))
            continue;
        crossing->valid = 1u << stage->device;
        while (status == ZM_OK && (crossing->bound & ~crossing->valid))
            status = move(pipeline, crossing, stage->device,
                          zm_first_device(crossing->bound & ~crossing->valid), streams);
    }
    return status;
}

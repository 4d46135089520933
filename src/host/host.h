/* SPDX-License-Identifier: Apache-2.0 */
/* The host device: plain-C reference operations behind the table of a device. Everything is done
 * when a call returns, so its streams only carry times. */
#ifndef ZM_SRC_HOST_HOST_H
#define ZM_SRC_HOST_HOST_H

#include "common/pool.h"
#include "device/device.h"
#include "ref/ref.h"

typedef struct zm_host_device {
    zm_device base;
    zm_pool *pool;
} zm_host_device;

typedef struct zm_host_buffer {
    zm_buffer base;
    unsigned char *data;
    bool wrapped; /* data is the caller's */
} zm_host_buffer;

typedef struct zm_host_event {
    zm_event base;
    zm_event_span span;
} zm_host_event;

typedef struct zm_host_kernel {
    zm_kernel base;
    zm_ref_fn function;
    size_t (*items)(const void *args);
} zm_host_kernel;

zm_status zm_host_buffer_create(zm_device *device, const zm_buffer_params *params, zm_buffer **out);
void zm_host_buffer_destroy(zm_buffer *buffer);
zm_status zm_host_buffer_write(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                               const void *src, uint64_t size);
zm_status zm_host_buffer_read(zm_stream *stream, zm_buffer *buffer, uint64_t offset, void *dst,
                              uint64_t size);
zm_status zm_host_buffer_copy(zm_stream *stream, zm_buffer *dst, uint64_t dst_offset,
                              zm_buffer *src, uint64_t src_offset, uint64_t size);
zm_status zm_host_buffer_fill(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                              uint32_t pattern);
zm_status zm_host_buffer_map(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                             void **out);
zm_status zm_host_buffer_unmap(zm_stream *stream, zm_buffer *buffer, void *pointer);

zm_status zm_host_stream_create(zm_device *device, const zm_stream_params *params, zm_stream **out);
void zm_host_stream_destroy(zm_stream *stream);
zm_status zm_host_stream_flush(zm_stream *stream);
zm_status zm_host_stream_wait(zm_stream *stream);

zm_status zm_host_event_create(zm_device *device, zm_event **out);
void zm_host_event_destroy(zm_event *event);
zm_status zm_host_event_mark(zm_event *event, zm_stream *stream);
zm_status zm_host_event_wait(zm_event *event);
zm_status zm_host_event_times(zm_event *event, zm_event_span *out);

zm_status zm_host_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out);
void zm_host_kernel_destroy(zm_device *device, zm_kernel *kernel);
zm_status zm_host_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL backend: its objects and the functions behind its table. */
#ifndef ZM_SRC_OPENCL_OPENCL_H
#define ZM_SRC_OPENCL_OPENCL_H

#include "device/cache.h"
#include "device/device.h"
#include "opencl/loader.h"
#include "opencl/pages.h"

/* cl_khr_command_buffer, which headers have in several versions, or only where it is asked for. */
typedef struct zm_opencl_command_buffer_object *zm_opencl_command_buffer;
typedef struct zm_opencl_command_fns {
    zm_opencl_command_buffer(CL_API_CALL *create)(cl_uint count, const cl_command_queue *queues,
                                                  const cl_ulong *properties, cl_int *error);
    cl_int(CL_API_CALL *release)(zm_opencl_command_buffer buffer);
    cl_int(CL_API_CALL *launch)(zm_opencl_command_buffer buffer, cl_command_queue queue,
                                const cl_ulong *properties, cl_kernel kernel, cl_uint dimensions,
                                const size_t *offset, const size_t *global, const size_t *local,
                                cl_uint wait_count, const cl_uint *wait, cl_uint *point,
                                void *handle);
    cl_int(CL_API_CALL *finalize)(zm_opencl_command_buffer buffer);
    cl_int(CL_API_CALL *enqueue)(cl_uint count, cl_command_queue *queues,
                                 zm_opencl_command_buffer buffer, cl_uint wait_count,
                                 const cl_event *wait, cl_event *event);
} zm_opencl_command_fns;

typedef struct zm_opencl_device {
    zm_device base;
    zm_opencl_fns cl;
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    const char *sub_group_language;   /* -cl-std with sub-group functions; NULL = none */
    zm_opencl_create_il_fn create_il; /* NULL = takes no SPIR-V */
    zm_opencl_page_pool pages;
    zm_opencl_command_fns commands; /* where limits.command_buffer is true */
} zm_opencl_device;

typedef struct zm_opencl_buffer {
    zm_buffer base;
    cl_mem memory;
    zm_opencl_pages *pages; /* of ours, that the memory is in; NULL = the driver's own */
} zm_opencl_buffer;

typedef struct zm_opencl_stream {
    zm_stream base;
    cl_command_queue queue;
} zm_opencl_stream;

typedef struct zm_opencl_event {
    zm_event base;
    cl_event event;
    cl_event before; /* NULL, or what ended when the work began whose last command event is */
} zm_opencl_event;

typedef struct zm_opencl_kernel {
    zm_kernel base;
    cl_program program;
    cl_kernel kernel;
    zm_mutex mutex; /* arguments and launch: a cl_kernel is one thread's at a time */
    zm_cache_key key;
    bool unsaved; /* not in the program cache yet */
} zm_opencl_kernel;

/* "CL_OUT_OF_RESOURCES"; "unknown error" for a value of no standard. */
const char *zm_opencl_error_name(cl_int error);
zm_status zm_opencl_status(cl_int error);
/* ZM_OK for CL_SUCCESS; else logs the call and the error. */
zm_status zm_opencl_check(const zm_device *device, cl_int error, const char *call);

/* How a finished command ended; call is what the log calls it. */
zm_status zm_opencl_check_command(const zm_device *device, cl_event command, const char *call);

/* The text of a kernel, includes resolved. Free *out with free(). */
zm_status zm_opencl_source(const zm_device *device, const zm_kernel_desc *desc, char **out,
                           size_t *size);

/* Fills in program, kernel and key, from the program cache or by building. */
zm_status zm_opencl_program_create(zm_opencl_device *device, const zm_kernel_desc *desc,
                                   zm_opencl_kernel *kernel);
/* Puts the program into the cache if it is unsaved. */
void zm_opencl_program_save(zm_opencl_device *device, zm_opencl_kernel *kernel);
void zm_opencl_program_destroy(zm_opencl_device *device, zm_opencl_kernel *kernel);

/* Takes over a cl_event; the event then marks that command. */
void zm_opencl_event_set(zm_event *event, const zm_stream *stream, cl_event command);
/* The same for several commands in a row: their times begin where those of before end. */
void zm_opencl_event_set_span(zm_event *event, const zm_stream *stream, cl_event before,
                              cl_event command);

zm_status zm_opencl_buffer_create(zm_device *device, const zm_buffer_params *params,
                                  zm_buffer **out);
void zm_opencl_buffer_destroy(zm_buffer *buffer);
zm_status zm_opencl_buffer_write(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                                 const void *src, uint64_t size);
zm_status zm_opencl_buffer_read(zm_stream *stream, zm_buffer *buffer, uint64_t offset, void *dst,
                                uint64_t size);
zm_status zm_opencl_buffer_copy(zm_stream *stream, zm_buffer *dst, uint64_t dst_offset,
                                zm_buffer *src, uint64_t src_offset, uint64_t size);
zm_status zm_opencl_buffer_fill(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                                uint64_t size, uint32_t pattern);
zm_status zm_opencl_buffer_map(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                               void **out);
zm_status zm_opencl_buffer_unmap(zm_stream *stream, zm_buffer *buffer, void *pointer);

zm_status zm_opencl_stream_create(zm_device *device, const zm_stream_params *params,
                                  zm_stream **out);
void zm_opencl_stream_destroy(zm_stream *stream);
zm_status zm_opencl_stream_flush(zm_stream *stream);
zm_status zm_opencl_stream_wait(zm_stream *stream);

zm_status zm_opencl_event_create(zm_device *device, zm_event **out);
void zm_opencl_event_destroy(zm_event *event);
zm_status zm_opencl_event_mark(zm_event *event, zm_stream *stream);
zm_status zm_opencl_event_wait(zm_event *event);
zm_status zm_opencl_event_times(zm_event *event, zm_event_span *out);

zm_status zm_opencl_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out);
void zm_opencl_kernel_destroy(zm_device *device, zm_kernel *kernel);
zm_status zm_opencl_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event);
/* Buffers in the order of the desc, then the argument struct by value. */
cl_int zm_opencl_set_arguments(const zm_opencl_fns *cl, cl_kernel kernel,
                               const zm_dispatch *dispatch);
void zm_opencl_dispatch_sizes(const zm_dispatch *dispatch, size_t global[3], size_t local[3]);

/* Arguments of a chain: its buffers, and what it is told by itself. */
#define ZM_OPENCL_CHAIN_BYTES ((ZM_LIST_BUFFERS + 4) * sizeof(cl_ulong))
/* False: the driver lacks some function, or wants other queues than ours. */
bool zm_opencl_commands_find(zm_opencl_device *device);
zm_status zm_opencl_record(zm_stream *stream, const zm_list_params *params, void **out);
void zm_opencl_recording_destroy(zm_device *device, void *recording);
bool zm_opencl_recording_update(void *recording, size_t index, const zm_dispatch *launch);
zm_status zm_opencl_replay(zm_stream *stream, void *recording, bool *done);

#endif

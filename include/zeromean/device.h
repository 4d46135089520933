/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, their memory and their command streams.
 *
 * Thread-safety: a zm_device and its zm_buffers may be used from several threads; a zm_stream and
 * a zm_event belong to one thread at a time. Work in one stream runs in order; work in different
 * streams is unordered. */
#ifndef ZEROMEAN_DEVICE_H
#define ZEROMEAN_DEVICE_H

#include <zeromean/common.h>
#include <zeromean/log.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_device zm_device;
typedef struct zm_buffer zm_buffer;
typedef struct zm_stream zm_stream;
typedef struct zm_event zm_event;

typedef enum zm_backend { ZM_BACKEND_HOST = 1, ZM_BACKEND_OPENCL, ZM_BACKEND_VULKAN } zm_backend;

typedef enum zm_device_type {
    ZM_DEVICE_OTHER = 0,
    ZM_DEVICE_CPU,
    ZM_DEVICE_GPU,
    ZM_DEVICE_ACCELERATOR
} zm_device_type;

/* What a device can do. 0 (false) means unsupported or unknown. Kernels are chosen by these
 * fields, never by the name of a device or its vendor. */
typedef struct zm_device_limits {
    uint64_t memory_bytes;       /* global memory */
    uint64_t max_buffer_bytes;   /* the largest single buffer */
    uint64_t local_memory_bytes; /* shared by one work-group */
    uint32_t compute_units;
    uint32_t max_work_group;        /* work-items in one work-group */
    uint32_t max_work_group_dim[3]; /* work-items along each dimension */
    uint32_t buffer_alignment;      /* bytes: base address of sub-ranges */
    uint32_t wrap_alignment;        /* bytes: host memory that is wrapped without a copy */
    uint32_t float_vector_width;    /* float lanes of the native vector; 1 = scalar machine */
    uint32_t sub_group_size;        /* 0 = kernels can't use any; 1 = the driver doesn't tell */
    bool fp16;                      /* the device has float16 itself (storage works everywhere) */
    bool fp64;
    bool own_local_memory; /* local memory is not just a part of global memory */
    bool unified_memory;   /* host and device share memory: wrapping costs nothing */
    bool timestamps;       /* events carry device times */
    bool spirv;            /* takes SPIR-V modules */
    bool command_buffer;   /* records and replays command lists */
    bool launch_chains;    /* a CPU whose work-groups, once they have begun, go on whatever others
                              do, with atomics that order memory: many launches can be one */
} zm_device_limits;

typedef struct zm_device_info {
    char spec[32];      /* opens this device again: "opencl:0", "host", "host:f64" */
    char name[128];     /* as the driver says it */
    char platform[128]; /* OpenCL platform, Vulkan driver, "plain C" */
    char vendor[64];
    char driver[128]; /* version of the driver */
    zm_backend backend;
    zm_device_type type;
    zm_dtype real_type; /* storage of activations: ZM_F32; ZM_F64 on host:f64 */
    /* The highest one is the default device. By kind: 5000 GPU with memory of its own, 4000 GPU
     * that shares the host's, 3000 accelerator, 2000 CPU and other devices of OpenCL; plus the
     * compute units, up to 999. 1000 host; -1 host:f64, which is only opened by name. */
    int32_t score;
    zm_device_limits limits;
} zm_device_info;

typedef struct zm_device_params {
    /* BACKEND[:INDEX|:NAME][@PROFILE], case-insensitive. BACKEND is opencl or host; NAME is any
     * part of the device or platform name; of several devices that fit, the one with the highest
     * score is opened. "host:f64" computes and stores in float64. Without a backend: the device
     * with the highest score of all, or the next one where its driver fails; so is NULL or "".
     * PROFILE (zm_device_profiles) leaves the device no more than such a device has. */
    const char *spec;
    const zm_log *log;     /* copied; NULL = silent */
    const char *cache_dir; /* compiled programs are kept here; NULL or "" = not kept */
    uint32_t host_threads; /* threads of the host device; 0 = one per processor */
} zm_device_params;

/* All usable devices, best first. Broken or empty platforms and devices that can't run the kernels
 * (older than OpenCL 1.2, no compiler) are skipped with a logged reason. The host device is always
 * among them. Free with zm_device_list_destroy. */
typedef struct zm_device_list {
    size_t count;
    zm_device_info *devices;
} zm_device_list;

ZM_API zm_status zm_device_list_create(const zm_device_params *params, zm_device_list **out);
ZM_API void zm_device_list_destroy(zm_device_list **list);

/* A device that is not here, to try on another one what it has room for: its limits, as
 * zm_device_params.spec applies them. It computes what that other one computes, at its speed. */
typedef struct zm_device_profile {
    const char *name;    /* "mali-g52" */
    const char *summary; /* what it is, in words */
    zm_device_limits limits;
} zm_device_profile;

/* Those there are; static. */
ZM_API const zm_device_profile *zm_device_profiles(size_t *count);

/* Opens a device. ZM_ERROR_NOT_FOUND: no such device (the log names those there are);
 * ZM_ERROR_INVALID_ARGUMENT: the spec cannot be read. */
ZM_API zm_status zm_device_open(const zm_device_params *params, zm_device **out);

/* Buffers and streams must be destroyed first. */
ZM_API void zm_device_close(zm_device **device);

/* Valid as long as the device is open. */
ZM_API const zm_device_info *zm_device_get_info(const zm_device *device);

/* Makes every later call of the op use the named kernel candidate, or fail with the reason why it
 * can't. kernel NULL lifts the order. The ops and candidates: zm_op_list (ops.h). Call it before
 * the device is used from several threads. */
ZM_API zm_status zm_device_force_kernel(zm_device *device, const char *op, const char *kernel);

/* ---- buffers ---- */

typedef struct zm_buffer_params {
    uint64_t size;         /* bytes, > 0 */
    bool host_visible;     /* place it where mapping is cheap */
    void *host_memory;     /* use this memory without a copy where the device can; must outlive the
                              buffer and be aligned to limits.wrap_alignment. NULL = own memory.
                              Contents are undefined for own memory. */
    const void *constants; /* the same, of memory that is only read and may be mapped so: the buffer
                              is read-only. No host_memory then. */
    /* 0 = one allocation; else it is made of parts of so many bytes, a multiple of 4, the last one
     * of what is left: for a weight that is larger than limits.max_buffer_bytes (zm_weight_layout),
     * or caches of sequences. Own memory only. */
    uint64_t part_bytes;
} zm_buffer_params;

/* ZM_ERROR_LIMIT when size, or that of a part, is over limits.max_buffer_bytes. */
ZM_API zm_status zm_buffer_create(zm_device *device, const zm_buffer_params *params,
                                  zm_buffer **out);
/* Pending work that uses the buffer must have finished (zm_stream_wait). */
ZM_API void zm_buffer_destroy(zm_buffer **buffer);
ZM_API uint64_t zm_buffer_size(const zm_buffer *buffer);
ZM_API zm_device *zm_buffer_get_device(const zm_buffer *buffer);

/* Offsets and sizes in bytes; a range outside the buffer is ZM_ERROR_INVALID_ARGUMENT, and so is
 * whatever would change a read-only one, or map it.
 * write: src may be reused on return. read: waits for the work before it in the stream; dst is
 * complete on return. copy and fill are asynchronous; copied ranges must not overlap. */
ZM_API zm_status zm_buffer_write(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                                 const void *src, uint64_t size);
ZM_API zm_status zm_buffer_read(zm_stream *stream, zm_buffer *buffer, uint64_t offset, void *dst,
                                uint64_t size);
ZM_API zm_status zm_buffer_copy(zm_stream *stream, zm_buffer *dst, uint64_t dst_offset,
                                zm_buffer *src, uint64_t src_offset, uint64_t size);
/* offset and size are multiples of 4. */
ZM_API zm_status zm_buffer_fill(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                                uint64_t size, uint32_t pattern);
/* Waits for the work before it, then gives a pointer to the range; the range must not be used by
 * the device until it is unmapped. One mapping per buffer at a time; of one in parts, one per part,
 * within it. */
ZM_API zm_status zm_buffer_map(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                               void **out);
ZM_API zm_status zm_buffer_unmap(zm_stream *stream, zm_buffer *buffer, void *pointer);

/* ---- streams and events ---- */

typedef struct zm_stream_params {
    bool timestamps; /* events of this stream carry device times (limits.timestamps) */
    /* Launches whose times are kept for zm_stream_take_records, a quarter of a KiB each and an
     * event of the driver; implies timestamps. 0 = none, and then they cost nothing. */
    uint32_t records;
} zm_stream_params;

/* One launch of an operation, in nanoseconds of the device's clock. */
typedef struct zm_record {
    char op[32];        /* "matmul" */
    char candidate[32]; /* that was chosen for it */
    char kernel[32];    /* an operation may take several */
    char node[64]; /* of a graph: the tensor that it writes, cut off where it is long; else "" */
    uint64_t queued_ns, start_ns, end_ns;
} zm_record;

typedef struct zm_records {
    const zm_record *records; /* in the order in which they were enqueued */
    size_t count;
    uint64_t lost; /* launches that found no room after those */
} zm_records;

/* params may be NULL. */
ZM_API zm_status zm_stream_create(zm_device *device, const zm_stream_params *params,
                                  zm_stream **out);
/* Waits for the stream's work. */
ZM_API void zm_stream_destroy(zm_stream **stream);
ZM_API zm_device *zm_stream_get_device(const zm_stream *stream);
/* Starts the enqueued work without waiting for it. */
ZM_API zm_status zm_stream_flush(zm_stream *stream);
/* Returns when everything enqueued so far is done; an error of any of it comes back here. */
ZM_API zm_status zm_stream_wait(zm_stream *stream);
/* Waits, then gives the records since the last call; they stay until the next launch, which begins
 * a new list. ZM_ERROR_UNSUPPORTED where the stream was created to keep none. */
ZM_API zm_status zm_stream_take_records(zm_stream *stream, zm_records *out);

ZM_API zm_status zm_event_create(zm_device *device, zm_event **out);
ZM_API void zm_event_destroy(zm_event **event);
/* Marks this point of the stream; an event may be marked again and again. */
ZM_API zm_status zm_event_mark(zm_event *event, zm_stream *stream);
ZM_API zm_status zm_event_wait(zm_event *event);
/* When the marked command started and ended on the device's clock, in nanoseconds. Waits.
 * ZM_ERROR_UNSUPPORTED where the stream was created without timestamps. */
ZM_API zm_status zm_event_times(zm_event *event, uint64_t *start_ns, uint64_t *end_ns);

#ifdef __cplusplus
}
#endif
#endif

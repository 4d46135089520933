/* SPDX-License-Identifier: Apache-2.0 */
/* The private side of include/zeromean/device.h: what a backend implements.
 *
 * The public functions in src/device check every argument against the limits and then call
 * through zm_device_fns; backends trust their input. Handles of a backend begin with the base
 * struct of their kind, so that the public code reads the base without a call. */
#ifndef ZM_SRC_DEVICE_DEVICE_H
#define ZM_SRC_DEVICE_DEVICE_H

#include <stdatomic.h>
#include <zeromean/device.h>

#include "common/log.h"
#include "common/thread.h"

typedef struct zm_kernel zm_kernel;

/* Kernels come in families: the same op written for a kind of machine. */
typedef enum zm_kernel_family {
    ZM_FAMILY_REF = 0, /* plain C, host device */
    ZM_FAMILY_CPU,     /* shaders/cpu */
    ZM_FAMILY_GPU,     /* shaders/gpu, shaders/vulkan */
    ZM_FAMILY_BENCH,   /* shaders/bench: no ops, the ceilings of a machine */
    ZM_FAMILY_CHAIN,   /* kernels of shaders/cpu as functions of shaders/chain */
    ZM_FAMILY_LIBRARY  /* routines of a library of others: sgemm.h */
} zm_kernel_family;

/* Names one kernel. Kernels are built once per device and options and live as long as it. */
typedef struct zm_kernel_desc {
    const char *name; /* of the file and of the entry point: "rms_norm" */
    zm_kernel_family family;
    /* "-DNAME=VALUE ..."; part of the identity; NULL = none. Of a chain: its kernels, a line each:
     * "NAME BUFFERS ARGUMENT_BYTES -DNAME=VALUE ...". */
    const char *options;
    uint32_t local[3]; /* work-group size; zeros = 1 */
    uint32_t buffer_count;
    uint32_t args_size; /* bytes of the argument struct */
    bool known_only;    /* no part of the identity: where it would have to be compiled, quietly
                           ZM_ERROR_NOT_FOUND instead */
} zm_kernel_desc;

#define ZM_MAX_BINDINGS 12
#define ZM_MAX_ARGS 128

/* One launch: plain data that can be kept and replayed. The host device counts the items of its
 * reference functions itself and does not look at groups. */
typedef struct zm_dispatch {
    const zm_kernel *kernel;
    zm_buffer *buffers[ZM_MAX_BINDINGS]; /* kernel->desc.buffer_count of them; NULL = absent */
    uint32_t groups[3];                  /* work-groups, each >= 1 */
    union {
        unsigned char bytes[ZM_MAX_ARGS];
        uint64_t align;
    } args;
} zm_dispatch;

/* When a marked command was enqueued, began and ended, on the device's clock. */
typedef struct zm_event_span {
    uint64_t queued_ns, start_ns, end_ns;
} zm_event_span;

/* Launches to be enqueued at once. */
typedef struct zm_list_params {
    const zm_dispatch *const *launches;
    size_t count;
    /* Those that a mutable list's launches may have, now and later. */
    const zm_kernel *const *kernels;
    size_t kernel_count;
    bool known_only; /* as of a zm_kernel_desc: for what the list itself takes */
} zm_list_params;

typedef struct zm_device_fns {
    /* all required; status functions log their reason */
    void (*close)(zm_device *device); /* also after a failed open */

    zm_status (*buffer_create)(zm_device *device, const zm_buffer_params *params, zm_buffer **out);
    void (*buffer_destroy)(zm_buffer *buffer);
    zm_status (*buffer_write)(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                              const void *src, uint64_t size);
    zm_status (*buffer_read)(zm_stream *stream, zm_buffer *buffer, uint64_t offset, void *dst,
                             uint64_t size);
    zm_status (*buffer_copy)(zm_stream *stream, zm_buffer *dst, uint64_t dst_offset, zm_buffer *src,
                             uint64_t src_offset, uint64_t size);
    zm_status (*buffer_fill)(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                             uint32_t pattern);
    zm_status (*buffer_map)(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                            void **out);
    zm_status (*buffer_unmap)(zm_stream *stream, zm_buffer *buffer, void *pointer);

    zm_status (*stream_create)(zm_device *device, const zm_stream_params *params, zm_stream **out);
    void (*stream_destroy)(zm_stream *stream);
    zm_status (*stream_flush)(zm_stream *stream);
    zm_status (*stream_wait)(zm_stream *stream);

    zm_status (*event_create)(zm_device *device, zm_event **out);
    void (*event_destroy)(zm_event *event);
    zm_status (*event_mark)(zm_event *event, zm_stream *stream);
    zm_status (*event_wait)(zm_event *event);
    zm_status (*event_times)(zm_event *event, zm_event_span *out);

    /* Takes memory from the program cache or builds. out's desc strings are the caller's. */
    zm_status (*kernel_create)(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out);
    void (*kernel_destroy)(zm_device *device, zm_kernel *kernel);
    /* event may be NULL; else it is marked by this dispatch. Thread-safe for one kernel. */
    zm_status (*dispatch)(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event);

    /* zm_list_create, _destroy, _update and _enqueue; record NULL = the backend has none. What
     * record can't do it logs for debugging only. */
    zm_status (*record)(zm_stream *stream, const zm_list_params *params, void **out);
    void (*recording_destroy)(zm_device *device, void *recording);
    bool (*recording_update)(void *recording, size_t index, const zm_dispatch *launch);
    zm_status (*replay)(zm_stream *stream, void *recording, bool *done);
} zm_device_fns;

/* The caller's memory that a buffer is made of; NULL = none. Of constants: not to be written to. */
void *zm_wrapped_memory(const zm_buffer_params *params);

/* A buffer in parts. */
zm_status zm_buffer_parts_create(zm_device *device, const zm_buffer_params *params,
                                 zm_buffer **out);
void zm_buffer_parts_destroy(zm_buffer *buffer);

/* Bases: the first member of the backend's own structs. */
struct zm_kernel {
    zm_kernel_desc desc; /* owned copies of the strings */
    zm_kernel *next;     /* device->kernels */
    zm_status status;    /* why it cannot be built; it is then a note of that and nothing more */
};

struct zm_buffer {
    zm_device *device;
    uint64_t size;
    uint64_t serial; /* of the device's buffers: another one may get the same address later */
    bool read_only;
    _Atomic(void *) mapping; /* NULL = not mapped; kept by the public functions */
    /* Where it is made of several: the backend knows each of them, and nothing of this one. */
    uint64_t part_bytes; /* of each but the last; 0 = it is one allocation */
    uint32_t part_count;
    struct zm_buffer **parts;
};

struct zm_stream {
    zm_device *device;
    bool timestamps;
    zm_buffer *scratch;           /* of zm_stream_scratch; NULL = none so far */
    struct zm_recorder *recorder; /* NULL = keeps no records */
    struct zm_list *lists;
};

struct zm_event {
    zm_device *device;
    bool marked;
    bool timestamps;
};

/* What another layer keeps for a device: the first member of its own struct. */
typedef struct zm_attachment {
    void (*destroy)(struct zm_attachment *attachment);
} zm_attachment;

#define ZM_MAX_FORCED 32
typedef struct zm_forced_kernel {
    char op[32];
    char kernel[32];
} zm_forced_kernel;

struct zm_device {
    const zm_device_fns *fns;
    zm_device_info info;
    zm_log log;
    char *cache_dir;      /* NULL = off */
    uint64_t cache_limit; /* bytes of files in it */
    char *shader_dir;     /* NULL = the embedded sources */
    zm_mutex mutex;       /* guards kernels, lists of streams, and the making of tunings */
    zm_kernel *kernels;
    _Atomic(zm_attachment *) tunings; /* of src/ops; NULL until they are asked for */
    atomic_ullong buffers;            /* created so far */
    atomic_uint built_kernels;        /* compiled from source */
    atomic_uint cached_kernels;       /* taken from the program cache */
    uint32_t forced_changes;          /* calls of zm_device_force_kernel */
    size_t forced_count;
    zm_forced_kernel forced[ZM_MAX_FORCED];
};

/* Whom a backend tells what it finds. */
typedef struct zm_device_visitor {
    void (*add)(void *user, const zm_device_info *info); /* fills in the score */
    void (*skip)(void *user, const char *reason);        /* one line: a driver that is of no use */
    void *user;
} zm_device_visitor;

/* A backend: enumerates its devices and opens one of them. */
typedef struct zm_backend_fns {
    const char *name; /* first part of a spec */
    /* Adds each usable device, skips broken platforms; a missing loader is neither. */
    zm_status (*enumerate)(const zm_log *log, const zm_device_visitor *visitor);
    /* info as enumerate gave it; params->log and cache_dir go to zm_device_base_init. */
    zm_status (*open)(const zm_device_info *info, const zm_device_params *params, zm_device **out);
} zm_backend_fns;

extern const zm_backend_fns zm_backend_opencl;
extern const zm_backend_fns zm_backend_host;

/* Initialises the base of a device; the pair of zm_device_base_finish. */
zm_status zm_device_base_init(zm_device *device, const zm_device_fns *fns,
                              const zm_device_info *info, const zm_device_params *params);
void zm_device_base_finish(zm_device *device);

/* The kernel of that description, built at the first call. Thread-safe. */
zm_status zm_kernel_get(zm_device *device, const zm_kernel_desc *desc, const zm_kernel **out);

/* Destroys every kernel of the device. */
void zm_kernel_destroy_all(zm_device *device);

/* Memory for what one launch leaves for the next one of the same op. The stream owns it; what is
 * in it holds until the stream's next op. Waits for the stream where it has to grow. */
zm_status zm_stream_scratch(zm_stream *stream, uint64_t size, zm_buffer **out);

/* Enqueues one launch. With an event of the caller's it is not among the stream's records. */
zm_status zm_device_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event);

/* Launches that are enqueued at once: kept by the driver for a stream, or one after the other in
 * one launch (limits.launch_chains), where they may be changed. */
typedef struct zm_list zm_list;
#define ZM_LIST_BUFFERS 112 /* that are not the same, of a list */
#define ZM_LIST_KERNELS 32
bool zm_list_is_possible(const zm_device *device);
bool zm_list_is_mutable(const zm_device *device);
/* Whether a launch can be in a list. */
bool zm_list_takes(const zm_device *device, const zm_dispatch *launch);
/* Kernels and buffers must live as long as it is enqueued. A failure is no error: the launches can
 * still be enqueued one by one. */
zm_status zm_list_create(zm_stream *stream, const zm_list_params *params, zm_list **out);
/* A launch in the place of another one, of any of the list's kernels. False: it can't take that. */
bool zm_list_update(zm_list *list, size_t index, const zm_dispatch *launch);
/* Waits while it is on its way. */
void zm_list_destroy(zm_list **list);
/* False also if its stream is gone. */
bool zm_list_is_of(const zm_list *list, const zm_stream *stream);
/* done false: it is still on its way since the last time and can't be again (a chain can, as it
 * was), and nothing was enqueued. */
zm_status zm_list_enqueue(zm_list *list, bool *done);
/* Before the stream goes. */
void zm_stream_forget_lists(zm_stream *stream);

/* What the next launches are for. */
typedef struct zm_label {
    const char *op, *candidate, *node; /* NULL = unknown */
} zm_label;
/* Costs nothing where the stream keeps no records. */
void zm_stream_label(zm_stream *stream, const zm_label *label);

/* Reads kernel sources from DIR/<family>/<name>.cl instead of the embedded ones; NULL = embedded.
 * Before the first kernel is built. */
zm_status zm_device_set_shader_dir(zm_device *device, const char *directory);

/* Kernels that were compiled from source since the device was opened, and those that came from
 * the program cache. */
uint32_t zm_device_built_kernels(const zm_device *device);
uint32_t zm_device_cached_kernels(const zm_device *device);

/* The candidate forced for this op, or NULL. */
const char *zm_device_forced_kernel(const zm_device *device, const char *op);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Launches that are enqueued at once: kept by the driver (command_buffer.c), or as a chain. */
#ifndef ZM_SRC_OPENCL_RECORDING_H
#define ZM_SRC_OPENCL_RECORDING_H

#include "opencl/opencl.h"

typedef struct zm_opencl_recording zm_opencl_recording;

typedef struct zm_opencl_recording_fns {
    void (*destroy)(zm_opencl_device *device, zm_opencl_recording *recording);
    bool (*update)(zm_opencl_recording *recording, size_t index, const zm_dispatch *launch);
    /* Enqueues it, with an event. CL_INVALID_OPERATION: it can't be while it is on its way. */
    cl_int (*enqueue)(zm_opencl_stream *stream, zm_opencl_recording *recording, cl_event *event);
    const char *call; /* that enqueue makes */
} zm_opencl_recording_fns;

struct zm_opencl_recording {
    const zm_opencl_recording_fns *fns;
    cl_event last; /* of its last run; NULL = none yet */
};

/* Whether it is on its way. */
bool zm_opencl_recording_is_pending(const zm_opencl_fns *cl, const zm_opencl_recording *recording);

zm_status zm_opencl_commands_record(zm_stream *stream, const zm_list_params *params,
                                    zm_opencl_recording **out);
zm_status zm_opencl_chain_create(zm_stream *stream, const zm_list_params *params,
                                 zm_opencl_recording **out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "opencl/recording.h"

static const zm_opencl_fns *functions(const zm_device *device)
{
    return &((const zm_opencl_device *)device)->cl;
}

zm_status zm_opencl_record(zm_stream *stream, const zm_list_params *params, void **out)
{
    zm_opencl_recording *recording = NULL;
    zm_status status = zm_list_is_mutable(stream->device)
                           ? zm_opencl_chain_create(stream, params, &recording)
                           : zm_opencl_commands_record(stream, params, &recording);
    *out = recording;
    return status;
}

void zm_opencl_recording_destroy(zm_device *device, void *user)
{
    zm_opencl_recording *recording = user;
    if (recording->last) {
        functions(device)->clWaitForEvents(1, &recording->last); /* it must not lose its kernels */
        functions(device)->clReleaseEvent(recording->last);
    }
    recording->fns->destroy((zm_opencl_device *)device, recording);
}

bool zm_opencl_recording_update(void *user, size_t index, const zm_dispatch *launch)
{
    zm_opencl_recording *recording = user;
    return recording->fns->update(recording, index, launch);
}

bool zm_opencl_recording_is_pending(const zm_opencl_fns *cl, const zm_opencl_recording *recording)
{
    cl_int state = CL_COMPLETE;
    cl_int error = recording->last
                       ? cl->clGetEventInfo(recording->last, CL_EVENT_COMMAND_EXECUTION_STATUS,
                                            sizeof(state), &state, NULL)
                       : CL_SUCCESS;
    return error != CL_SUCCESS || state > CL_COMPLETE;
}

zm_status zm_opencl_replay(zm_stream *stream, void *user, bool *done)
{
    zm_opencl_recording *recording = user;
    const zm_opencl_fns *cl = functions(stream->device);
    cl_event last = NULL;
    *done = false;
    cl_int error = recording->fns->enqueue((zm_opencl_stream *)stream, recording, &last);
    if (error == CL_INVALID_OPERATION)
        return ZM_OK;
    if (error != CL_SUCCESS)
        return zm_opencl_check(stream->device, error, recording->fns->call);
    if (recording->last)
        cl->clReleaseEvent(recording->last);
    recording->last = last;
    *done = true;
    return ZM_OK;
}

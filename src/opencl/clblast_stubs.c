/* SPDX-License-Identifier: Apache-2.0 */
/* A build without CLBlast. */
#include "opencl/clblast.h"

zm_status zm_clblast_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out)
{
    (void)desc;
    (void)out;
    return zm_fail(&device->log, ZM_ERROR_UNSUPPORTED,
                   "CLBlast is not there: this library was built without it (-Dclblast=disabled)");
}

void zm_clblast_kernel_destroy(zm_kernel *kernel)
{
    (void)kernel;
}

zm_status zm_clblast_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event)
{
    (void)stream;
    (void)dispatch;
    (void)event;
    return ZM_ERROR_UNSUPPORTED;
}

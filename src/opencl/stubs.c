/* SPDX-License-Identifier: Apache-2.0 */
/* The backend of a library that was built without OpenCL. */
#include "device/device.h"

static zm_status stub_enumerate(const zm_log *log, const zm_device_visitor *visitor)
{
    (void)visitor;
    zm_logf(log, ZM_LOG_INFO, "opencl: this library was built without it (-Dopencl=disabled)");
    return ZM_OK;
}

static zm_status stub_open(const zm_device_info *info, const zm_device_params *params,
                           zm_device **out)
{
    (void)out;
    return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "%s: this library was built without OpenCL",
                   info->spec);
}

const zm_backend_fns zm_backend_opencl = {"opencl", stub_enumerate, stub_open};

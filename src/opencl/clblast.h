/* SPDX-License-Identifier: Apache-2.0 */
/* CLBlast, if it is there: a peer to measure against, and a kernel to fall back on. It is opened at
 * run time, when a kernel of ZM_FAMILY_LIBRARY is asked for; built without it, nothing is found. */
#ifndef ZM_SRC_OPENCL_CLBLAST_H
#define ZM_SRC_OPENCL_CLBLAST_H

#include "opencl/opencl.h"

zm_status zm_clblast_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out);
void zm_clblast_kernel_destroy(zm_kernel *kernel);
/* CLBlast compiles its own kernels at the first call for a device, which takes seconds, and keeps
 * them in memory only. */
zm_status zm_clblast_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event);

#endif

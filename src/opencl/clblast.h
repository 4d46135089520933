/* SPDX-License-Identifier: Apache-2.0 */
/* CLBlast, if it is there: a peer to measure against. It is opened at run time, when a kernel of
 * ZM_FAMILY_LIBRARY is asked for; built without its headers, nothing is found. */
#ifndef ZM_SRC_OPENCL_CLBLAST_H
#define ZM_SRC_OPENCL_CLBLAST_H

#include "opencl/opencl.h"

zm_status zm_clblast_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out);
void zm_clblast_kernel_destroy(zm_kernel *kernel);
/* CLBlast compiles its own kernels at the first call for a device, which takes seconds, and keeps
 * them in memory only, until zm_clblast_kernel_destroy. A product is up to four commands; event
 * spans them. */
zm_status zm_clblast_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event);

#endif

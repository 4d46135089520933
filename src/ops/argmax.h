/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_OPS_ARGMAX_H
#define ZM_SRC_OPS_ARGMAX_H

#include "ops/op.h"

/* Of scratch memory, at most, whatever the shape. */
uint64_t zm_argmax_gpu_scratch(const zm_device *device);

#endif

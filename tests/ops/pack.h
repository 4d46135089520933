/* SPDX-License-Identifier: Apache-2.0 */
/* Weights, and vectors along their rows, in the layout that the device asks for. */
#ifndef ZM_TESTS_OPS_PACK_H
#define ZM_TESTS_OPS_PACK_H

#include "op_run.h"

/* Does the tensor of a case ask for the layout of the device? */
bool op_is_packed(const zm_tensor *tensor);
/* Replaces OP_PACKED or OP_GATED by the device's panel. memory: panel and count, without guard. */
zm_status op_packed_resolve(const zm_device *device, zm_tensor *tensor, op_memory *memory);
/* values: [rows][columns], gated ones gate, up, gate, up ... Packs them for the device into
 * memory->before, and as rows into memory->input. */
zm_status op_pack(const zm_tensor *tensor, bool gated, op_memory *memory, const double *values);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The tuned numbers that a device runs with: the built-in ones, and what the tuning file of its
 * cache folder has for it (tuning_file.h). */
#ifndef ZM_SRC_OPS_TUNINGS_H
#define ZM_SRC_OPS_TUNINGS_H

#include "ops/gpu_rows.h"
#include "ops/gpu_tiles.h"
#include "ops/tuning.h"

typedef struct zm_tunings {
    zm_tuning cpu;
    zm_gpu_tile_tuning gpu_matmul;
    zm_gpu_row_tuning gpu;
} zm_tunings;

/* Read at the first call for the device; every entry of the file that has never been checked on
 * this device with this driver is checked then (self_check.h). Thread-safe. Valid until the next
 * zm_tunings_set or until the device is closed. */
const zm_tunings *zm_tunings_get(const zm_device *device);

/* What the file makes of the built-in numbers, less its entries of this family at that place. */
struct zm_tuning_entry;
void zm_tunings_without(const zm_device *device, const struct zm_tuning_entry *place,
                        zm_kernel_family family, zm_tunings *out);

/* Before anything was tuned: what the capabilities of the device suggest. Static storage. */
const zm_tunings *zm_tunings_default(const zm_device *device);

/* Replaces them; no other thread may use the device meanwhile. For the tuner and the self-check. */
zm_status zm_tunings_set(zm_device *device, const zm_tunings *tunings);

/* ---- what can be tuned ---- */

/* One number. */
typedef struct zm_parameter {
    const char *op; /* whose entries set it; conv1d and patch_embedding follow matmul, all that
                       takes whole rows follows rms_norm */
    char name[40];
    zm_kernel_family family; /* whose kernels it is for */
    size_t offset;           /* in zm_tunings, of a uint32_t */
    uint32_t least, most;
    bool power_of_two;
} zm_parameter;

/* All of them; static storage. */
const zm_parameter *zm_parameter_list(size_t *count);
/* NULL = there is none. */
const zm_parameter *zm_parameter_find(const char *op, const char *name);

uint32_t zm_parameter_get(const zm_parameter *parameter, const zm_tunings *tunings);
/* False, and nothing is changed: the value is out of range. */
bool zm_parameter_set(const zm_parameter *parameter, zm_tunings *tunings, uint32_t value);

#endif

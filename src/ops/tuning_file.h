/* SPDX-License-Identifier: Apache-2.0 */
/* Tuned numbers on disk: CACHE_DIR/tuning.json, written by the tuner or by hand, and
 * CACHE_DIR/tuning-checked.json, where the library notes which of its entries it has checked on
 * which device, and what came of it. Both are written under a temporary name and renamed.
 *
 *     {"schema": "zeromean.tuning/1",
 *      "entries": [{"device": "NAME", "platform": "...", "driver": "...", "op": "matmul",
 *                   "parameters": {"block_rows": 96}}]}
 *
 * device, platform, vendor and driver are those of zm_device_info; one that is left out fits all.
 * Later entries win over earlier ones. Tile N of the gpu family, of ZM_MAX_GPU_TILES, is
 * gpu_tile_N_rows, _slots, _depth, _item_rows and _efficiency; what is left out stays as it is. */
#ifndef ZM_SRC_OPS_TUNING_FILE_H
#define ZM_SRC_OPS_TUNING_FILE_H

#include "ops/tunings.h"

#define ZM_TUNING_MAX_PARAMETERS 80

typedef struct zm_tuning_value {
    char name[40];
    uint32_t value;
} zm_tuning_value;

typedef struct zm_tuning_entry {
    char op[32];
    char device[128], platform[128], vendor[64], driver[128]; /* "" = any */
    size_t count;
    zm_tuning_value values[ZM_TUNING_MAX_PARAMETERS];
} zm_tuning_entry;

typedef struct zm_tuning_list {
    size_t count, capacity;
    zm_tuning_entry *entries;
} zm_tuning_list;

/* A missing file is an empty list. ZM_ERROR_BAD_FORMAT: the file is none of these. Finish also
 * after a failure. */
zm_status zm_tuning_file_read(const char *cache_dir, const zm_log *log, zm_tuning_list *out);
zm_status zm_tuning_file_write(const char *cache_dir, const zm_log *log,
                               const zm_tuning_list *list);
/* Could it be written? What is there has to be readable, too. */
zm_status zm_tuning_file_try(const char *cache_dir, const zm_log *log);
zm_status zm_tuning_list_add(zm_tuning_list *list, const zm_tuning_entry *entry);
void zm_tuning_list_finish(zm_tuning_list *list);

/* Of its first parameter; all of an entry belong to one. ZM_FAMILY_REF: there is no such parameter.
 */
zm_kernel_family zm_tuning_entry_family(const zm_tuning_entry *entry);
bool zm_tuning_entry_matches(const zm_tuning_entry *entry, const zm_device_info *info);
/* Is it of this family, and for the same op and device as `place`? */
bool zm_tuning_entry_is_at(const zm_tuning_entry *entry, const zm_tuning_entry *place,
                           zm_kernel_family family);
/* False: a parameter that the op doesn't have, of another family than the first, a value out of
 * range, or a tile that the device can't have; tunings are then as they were. */
bool zm_tuning_entry_apply(const zm_tuning_entry *entry, const zm_device *device,
                           zm_tunings *tunings, zm_refusal *refusal);

/* ---- what was checked ---- */

/* Hexadecimal SHA-256 of all that a check depends on: the op, all numbers of the family as the
 * entry and those before it make them, the device, its driver and platform, the version of the
 * library, and the kernels' sources (zm_shader_hash). */
typedef struct zm_tuning_key {
    char hex[65];
} zm_tuning_key;
zm_tuning_key zm_tuning_key_get(const zm_tuning_entry *entry, const zm_tunings *tunings,
                                const zm_device_info *info, const char *sources);

/* False: it was never checked. reason: "" = it was right. */
bool zm_tuning_checked_get(const char *cache_dir, const zm_tuning_key *key, zm_refusal *reason);
/* Best effort: without the note an entry is only checked again. */
void zm_tuning_checked_put(const char *cache_dir, const zm_tuning_key *key, const char *reason);

#endif

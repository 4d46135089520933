/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled programs on disk, in DEVICE->cache_dir/programs, one file each.
 *
 * A file is written under a temporary name and renamed, so that processes may share the folder. It
 * carries its key and a checksum: one that is truncated, changed or of something else is no hit and
 * is replaced. Nothing here fails a call: without the cache a program is only built again. */
#ifndef ZM_SRC_DEVICE_CACHE_H
#define ZM_SRC_DEVICE_CACHE_H

#include "device/device.h"

#define ZM_CACHE_DEFAULT_LIMIT ((uint64_t)256 << 20)

/* Hexadecimal SHA-256. */
typedef struct zm_cache_key {
    char hex[65];
} zm_cache_key;

/* Of all that decides the binary: the source with its includes, the options, the kernel, the
 * device, its driver and platform. */
void zm_cache_key_make(const zm_device *device, const zm_kernel_desc *desc, const char *options,
                       const char *source, size_t size, zm_cache_key *out);

/* False when there is no sound file for the key or the cache is off. Free *out with free(). */
bool zm_cache_load(const zm_device *device, const zm_cache_key *key, unsigned char **out,
                   size_t *size);

/* Deletes the files that were not used for longest while the folder is over the limit. */
void zm_cache_store(const zm_device *device, const zm_cache_key *key, const unsigned char *data,
                    size_t size);

#endif

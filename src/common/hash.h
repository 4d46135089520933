/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4). */
#ifndef ZM_SRC_COMMON_HASH_H
#define ZM_SRC_COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct zm_sha256 {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
} zm_sha256;

void zm_sha256_init(zm_sha256 *hash);
void zm_sha256_update(zm_sha256 *hash, const void *data, size_t size);
/* 64 hexadecimal digits and a NUL. */
void zm_sha256_finish(zm_sha256 *hash, char hex[65]);

#endif

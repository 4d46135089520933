/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_CONVERT_PROGRESS_H
#define ZM_SRC_CONVERT_PROGRESS_H

#include <zeromean/common.h>

/* Tells the caller now and then: every MiB, not every piece. */
typedef struct zm_convert_progress {
    zm_progress_fn call; /* NULL = nobody wants to know */
    void *user;
    const char *stage;
    uint64_t done, told, total;
} zm_convert_progress;

/* False: the caller wants to stop. */
bool zm_convert_progress_begin(zm_convert_progress *progress, const char *stage, uint64_t total);
bool zm_convert_progress_advance(zm_convert_progress *progress, uint64_t bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Where the library says in words what it does and why something failed. */
#ifndef ZEROMEAN_LOG_H
#define ZEROMEAN_LOG_H

#include <zeromean/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum zm_log_level {
    ZM_LOG_DEFAULT = 0, /* = ZM_LOG_WARNING */
    ZM_LOG_ERROR,       /* the reason why a call fails: one line, what, where, what to do */
    ZM_LOG_WARNING,     /* the call goes on, but the user would want to know */
    ZM_LOG_INFO,        /* choices: which device, which kernel, what was skipped and why */
    ZM_LOG_DEBUG        /* build logs, cache hits, refusals of kernel candidates */
} zm_log_level;

/* Passed by pointer in parameter structs and copied; a NULL pointer or a NULL write is silent.
 * write receives one line without a newline. It is called from whichever thread works, so it
 * must be thread-safe where devices are shared between threads. It must not call the library. */
typedef struct zm_log {
    void (*write)(void *user, zm_log_level level, const char *message);
    void *user;
    zm_log_level level; /* the least important level that is still written */
} zm_log;

#ifdef __cplusplus
}
#endif
#endif

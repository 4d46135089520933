/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to the caller's log. */
#ifndef ZM_SRC_COMMON_LOG_H
#define ZM_SRC_COMMON_LOG_H

#include <zeromean/log.h>

#include "common/compiler.h"

/* A silent log when log is NULL. */
zm_log zm_log_copy(const zm_log *log);

ZM_PRINTF(3, 4)
void zm_logf(const zm_log *log, zm_log_level level, const char *format, ...);

/* Logs the reason as an error and returns status: `return zm_fail(log, ZM_ERROR_IO, ...)`. */
ZM_PRINTF(3, 4)
zm_status zm_fail(const zm_log *log, zm_status status, const char *format, ...);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>

zm_log zm_log_copy(const zm_log *log)
{
    zm_log copy = {0};
    if (log)
        copy = *log;
    if (copy.level == ZM_LOG_DEFAULT)
        copy.level = ZM_LOG_WARNING;
    return copy;
}

static void log_write(const zm_log *log, zm_log_level level, const char *format, va_list args)
{
    if (!log || !log->write)
        return;
    zm_log_level least = log->level == ZM_LOG_DEFAULT ? ZM_LOG_WARNING : log->level;
    if (level > least)
        return;
    char message[2048];
    vsnprintf(message, sizeof(message), format, args);
    for (char *c = message; *c; c++)
        if (*c == '\n')
            *c = level == ZM_LOG_DEBUG ? '|' : ' ';
    log->write(log->user, level, message);
}

void zm_logf(const zm_log *log, zm_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_write(log, level, format, args);
    va_end(args);
}

zm_status zm_fail(const zm_log *log, zm_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_write(log, ZM_LOG_ERROR, format, args);
    va_end(args);
    return status;
}

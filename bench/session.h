/* SPDX-License-Identifier: Apache-2.0 */
/* A device that is measured, and why something on it failed. */
#ifndef ZM_BENCH_SESSION_H
#define ZM_BENCH_SESSION_H

#include <zeromean/device.h>

#include "cli/cli.h"

typedef struct session {
    zm_device *device;
    zm_stream *stream;
    const zm_device_info *info;
    zm_log log;        /* of what is made on the device */
    char message[256]; /* the first error of the library since session_forget */
} session;

/* spec NULL: what the environment says, else the best device. Says on stderr which one it is. The
 * session must stay where it is until it is closed. */
zm_cli_exit session_open(session *s, const char *spec);
void session_close(session *s);

/* ZM_ERROR_UNSUPPORTED: the device has no activations of this type. ZM_DTYPE_NONE = its own. */
zm_status session_check_type(session *s, zm_dtype type);

void session_forget(session *s);
/* In words, without what a table says anyway. */
const char *session_reason(const session *s, zm_status status);

#endif

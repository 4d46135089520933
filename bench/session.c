/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <stdio.h>
#include <string.h>

#include "cli/device.h"
#include "cli/output.h"
#include "common/log.h"

static void keep_message(void *user, zm_log_level level, const char *message)
{
    session *s = user;
    const zm_log *log = zm_cli_log();
    if (level == ZM_LOG_ERROR && !s->message[0])
        snprintf(s->message, sizeof(s->message), "%s", message);
    else if (level != ZM_LOG_ERROR && level <= log->level)
        log->write(log->user, level, message);
}

zm_cli_exit session_open(session *s, const char *spec)
{
    memset(s, 0, sizeof(*s));
    zm_environment environment;
    zm_environment_read(&environment);
    s->log = (zm_log){keep_message, s, zm_cli_log()->level};
    zm_device_params params = {
        .spec = spec ? spec : environment.device,
        .log = &s->log,
        .cache_dir = environment.cache_dir,
    };
    zm_status status = zm_device_open(&params, &s->device);
    if (status == ZM_OK)
        status = zm_stream_create(s->device, NULL, &s->stream);
    if (status != ZM_OK) {
        zm_cli_error("%s", session_reason(s, status));
        session_close(s);
        return status == ZM_ERROR_INVALID_ARGUMENT ? ZM_CLI_USAGE : ZM_CLI_FAILED;
    }
    s->info = zm_device_get_info(s->device);
    zm_cli_device_announce(s->device);
    return ZM_CLI_OK;
}

void session_close(session *s)
{
    zm_stream_destroy(&s->stream);
    zm_device_close(&s->device);
}

zm_status session_check_type(session *s, zm_dtype type)
{
    zm_dtype real = s->info->real_type;
    if (!type || type == real || (real != ZM_F64 && type != ZM_F64))
        return ZM_OK;
    return zm_fail(&s->log, ZM_ERROR_UNSUPPORTED, "activations are %s on device %s",
                   zm_dtype_name(real), s->info->spec);
}

void session_forget(session *s)
{
    s->message[0] = '\0';
}

const char *session_reason(const session *s, zm_status status)
{
    const char *reason = strstr(s->message, "can't do it: ");
    if (!s->message[0])
        return zm_status_message(status);
    return reason ? strchr(reason, ':') + 2 : s->message;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "support/capture.h"

#include <stdio.h>
#include <string.h>

static void capture_write(void *user, zm_log_level level, const char *message)
{
    capture *c = user;
    (void)level;
    pthread_mutex_lock(&c->mutex);
    int length = snprintf(c->text + c->used, sizeof(c->text) - c->used, "%s\n", message);
    if (length > 0 && c->used + (size_t)length < sizeof(c->text))
        c->used += (size_t)length;
    pthread_mutex_unlock(&c->mutex);
}

zm_log capture_log(capture *c, zm_log_level level)
{
    return (zm_log){capture_write, c, level};
}

void capture_clear(capture *c)
{
    pthread_mutex_lock(&c->mutex);
    c->used = 0;
    c->text[0] = '\0';
    pthread_mutex_unlock(&c->mutex);
}

bool capture_has(capture *c, const char *part)
{
    pthread_mutex_lock(&c->mutex);
    bool found = strstr(c->text, part) != NULL;
    pthread_mutex_unlock(&c->mutex);
    return found;
}

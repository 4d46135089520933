/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what the library logs, for tests that look for a reason in it. */
#ifndef ZM_TESTS_CAPTURE_H
#define ZM_TESTS_CAPTURE_H

#include <pthread.h>
#include <zeromean/log.h>

typedef struct capture {
    pthread_mutex_t mutex;
    char text[16384]; /* lines; full = the rest is lost */
    size_t used;
} capture;

#define CAPTURE_INIT                       \
    {                                      \
        .mutex = PTHREAD_MUTEX_INITIALIZER \
    }

/* A log of that level that writes into c. */
zm_log capture_log(capture *c, zm_log_level level);
void capture_clear(capture *c);
bool capture_has(capture *c, const char *part);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A caller who wants to go on until he has been asked often enough. */
#ifndef ZM_TESTS_SUPPORT_PATIENCE_H
#define ZM_TESTS_SUPPORT_PATIENCE_H

#include <stdbool.h>

typedef struct patience {
    unsigned asked, stop; /* false at that question; 0 = never */
} patience;

static inline bool still_patient(void *user)
{
    patience *self = user;
    return ++self->asked != self->stop;
}

#endif

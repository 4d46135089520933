/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel files a run has used: what no case reaches is not checked, however green the rest.
 */
#ifndef ZM_TESTS_COVERAGE_H
#define ZM_TESTS_COVERAGE_H

#include "device/device.h"

/* Of the embedded kernel files whose path ("gpu/add.cl") matches: how many there are, and how often
 * one was not built, or not with a value of an option that makes another kernel of it; printed. */
typedef struct coverage {
    size_t files, missing;
} coverage;

coverage coverage_get(const zm_device *device, const char *glob);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_DEVICE_PROFILE_H
#define ZM_SRC_DEVICE_PROFILE_H

#include <zeromean/device.h>

/* NULL = there is none of that name, in whatever case. */
const zm_device_profile *zm_profile_find(const char *name);

/* Leaves a device no more than the profile has, and makes it a GPU where it compiles kernels. */
void zm_profile_cut(const zm_device_profile *profile, zm_device_info *info);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing a device and saying which one it was. */
#ifndef ZM_SRC_CLI_DEVICE_H
#define ZM_SRC_CLI_DEVICE_H

#include <jansson.h>
#include <pthread.h>
#include <zeromean/device.h>

#include "cli/cli.h"

#define ZM_CLI_DEVICE_HELP                                                                        \
    "A device is BACKEND[:INDEX|:NAME][@PROFILE]: 'opencl', 'opencl:1', 'opencl:pocl', 'host',\n" \
    "'host:f64', 'opencl:pocl@mali-g52' (see the command devices). --device beats the\n"          \
    "environment variable ZEROMEAN_DEVICE, which beats the best device there is.\n"

#define ZM_CLI_KERNEL_OPTION(target)                                                           \
    {                                                                                          \
        "kernel", 'k', "OP=NAME", "force this kernel of an op; more with commas", ZM_CLI_TEXT, \
            target                                                                             \
    }

/* spec NULL: what the environment says, else the best. A spec that cannot be read is a usage
 * error. kernels: forced, as ZM_CLI_KERNEL_OPTION reads them; what is no op or none of its kernels
 * is one, too. *out is the caller's also after a failure. */
zm_cli_exit zm_cli_device_open(const char *spec, const char *kernels, zm_device **out);

/* Drivers that are setting themselves up on a thread of their own, which takes tens of
 * milliseconds, while the caller does something else. */
typedef struct zm_cli_drivers {
    pthread_t thread;
    bool waking;
} zm_cli_drivers;

/* Begins, unless spec, or what the environment says, needs none. */
void zm_cli_drivers_wake(zm_cli_drivers *drivers, const char *spec);
/* Before a device is opened or the program ends. */
void zm_cli_drivers_wait(zm_cli_drivers *drivers);

/* Which device it is, on stderr. */
void zm_cli_device_announce(const zm_device *device);

json_t *zm_cli_device_json(const zm_device_info *info);

const char *zm_cli_device_type_name(zm_device_type type);

#endif

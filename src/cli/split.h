/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that a model's layers are split over: --device A,B --split 3,1. */
#ifndef ZM_SRC_CLI_SPLIT_H
#define ZM_SRC_CLI_SPLIT_H

#include <jansson.h>
#include <zeromean/pipeline.h>
#include <zeromean/session.h>

#include "cli/cli.h"

#define ZM_CLI_SPLIT_OPTION(target)                                                              \
    {                                                                                            \
        "split", 0, "N,M[,...]", "layers on each of --device A,B[,...] (default: equal shares)", \
            ZM_CLI_TEXT, target                                                                  \
    }

#define ZM_CLI_SPLIT_HELP                                                                        \
    "With several devices, as in --device opencl:0,host --split 3,1, the first three quarters\n" \
    "of the layers of encoder and decoder run on the first one, the others on the second one.\n"

typedef struct zm_cli_split {
    zm_device *all[ZM_PIPELINE_DEVICES];
    uint32_t shares[ZM_PIPELINE_DEVICES];
    uint32_t count;
} zm_cli_split;

/* devices: one, or several with commas between them; NULL: what the environment says, else the
 * best. split NULL: equal shares. kernels: as zm_cli_device_open has them, on each device. What has
 * been opened is the caller's also after a failure. */
zm_cli_exit zm_cli_split_open(const char *devices, const char *split, const char *kernels,
                              zm_cli_split *out);
void zm_cli_split_close(zm_cli_split *devices);

/* Which ones they are, on stderr. */
void zm_cli_split_announce(const zm_cli_split *devices);
/* For a session on all[0]; the devices stay where they are. */
zm_split zm_cli_split_get(const zm_cli_split *devices);
/* Adds what `split` is in JSON to the object where there are several. */
void zm_cli_split_add_json(const zm_cli_split *devices, const char *key, json_t *object);

#endif

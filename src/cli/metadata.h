/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata of models, shown. */
#ifndef ZM_SRC_CLI_METADATA_H
#define ZM_SRC_CLI_METADATA_H

#include <jansson.h>
#include <zeromean/model.h>

/* An object of all values under their keys; arrays in full. NULL when out of memory. */
json_t *zm_cli_metadata_json(const zm_model *model);
/* A line for each value, long ones cut. */
void zm_cli_metadata_print(const zm_model *model);

#endif

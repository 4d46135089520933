/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that work on models share. */
#ifndef ZM_SRC_CLI_MODEL_H
#define ZM_SRC_CLI_MODEL_H

#include <jansson.h>
#include <zeromean/model.h>

/* Metadata that the converter writes. */
#define ZM_CLI_SOURCE_KEY "zeromean.source_sha256"

json_t *zm_cli_model_json(const zm_model *model);

/* The input of the encoder for the first 30 s of an audio file: [2 * encoder_positions][mel_bins].
 * Free with free(). */
zm_status zm_cli_mel_read(const char *audio, const zm_model_info *info, float **out);

#endif

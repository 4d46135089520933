/* SPDX-License-Identifier: Apache-2.0 */
/* What conversions write: a directory, or one GGUF file. */
#ifndef ZM_SRC_CONVERT_OUTPUT_H
#define ZM_SRC_CONVERT_OUTPUT_H

#include "convert/staging.h"

/* Metadata that every output has, besides the ZM_FORMAT_KEY of the model. */
#define ZM_OUTPUT_SOURCE "zeromean.source_sha256"
#define ZM_OUTPUT_VERSION "zeromean.version"

/* The weights of a directory with a low-rank adapter. */
#define ZM_OUTPUT_ADAPTER "adapter_model.safetensors"

/* Overwriting must not be a way to lose a model that cannot be made again.
 * ZM_ERROR_INVALID_ARGUMENT: what is there is not the output of a conversion. */
zm_status zm_output_check(const zm_staging *staging);

/* The file of weights in the temporary directory. NULL: out of memory. */
char *zm_output_weights(const zm_staging *staging);

#endif

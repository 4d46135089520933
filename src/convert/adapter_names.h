/* SPDX-License-Identifier: Apache-2.0 */
/* Which tensor of the model a tensor of an adapter is for, and what becomes of it. */
#ifndef ZM_SRC_CONVERT_ADAPTER_NAMES_H
#define ZM_SRC_CONVERT_ADAPTER_NAMES_H

#include "common/log.h"
#include "convert/recentre.h"

typedef enum zm_adapter_kind {
    ZM_ADAPTER_PEFT = 0,    /* names of modules */
    ZM_ADAPTER_GGUF_LORA,   /* names of the GGUF model's tensors */
    ZM_ADAPTER_GGUF_CONTROL /* direction.N */
} zm_adapter_kind;

/* With an update s B A of a writer W, C (W + s B A) = C W + s (C B) A: B changes as W does, A stays
 * as it is. path: of the adapter, for messages. ZM_ERROR_BAD_FORMAT: it is not of this model.
 * ZM_ERROR_UNSUPPORTED: the result would not be exact. */
zm_status zm_adapter_axis(const zm_model *model, zm_adapter_kind kind, const char *path,
                          const zm_model_tensor *tensor, const zm_log *log, zm_recentre_axis *out);

#endif

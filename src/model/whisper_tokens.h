/* SPDX-License-Identifier: Apache-2.0 */
/* The special tokens of Whisper, from generation_config.json, else from config.json. */
#ifndef ZM_SRC_MODEL_WHISPER_TOKENS_H
#define ZM_SRC_MODEL_WHISPER_TOKENS_H

#include <jansson.h>
#include <zeromean/model.h>

/* info->vocabulary is set. Lists hang on info, also on failure. */
zm_status zm_whisper_tokens_read(const char *directory, const json_t *config, const zm_log *log,
                                 zm_whisper_info *info);
void zm_whisper_tokens_free(zm_model_info *info);

#endif

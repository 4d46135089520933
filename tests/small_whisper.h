/* SPDX-License-Identifier: Apache-2.0 */
/* A Whisper small enough to write in a test: d 8, one encoder layer, two decoder layers. */
#ifndef ZM_TESTS_SMALL_WHISPER_H
#define ZM_TESTS_SMALL_WHISPER_H

#include "format/safetensors.h"

#define SMALL_MAX_TENSORS 100
#define SMALL_D 8
#define SMALL_VOCABULARY 30

/* Change it before writing it. Tensors without data are written as zeros. */
typedef struct small_whisper {
    char names[SMALL_MAX_TENSORS][256];
    zm_model_tensor tensors[SMALL_MAX_TENSORS];
    size_t count;
    const zm_metadata *metadata;
    size_t metadata_count;
} small_whisper;

extern const char small_config[], small_generation_config[];

/* All tensors F16, no metadata. */
void small_init(small_whisper *m);
void small_add(small_whisper *m, const char *prefix, const char *name, uint32_t rank, uint64_t n,
               uint64_t k);
/* Fails the test when there is none. */
zm_model_tensor *small_find(small_whisper *m, const char *name);

/* state: as scratch_setup made it. */
void small_write_text(void *const *state, const char *name, const char *text);
void small_write_configs(void *const *state);
/* Tensors first .. first + count - 1 as file name. */
void small_write_tensors(void *const *state, const char *name, const small_whisper *m, size_t first,
                         size_t count);
/* config.json, generation_config.json and model.safetensors. */
void small_write(void *const *state, const small_whisper *m);

#endif

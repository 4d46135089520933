/* SPDX-License-Identifier: Apache-2.0 */
/* The Whisper that is opened, whole and broken: d 8, one encoder layer, two decoder layers, F16,
 * three languages. state: as scratch_setup made it; the model's folder is *state. */
#ifndef ZM_TESTS_SMALL_WHISPER_H
#define ZM_TESTS_SMALL_WHISPER_H

#include "format/safetensors.h"
#include "model_files.h"

#define SMALL_SEED 20240613u
#define WEIGHTS "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define SMALL_D 8
#define SMALL_VOCABULARY 30
#define SMALL_TENSORS 74 /* 4 + 1 + 15 + 2 of the encoder, 2 + 2 * 24 + 2 of the decoder */

extern const test_whisper small_whisper;

/* A changed copy; the original is in *state/whole. */
void small_write_changed(void *const *state, const test_changes *changes);
/* With this one tensor in place of that of its name, or added. */
void small_write_put(void *const *state, const zm_model_tensor *tensor);
/* The tensors of an original in *state/whole. */
zm_safetensors *small_open_weights(void *const *state);
/* All but the weights. */
void small_write_configs(void *const *state);
/* Free with free(). */
char *small_read_text(void *const *state, const char *name);

zm_model *assert_opens(const char *path, unsigned warnings);
/* With one error that contains the message. */
void assert_refused(const char *path, zm_status expected, const char *message);
/* *state, after the first `from` in the file of that name was replaced by `to`, which is undone. */
void assert_text_refused(void *const *state, const char *name, const char *from, const char *to,
                         zm_status status, const char *message);

#endif

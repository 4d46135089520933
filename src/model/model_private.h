/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_MODEL_MODEL_PRIVATE_H
#define ZM_SRC_MODEL_MODEL_PRIVATE_H

#include <stdatomic.h>

#include "format/gguf.h"
#include "format/safetensors.h"
#include "model/architecture.h"
#include "model/text.h"
#include "model/vision.h"

struct zm_model {
    atomic_uint users; /* who have to close it */
    zm_model_info info;
    const zm_architecture_desc *architecture; /* NULL when it is not known */
    const zm_text_family *family;             /* of text; else NULL */
    const zm_vision_family *vision;           /* of images; else NULL */
    const zm_tensor_pattern *patterns;        /* what the architecture's tensors are */
    size_t pattern_count;
    zm_tensor_pattern *own_patterns; /* made for this model */
    char **pattern_names;            /* two of each: its own, and its norm's or NULL */
    char *refusal;                   /* info.refused */
    char *path;
    zm_safetensors **files; /* the shards, in order of their names */
    size_t file_count;
    zm_gguf *gguf;            /* instead of files */
    zm_model_tensor *tensors; /* of all files, in order of name; names belong to the files */
    size_t tensor_count;
    zm_metadata_value *values; /* in order of key; what they point to belongs to the files */
    size_t value_count;
    zm_text *texts; /* of values that come from safetensors */
};

extern const zm_architecture_desc zm_architecture_text, zm_architecture_vision;

/* Family and info are there. On failure what was made hangs on the model. */
zm_status zm_text_patterns_make(zm_model *model, const zm_log *log);
zm_status zm_vision_patterns_make(zm_model *model, const zm_log *log);
void zm_patterns_free(zm_model *model);
/* root and suffix, without the prefix that only tensors of the base model have and that a file of
 * that model alone leaves out. prefix may be NULL. */
void zm_base_name_write(const char *prefix, bool has_prefix, const char *root, const char *suffix,
                        char out[ZM_TEXT_NAME]);
/* A tensor that nothing is in. */
bool zm_text_is_ignored(const char *name);
bool zm_vision_is_ignored(const char *name);

/* Opens it, with all of its parts, and what it says about itself. On failure what was opened hangs
 * on the model. */
zm_status zm_gguf_model_open(zm_model *model, const zm_log *log);

/* Metadata that the converter writes. Files of the first version are models of LayerNorm as well,
 * those of the second one have norms that are folded, or a main branch of d - 1 elements. */
#define ZM_FORMAT_KEY "zeromean.format"
#define ZM_FORMAT_AFFINE "1"
#define ZM_FORMAT_FORMS "2"
#define ZM_FORMAT_NORM "zeromean.norm"
#define ZM_FORMAT_FOLDED "zeromean.folded"

/* What the converter wrote: which norm the weights are made for. Architecture and metadata are
 * there. */
zm_status zm_model_read_norm(zm_model *model, const zm_log *log);

/* Opens the weights: the file, or with file == NULL what the directory holds. On failure what was
 * opened hangs on the model. */
zm_status zm_weights_open(zm_model *model, const char *directory, const char *file,
                          const zm_log *log);
void zm_weights_close(zm_model *model);

/* Lists tensors and metadata of the files that are open. */
zm_status zm_weights_collect(zm_model *model, const zm_log *log);

/* Every tensor that the architecture needs, with its shape and a floating type. */
zm_status zm_weights_check(const zm_model *model, const zm_log *log);

/* Opens model.safetensors.index.json's shards and holds them against its weight_map. */
zm_status zm_shards_open(zm_model *model, const char *directory, const char *index,
                         const zm_log *log);

/* Adds one file to model->files. */
zm_status zm_weights_add_file(zm_model *model, const char *path, const zm_log *log);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Families of decoders of text as data. A family in a format is one row: how its hyper-parameters
 * and its tensors are called, what is the same in all of its models, and which fields may have one
 * value only because the blocks have no other. Everything else is common. */
#ifndef ZM_SRC_MODEL_TEXT_H
#define ZM_SRC_MODEL_TEXT_H

#include <jansson.h>
#include <zeromean/model.h>

#include "common/log.h"

/* Names end in .weight and .bias. The parts of the MLP are gate, up and down, or up and down. */
typedef enum zm_text_slot {
    ZM_TEXT_TOKENS = 0,
    ZM_TEXT_POSITIONS,
    ZM_TEXT_EMBEDDING_NORM,
    ZM_TEXT_ATTENTION_NORM,
    ZM_TEXT_QKV, /* all three in one, or: */
    ZM_TEXT_Q,
    ZM_TEXT_K,
    ZM_TEXT_V,
    ZM_TEXT_ATTENTION_OUT,
    ZM_TEXT_MLP_NORM,
    ZM_TEXT_GATE,
    ZM_TEXT_UP,
    ZM_TEXT_DOWN,
    ZM_TEXT_LAST_NORM,
    ZM_TEXT_HEAD,
    ZM_TEXT_ROPE_FACTORS,
    ZM_TEXT_SLOT_COUNT
} zm_text_slot;

typedef enum zm_text_key {
    ZM_TEXT_KEY_D = 0,
    ZM_TEXT_KEY_LAYERS,
    ZM_TEXT_KEY_HEADS,
    ZM_TEXT_KEY_KV_HEADS, /* absent: as many as heads */
    ZM_TEXT_KEY_HEAD_DIM, /* absent: d / heads */
    ZM_TEXT_KEY_FF,       /* absent: 4 d */
    ZM_TEXT_KEY_VOCABULARY,
    ZM_TEXT_KEY_POSITIONS,
    ZM_TEXT_KEY_EPS,         /* absent: 1e-5 */
    ZM_TEXT_KEY_ACTIVATION,  /* absent: the family's */
    ZM_TEXT_KEY_TIED,        /* absent: the family's */
    ZM_TEXT_KEY_ROPE_BASE,   /* absent: 10000; where there is none, nothing is scaled either */
    ZM_TEXT_KEY_ROTARY_DIM,  /* absent: of the next one */
    ZM_TEXT_KEY_ROTARY_PART, /* of head_dim; absent: all of it */
    ZM_TEXT_KEY_WINDOW,      /* absent: none */
    ZM_TEXT_KEY_COUNT
} zm_text_key;

/* How the rows of q, k and v lie in a projection that has all three. */
typedef enum zm_text_fused {
    ZM_TEXT_FUSED_PARTS = 0, /* all of q, all of k, all of v */
    ZM_TEXT_FUSED_GROUPS     /* for each head of k: its heads of q, itself, its head of v */
} zm_text_fused;

/* A field that may be absent or null, or have this value, as JSON writes it; others are refused.
 * reason: what models with another value are; NULL = nothing is to be said of them. */
typedef struct zm_text_fixed {
    const char *key, *value, *reason;
} zm_text_fixed;

typedef struct zm_text_fields zm_text_fields;

typedef struct zm_text_family {
    const char *name; /* model_type, or general.architecture */
    bool gguf;
    const char *variant; /* a field that is true in models of this row; NULL = in the others */
    bool transposed;     /* matrices of the layers are [k][n] (GPT-2's Conv1D) */
    zm_text_fused fused;
    uint32_t biased;    /* bits of the slots whose .bias has to be there; others may have one */
    const char *prefix; /* of all names; files without it are the same; NULL = none */
    zm_text_info info;  /* what all of its models have in common */
    const char *keys[ZM_TEXT_KEY_COUNT];   /* NULL = there is no such field */
    const char *slots[ZM_TEXT_SLOT_COUNT]; /* '*' stands for the layer; NULL = no such tensor */
    zm_text_fixed fixed[9];                /* as many as have a key */
    /* What differs from model to model of the family in its own way; NULL = nothing. */
    zm_status (*settle)(const zm_text_fields *fields, zm_text_info *info);
} zm_text_family;

/* config: NULL = GGUF. NULL = there is no such family in this format. */
const zm_text_family *zm_text_family_find(const char *name, const json_t *config);
/* Those of config.json and of GGUF files, for messages. */
#define ZM_TEXT_FAMILIES                                                                       \
    "llama, gpt2, gpt_neox, gptj, phi, falcon, opt, bloom, qwen2, mistral, mpt, gpt_bigcode, " \
    "gemma, starcoder2"
#define ZM_TEXT_GGUF_FAMILIES \
    "llama, qwen2, gemma, gpt2, starcoder, starcoder2, gptneox, phi2, falcon, bloom, mpt"

/* Fills norm, eps and text of info; tensors of the model are there already. */
zm_status zm_text_read(const zm_text_family *family, const zm_text_fields *fields,
                       zm_model_info *info);

/* Fills what is about rotary positions; d and positions are there. Its factors are freed by the
 * other one, also on failure. */
zm_status zm_text_rope_read(const zm_text_family *family, const zm_text_fields *fields,
                            zm_text_info *text);
void zm_text_rope_free(zm_text_info *text);
/* Of rotated vectors, as the paper of YaRN has it. */
double zm_text_yarn_magnitude(double factor);

/* ---- fields of config.json, or of GGUF metadata ---- */

struct zm_text_fields {
    const char *what;     /* the file, for messages */
    const json_t *config; /* NULL = the metadata of */
    const zm_model *model;
    const char *family;
    const zm_log *log;
};

/* Missing and null fields leave *out and give false in *found. */
zm_status zm_text_field_u32(const zm_text_fields *fields, const char *key, uint32_t least,
                            uint32_t most, uint32_t *out, bool *found);
zm_status zm_text_field_real(const zm_text_fields *fields, const char *key, double least,
                             double most, double *out, bool *found);
zm_status zm_text_field_bool(const zm_text_fields *fields, const char *key, bool *out, bool *found);
/* Of at most size - 1 bytes. */
zm_status zm_text_field_string(const zm_text_fields *fields, const char *key, char *out,
                               size_t size, bool *found);
/* What config.json calls an activation. */
zm_status zm_text_field_activation(const zm_text_fields *fields, const char *key,
                                   zm_activation *out);
zm_status zm_text_field_check(const zm_text_fields *fields, const zm_text_fixed *fixed);

/* ---- tensors ---- */

#define ZM_TEXT_NAME 128

/* The family of a model that is ZM_ARCHITECTURE_TEXT. */
const zm_text_family *zm_model_text_family(const zm_model *model);
/* The name without .weight or .bias. False: the model has no such tensor. */
bool zm_model_text_name(const zm_model *model, zm_text_slot slot, uint32_t layer,
                        char out[ZM_TEXT_NAME]);

#endif

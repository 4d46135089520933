/* SPDX-License-Identifier: Apache-2.0 */
/* An architecture as data: how config.json calls it, which tensors it has, of which shape, and how
 * each takes part in the blocks. A new family is a new table. */
#ifndef ZM_SRC_MODEL_ARCHITECTURE_H
#define ZM_SRC_MODEL_ARCHITECTURE_H

#include <jansson.h>
#include <zeromean/model.h>

#include "common/log.h"

/* How a tensor takes part, seen from the main branch (the residual stream). */
typedef enum zm_tensor_role {
    ZM_ROLE_NONE = 0,    /* no tensor of the architecture */
    ZM_ROLE_INPUT,       /* computes on the model's input, before there is a main branch */
    ZM_ROLE_EMBEDDING,   /* token table: begins the main branch and is the head as well */
    ZM_ROLE_TABLE,       /* token table that begins the main branch and is not the head */
    ZM_ROLE_HEAD,        /* a copy of the token table under another name; not read */
    ZM_ROLE_POSITION,    /* position table, added to the input or the embedding */
    ZM_ROLE_NORM_WEIGHT, /* affine part of a norm */
    ZM_ROLE_NORM_BIAS,
    ZM_ROLE_READER_WEIGHT, /* [n][d]: multiplies the output of a norm */
    ZM_ROLE_READER_BIAS,
    ZM_ROLE_WRITER_WEIGHT, /* [d][n]: its product is added to the main branch */
    ZM_ROLE_WRITER_BIAS,   /* [d] */
    ZM_ROLE_WRITER_GAIN,   /* [d]: what a writer gives is multiplied by it (LayerScale) */
    ZM_ROLE_ENTRY_WEIGHT,  /* [d][n...]: its product begins the main branch */
    ZM_ROLE_ENTRY_BIAS,    /* [...][d]: added to what begins it, or begins a row of it */
    ZM_ROLE_COUNT
} zm_tensor_role;

/* The numbers that shapes and layer counts are made of. */
typedef enum zm_model_size {
    ZM_SIZE_ONE = 0, /* also: no layers */
    ZM_SIZE_KERNEL,  /* taps of a convolution */
    ZM_SIZE_D,
    ZM_SIZE_MEL_BINS,
    ZM_SIZE_VOCABULARY,
    ZM_SIZE_ENCODER_LAYERS,
    ZM_SIZE_ENCODER_FF,
    ZM_SIZE_ENCODER_POSITIONS,
    ZM_SIZE_DECODER_LAYERS,
    ZM_SIZE_DECODER_FF,
    ZM_SIZE_DECODER_POSITIONS,
    ZM_SIZE_LAYERS,
    ZM_SIZE_FF,
    ZM_SIZE_Q,   /* rows of the queries' projection */
    ZM_SIZE_KV,  /* of the keys', and of the values' */
    ZM_SIZE_QKV, /* of all three */
    ZM_SIZE_POSITION_ROWS,
    ZM_SIZE_ROTARY_PAIRS,
    ZM_SIZE_CHANNELS,
    ZM_SIZE_PATCH,
    ZM_SIZE_EMBEDDING,
    ZM_SIZE_LABELS,
    ZM_SIZE_TEXT_D, /* of the other half of a model of images */
    ZM_SIZE_TEXT_LAYERS,
    ZM_SIZE_TEXT_FF,
    ZM_SIZE_TEXT_POSITIONS,
    ZM_SIZE_COUNT
} zm_model_size;

typedef struct zm_tensor_pattern {
    const char *name; /* '*' stands for the number of the layer */
    zm_tensor_role role;
    zm_model_size layers; /* ZM_SIZE_ONE where the name has no '*' */
    uint32_t rank;
    zm_model_size shape[4];
    bool optional;
    bool transposed; /* the last two dimensions are the other way round */
    /* Of a reader's weight: the norm whose weight and bias can become a part of it, without
     * .weight. A norm that no reader names keeps them, and its d elements: its readers are the head
     * as well, or belong to another main branch. */
    const char *norm;
    bool unbiased;    /* a reader that has no bias, since one would change nothing */
    const char *gain; /* of a writer: the pattern of ZM_ROLE_WRITER_GAIN that is its; NULL = none */
} zm_tensor_pattern;

typedef struct zm_architecture_desc {
    zm_architecture architecture;
    const char *model_type; /* in config.json */
    const zm_tensor_pattern *patterns;
    size_t pattern_count;
    /* Fills the hyper-parameters of info from the files in directory. What it allocates hangs on
     * info, also on failure, and is freed by finish. */
    zm_status (*read)(const char *directory, const json_t *config, const zm_log *log,
                      zm_model_info *info);
    void (*sizes)(const zm_model_info *info, uint64_t out[ZM_SIZE_COUNT]);
    /* What the patterns cannot say; may be NULL. */
    zm_status (*check)(const zm_model *model, const zm_log *log);
    void (*finish)(zm_model_info *info);
} zm_architecture_desc;

/* The entry for config.json's model_type, or NULL. */
const zm_architecture_desc *zm_architecture_find(const char *model_type);
/* NULL for ZM_ARCHITECTURE_NONE. */
const zm_architecture_desc *zm_architecture_get(zm_architecture architecture);
/* "whisper, ..." */
const char *zm_architecture_names(void);
/* Why a model_type can't be supported, whatever is built; NULL = nothing is known of it. */
const char *zm_architecture_reason(const char *model_type);
/* What reads or writes the main branch in another way than Pre-LN does. */
#define ZM_POST_LN "it is Post-LN, whose main branch goes through its norms, which need its mean"

/* The pattern that a tensor's name matches, whatever the number of its layer; NULL = none.
 * layer may be NULL; it is 0 where the pattern has none. */
const zm_tensor_pattern *zm_tensor_pattern_find(const zm_architecture_desc *desc, const char *name,
                                                uint32_t *layer);
/* The same for a tensor of a model, whose layer has to be one of the model's. */
const zm_tensor_pattern *zm_tensor_pattern_get(const zm_model *model, const char *name);
/* Does a reader name this norm, to which the pattern belongs? */
bool zm_norm_can_fold(const zm_model *model, const zm_tensor_pattern *pattern);
/* Is that a name of the pattern? Gives the number of its layer; 0 where the pattern has none. */
bool zm_tensor_pattern_match(const char *pattern, const char *name, uint32_t *layer);
/* The other way round: the name in this layer. */
#define ZM_PATTERN_NAME 256
void zm_tensor_pattern_name(const char *pattern, uint64_t layer, char *out, size_t size);

/* Elements of the main branch of the original. */
uint64_t zm_model_width(const zm_model *model);
/* CRMS and ORTHO: the main branch has d - 1 elements. */
bool zm_norm_is_narrow(zm_norm norm);
/* The dimension of such a tensor along which vectors of the main branch lie; -1: none does, or they
 * have d elements whatever the norm is. */
int zm_tensor_pattern_axis(const zm_tensor_pattern *pattern);

/* The gains of what a writer gives, in the same layer; NULL = none. */
const zm_model_tensor *zm_tensor_gain_get(const zm_model *model, const char *name);
/* Is it a buffer of the reference implementation, in which nothing is? */
bool zm_tensor_is_ignored(const zm_model *model, const char *name);
/* ZM_ROLE_NONE for a name that the architecture does not know. */
zm_tensor_role zm_tensor_role_get(const zm_model *model, const char *name);

#endif

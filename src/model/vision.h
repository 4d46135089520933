/* SPDX-License-Identifier: Apache-2.0 */
/* Families of models of images as data, as those of text are (model/text.h): one row says how
 * hyper-parameters and tensors are called and what all of its models have in common. A model has an
 * encoder of images, one of text, or both. */
#ifndef ZM_SRC_MODEL_VISION_H
#define ZM_SRC_MODEL_VISION_H

#include "model/text.h"

typedef enum zm_tower { ZM_TOWER_IMAGE = 0, ZM_TOWER_TEXT, ZM_TOWER_COUNT } zm_tower;

/* Names end in .weight and .bias; those of class and other tokens, of positions and of gains are
 * whole. */
typedef enum zm_vision_slot {
    ZM_VISION_CLASS = 0, /* the token in front of the patches */
    ZM_VISION_DISTILLED, /* DeiT's, behind it */
    ZM_VISION_MASK,      /* in place of patches while training; not read */
    ZM_VISION_PATCHES,
    ZM_VISION_TOKENS, /* of text */
    ZM_VISION_POSITIONS,
    ZM_VISION_ENTRY_NORM, /* in front of the layers */
    ZM_VISION_ATTENTION_NORM,
    ZM_VISION_QKV, /* all three in one, or: */
    ZM_VISION_Q,
    ZM_VISION_K,
    ZM_VISION_V,
    ZM_VISION_ATTENTION_OUT,
    ZM_VISION_ATTENTION_GAIN, /* LayerScale (Touvron et al. 2021) */
    ZM_VISION_MLP_NORM,
    ZM_VISION_UP,
    ZM_VISION_DOWN,
    ZM_VISION_MLP_GAIN,
    ZM_VISION_LAST_NORM,
    ZM_VISION_POOLER,     /* tanh of it is the embedding */
    ZM_VISION_PROJECTION, /* gives the embedding */
    ZM_VISION_HEAD,       /* gives the logits; or the mean of the next two does: */
    ZM_VISION_HEAD_CLASS,
    ZM_VISION_HEAD_DISTILLED,
    ZM_VISION_TEMPERATURE, /* between images and text; not read */
    ZM_VISION_SLOT_COUNT
} zm_vision_slot;

typedef struct zm_vision_family {
    const char *name;                    /* model_type */
    const char *objects[ZM_TOWER_COUNT]; /* of config.json that have the fields of each encoder;
                                            "" = it itself; NULL = there is no such encoder */
    const char *prefix; /* of all names; files without it are the same; NULL = none */
    uint32_t biased;    /* bits of the slots whose .bias has to be there; others may have one */
    uint32_t class_rank, mask_rank, position_rank; /* [1][1][d] or [d], and so on */
    bool projects;       /* there is a projection in each model; else in some */
    zm_vision_info info; /* defaults of the fields, and what all models have in common */
    const char *slots[ZM_TOWER_COUNT][ZM_VISION_SLOT_COUNT]; /* '*' = the layer; NULL = none */
    zm_text_fixed fixed[8];                                  /* as many as have a key */
    /* What is read in another way; NULL = nothing. */
    zm_status (*settle)(const zm_text_fields *fields, zm_vision_info *info);
} zm_vision_family;

/* NULL = there is no such family. */
const zm_vision_family *zm_vision_family_find(const char *name);
/* For messages. */
#define ZM_VISION_FAMILIES "vit, deit, dinov2, clip, clip_vision_model, clip_text_model"

/* Fills norm, eps and vision of info. */
zm_status zm_vision_read(const zm_vision_family *family, const zm_text_fields *fields,
                         zm_model_info *info);

/* ---- tensors ---- */

const zm_vision_family *zm_model_vision_family(const zm_model *model);
/* The name without .weight or .bias; whole where the slot says so. False: the model has no such
 * tensor. */
bool zm_model_vision_name(const zm_model *model, zm_tower tower, zm_vision_slot slot,
                          uint32_t layer, char out[ZM_TEXT_NAME]);

#endif

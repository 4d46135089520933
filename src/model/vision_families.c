/* SPDX-License-Identifier: Apache-2.0 */
/* The families of models of images. A new one is a row here and a case of the test that holds them
 * against a reference; what is not tested is not here. */
#include <string.h>

#include "model/vision.h"

#define S(name) [ZM_VISION_##name]
#define BIAS(name) (1u << ZM_VISION_##name)
#define IMAGE ZM_TOWER_IMAGE
#define TEXT ZM_TOWER_TEXT

#define ALWAYS                                                                                   \
    (BIAS(ENTRY_NORM) | BIAS(ATTENTION_NORM) | BIAS(ATTENTION_OUT) | BIAS(MLP_NORM) | BIAS(UP) | \
     BIAS(DOWN) | BIAS(LAST_NORM) | BIAS(POOLER) | BIAS(HEAD) | BIAS(HEAD_CLASS) |               \
     BIAS(HEAD_DISTILLED))

#define VIT_INFO                                \
    .image = {.d = 768,                         \
              .layers = 12,                     \
              .heads = 12,                      \
              .ff = 3072,                       \
              .activation = ZM_ACTIVATION_GELU, \
              .eps = 1e-12f,                    \
              .image = 224,                     \
              .patch = 16,                      \
              .channels = 3}
/* The tensors of ViT, and of what was made after it. */
#define VIT_EMBEDDINGS(root)                                                        \
    S(CLASS) = root "embeddings.cls_token", S(MASK) = root "embeddings.mask_token", \
    S(PATCHES) = root "embeddings.patch_embeddings.projection",                     \
    S(POSITIONS) = root "embeddings.position_embeddings"
#define VIT_ATTENTION(root)                                           \
    S(Q) = root "encoder.layer.*.attention.attention.query",          \
    S(K) = root "encoder.layer.*.attention.attention.key",            \
    S(V) = root "encoder.layer.*.attention.attention.value",          \
    S(ATTENTION_OUT) = root "encoder.layer.*.attention.output.dense", \
    S(LAST_NORM) = root "layernorm"
#define VIT_LAYERS(root)                                                              \
    VIT_ATTENTION(root), S(ATTENTION_NORM) = root "encoder.layer.*.layernorm_before", \
                         S(MLP_NORM) = root "encoder.layer.*.layernorm_after",        \
                         S(UP) = root "encoder.layer.*.intermediate.dense",           \
                         S(DOWN) = root "encoder.layer.*.output.dense",               \
                         S(POOLER) = root "pooler.dense"

#define CLIP_IMAGE                                    \
    .image = {.d = 768,                               \
              .layers = 12,                           \
              .heads = 12,                            \
              .ff = 3072,                             \
              .activation = ZM_ACTIVATION_QUICK_GELU, \
              .eps = 1e-5f,                           \
              .image = 224,                           \
              .patch = 32,                            \
              .channels = 3},                         \
    .entry_norm = true
#define CLIP_TEXT                                    \
    .text = {.d = 512,                               \
             .layers = 12,                           \
             .heads = 8,                             \
             .ff = 2048,                             \
             .activation = ZM_ACTIVATION_QUICK_GELU, \
             .eps = 1e-5f,                           \
             .vocabulary = 49408,                    \
             .positions = 77}
#define CLIP_LAYERS(root)                                                                       \
    S(ATTENTION_NORM) = root "encoder.layers.*.layer_norm1",                                    \
    S(Q) = root "encoder.layers.*.self_attn.q_proj",                                            \
    S(K) = root "encoder.layers.*.self_attn.k_proj",                                            \
    S(V) = root "encoder.layers.*.self_attn.v_proj",                                            \
    S(ATTENTION_OUT) = root "encoder.layers.*.self_attn.out_proj",                              \
    S(MLP_NORM) = root "encoder.layers.*.layer_norm2", S(UP) = root "encoder.layers.*.mlp.fc1", \
    S(DOWN) = root "encoder.layers.*.mlp.fc2"
#define CLIP_IMAGE_SLOTS                                                       \
    S(CLASS) = "vision_model.embeddings.class_embedding",                      \
    S(PATCHES) = "vision_model.embeddings.patch_embedding",                    \
    S(POSITIONS) = "vision_model.embeddings.position_embedding.weight",        \
    S(ENTRY_NORM) = "vision_model.pre_layrnorm", CLIP_LAYERS("vision_model."), \
    S(LAST_NORM) = "vision_model.post_layernorm", S(PROJECTION) = "visual_projection"
#define CLIP_TEXT_SLOTS                                                                           \
    S(TOKENS) = "text_model.embeddings.token_embedding",                                          \
    S(POSITIONS) = "text_model.embeddings.position_embedding.weight", CLIP_LAYERS("text_model."), \
    S(LAST_NORM) = "text_model.final_layer_norm", S(PROJECTION) = "text_projection"

#define FLAT .class_rank = 1, .position_rank = 2
#define DEEP .class_rank = 3, .position_rank = 3

static zm_status settle_dinov2(const zm_text_fields *fields, zm_vision_info *info)
{
    uint32_t ratio = 4;
    bool found;
    zm_status status = zm_text_field_u32(fields, "mlp_ratio", 1, 64, &ratio, &found);
    info->image.ff = ratio * info->image.d;
    return status;
}

static const zm_vision_family families[] = {
    {.name = "vit",
     .objects = {[IMAGE] = ""},
     .prefix = "vit.",
     .biased = ALWAYS | BIAS(PATCHES),
     DEEP,
     .mask_rank = 3,
     .info = {VIT_INFO},
     .slots = {[IMAGE] = {VIT_EMBEDDINGS("vit."), VIT_LAYERS("vit."), S(HEAD) = "classifier"}},
     .fixed = {{"pooler_act", "\"tanh\""}}},
    {.name = "deit",
     .objects = {[IMAGE] = ""},
     .prefix = "deit.",
     .biased = ALWAYS | BIAS(PATCHES),
     DEEP,
     .mask_rank = 3,
     .info = {VIT_INFO, .distilled = true},
     .slots = {[IMAGE] = {VIT_EMBEDDINGS("deit."),
                          S(DISTILLED) = "deit.embeddings.distillation_token", VIT_LAYERS("deit."),
                          S(HEAD) = "classifier", S(HEAD_CLASS) = "cls_classifier",
                          S(HEAD_DISTILLED) = "distillation_classifier"}},
     .fixed = {{"pooler_act", "\"tanh\""}}},
    {.name = "dinov2",
     .objects = {[IMAGE] = ""},
     .prefix = "dinov2.",
     .biased = ALWAYS | BIAS(PATCHES),
     DEEP,
     .mask_rank = 2,
     .info = {.image = {.d = 768,
                        .layers = 12,
                        .heads = 12,
                        .activation = ZM_ACTIVATION_GELU,
                        .eps = 1e-6f,
                        .image = 224,
                        .patch = 14,
                        .channels = 3}},
     .slots = {[IMAGE] = {VIT_EMBEDDINGS("dinov2."), VIT_ATTENTION("dinov2."),
                          S(ATTENTION_NORM) = "dinov2.encoder.layer.*.norm1",
                          S(ATTENTION_GAIN) = "dinov2.encoder.layer.*.layer_scale1.lambda1",
                          S(MLP_NORM) = "dinov2.encoder.layer.*.norm2",
                          S(UP) = "dinov2.encoder.layer.*.mlp.fc1",
                          S(DOWN) = "dinov2.encoder.layer.*.mlp.fc2",
                          S(MLP_GAIN) = "dinov2.encoder.layer.*.layer_scale2.lambda1"}},
     .fixed = {{"use_swiglu_ffn", "false"}},
     .settle = settle_dinov2},
    {.name = "clip",
     .objects = {[IMAGE] = "vision_config.", [TEXT] = "text_config."},
     .biased = ALWAYS,
     .projects = true,
     FLAT,
     .info = {CLIP_IMAGE, CLIP_TEXT},
     .slots = {[IMAGE] = {CLIP_IMAGE_SLOTS, S(TEMPERATURE) = "logit_scale"},
               [TEXT] = {CLIP_TEXT_SLOTS}}},
    {.name = "clip_vision_model",
     .objects = {[IMAGE] = ""},
     .biased = ALWAYS,
     FLAT,
     .info = {CLIP_IMAGE},
     .slots = {[IMAGE] = {CLIP_IMAGE_SLOTS}}},
    {.name = "clip_text_model",
     .objects = {[TEXT] = ""},
     .biased = ALWAYS,
     FLAT,
     .info = {CLIP_TEXT},
     .slots = {[TEXT] = {CLIP_TEXT_SLOTS}}},
};

const zm_vision_family *zm_vision_family_find(const char *name)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    return NULL;
}

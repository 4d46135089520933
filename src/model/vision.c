/* SPDX-License-Identifier: Apache-2.0 */
/* From a family's row and config.json to hyper-parameters. */
#include "model/vision.h"

#include <stdio.h>

#define MAX_LAYERS 1024
#define MAX_WIDTH (1u << 20)
#define MAX_VOCABULARY (1u << 24)
#define MAX_SIDE (1u << 14)
#define MAX_POSITIONS (1u << 20)
#define MAX_KEY 64
#define EVERY_END 49407 /* of CLIP's vocabulary */
#define OLD_END 2       /* of files that were written before the field was read */

typedef struct field {
    const char *name;
    uint32_t most;
    uint32_t *out;
} field;

/* What a file doesn't say is as it is in the family. */
static zm_status read_sizes(const zm_text_fields *fields, const char *object, const field *sizes,
                            size_t count)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < count && status == ZM_OK; i++) {
        char key[MAX_KEY];
        bool found;
        snprintf(key, sizeof(key), "%s%s", object, sizes[i].name);
        status = zm_text_field_u32(fields, key, 1, sizes[i].most, sizes[i].out, &found);
    }
    return status;
}

static zm_status read_common(const zm_text_fields *fields, const char *object, zm_encoder_info *out)
{
    const field sizes[] = {{"hidden_size", MAX_WIDTH, &out->d},
                           {"num_hidden_layers", MAX_LAYERS, &out->layers},
                           {"num_attention_heads", MAX_WIDTH, &out->heads},
                           {"intermediate_size", MAX_WIDTH, &out->ff}};
    char key[MAX_KEY];
    double eps = (double)out->eps;
    bool found;
    zm_status status = read_sizes(fields, object, sizes, sizeof(sizes) / sizeof(sizes[0]));
    snprintf(key, sizeof(key), "%slayer_norm_eps", object);
    if (status == ZM_OK)
        status = zm_text_field_real(fields, key, 1e-30, 1, &eps, &found);
    out->eps = (float)eps;
    snprintf(key, sizeof(key), "%shidden_act", object);
    if (status == ZM_OK)
        status = zm_text_field_activation(fields, key, &out->activation);
    if (status == ZM_OK && (out->d % out->heads != 0 || out->d / out->heads > 4096))
        return zm_fail(fields->log, ZM_ERROR_BAD_FORMAT, "%s: %u heads do not fit a width of %u",
                       fields->what, out->heads, out->d);
    return status;
}

static zm_status read_image(const zm_text_fields *fields, const char *object, zm_vision_info *info)
{
    zm_encoder_info *image = &info->image;
    const field sizes[] = {{"image_size", MAX_SIDE, &image->image},
                           {"patch_size", MAX_SIDE, &image->patch},
                           {"num_channels", 4, &image->channels}};
    zm_status status = read_common(fields, object, image);
    if (status == ZM_OK)
        status = read_sizes(fields, object, sizes, sizeof(sizes) / sizeof(sizes[0]));
    if (status != ZM_OK)
        return status;
    const uint32_t side = image->image / image->patch;
    if (side == 0 || image->image % image->patch != 0 || side > 1024)
        return zm_fail(fields->log, ZM_ERROR_UNSUPPORTED,
                       "%s: images of %u x %u are not cut into patches of %u x %u", fields->what,
                       image->image, image->image, image->patch, image->patch);
    image->positions = side * side + (info->distilled ? 2 : 1);
    return ZM_OK;
}

static zm_status read_text(const zm_text_fields *fields, const char *object, zm_encoder_info *text)
{
    const field sizes[] = {{"vocab_size", MAX_VOCABULARY, &text->vocabulary},
                           {"max_position_embeddings", MAX_POSITIONS, &text->positions}};
    char key[MAX_KEY];
    uint32_t end = EVERY_END;
    bool found = false;
    zm_status status = read_common(fields, object, text);
    if (status == ZM_OK)
        status = read_sizes(fields, object, sizes, sizeof(sizes) / sizeof(sizes[0]));
    snprintf(key, sizeof(key), "%seos_token_id", object);
    if (status == ZM_OK)
        status = zm_text_field_u32(fields, key, 0, text->vocabulary - 1, &end, &found);
    text->end_token = end == OLD_END ? -1 : (int32_t)end;
    return status;
}

zm_status zm_vision_read(const zm_vision_family *family, const zm_text_fields *fields,
                         zm_model_info *info)
{
    const size_t most = sizeof(family->fixed) / sizeof(family->fixed[0]);
    const char *image = family->objects[ZM_TOWER_IMAGE], *text = family->objects[ZM_TOWER_TEXT];
    zm_vision_info *vision = &info->vision;
    uint32_t embedding = 512;
    bool found;
    zm_status status = ZM_OK;
    *vision = family->info;
    for (size_t i = 0; i < most && family->fixed[i].key && status == ZM_OK; i++)
        status = zm_text_field_check(fields, &family->fixed[i]);
    if (status == ZM_OK)
        status = zm_text_field_u32(fields, "projection_dim", 1, MAX_WIDTH, &embedding, &found);
    if (status == ZM_OK && image)
        status = read_image(fields, image, vision);
    if (status == ZM_OK && text)
        status = read_text(fields, text, &vision->text);
    /* Each half has a field of that name as well, which is read in no model of both. */
    vision->image.embedding = image ? embedding : 0;
    vision->text.embedding = text ? embedding : 0;
    if (status == ZM_OK && family->settle)
        status = family->settle(fields, vision);
    info->norm = ZM_NORM_LAYER;
    info->eps = image ? vision->image.eps : vision->text.eps;
    return status;
}

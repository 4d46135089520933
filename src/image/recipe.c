/* SPDX-License-Identifier: Apache-2.0 */
/* preprocessor_config.json. Which processor it is for says what fields that are not there mean. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "format/json.h"
#include "image/image.h"

#define MAX_FILE ((uint64_t)1 << 20)
#define MAX_SIDE (1u << 14)
#define PILLOW_BILINEAR 2
#define PILLOW_BICUBIC 3

/* What a processor does unasked. */
typedef struct processor {
    const char *type;  /* how its name begins */
    const char *model; /* that has it where none is named: how model_type begins */
    zm_image_recipe recipe;
    bool square; /* a size that is one number is that of both sides, else of the shorter one */
} processor;

/* Resampling, the middle and the colours of CLIP, which others have taken over. */
#define CLIP                                                                                \
    .shorter = 224, .resample = ZM_RESAMPLE_BICUBIC, .crop_width = 224, .crop_height = 224, \
    .scale = 1 / 255.0, .mean = {0.48145466, 0.4578275, 0.40821073},                        \
    .deviation = {0.26862954, 0.26130258, 0.27577711}

static const processor processors[] = {
    {.type = "ViT",
     .model = "vit",
     .recipe = {.width = 224,
                .height = 224,
                .scale = 1 / 255.0,
                .mean = {0.5, 0.5, 0.5},
                .deviation = {0.5, 0.5, 0.5}},
     .square = true},
    {.type = "DeiT",
     .model = "deit",
     .recipe = {.width = 256,
                .height = 256,
                .resample = ZM_RESAMPLE_BICUBIC,
                .crop_width = 224,
                .crop_height = 224,
                .scale = 1 / 255.0,
                .mean = {0.5, 0.5, 0.5},
                .deviation = {0.5, 0.5, 0.5}},
     .square = true},
    {.type = "Bit", .model = "dinov2", .recipe = {CLIP}},
    {.type = "CLIP", .model = "clip", .recipe = {CLIP}},
};

typedef struct reader {
    const char *path;
    const json_t *config;
    const zm_log *log;
    const processor *processor;
} reader;

static zm_status fail(const reader *r, const char *key, const char *expected)
{
    return zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: %s is not %s", r->path, key, expected);
}

static const json_t *field(const reader *r, const char *key)
{
    const json_t *value = json_object_get(r->config, key);
    return json_is_null(value) ? NULL : value;
}

static zm_status choose(reader *r, const zm_model_info *info)
{
    const json_t *named = field(r, "image_processor_type");
    if (!named)
        named = field(r, "feature_extractor_type");
    const char *type = json_string_value(named);
    for (size_t i = 0; i < sizeof(processors) / sizeof(processors[0]) && !r->processor; i++) {
        const processor *p = &processors[i];
        const char *begin = type ? p->type : p->model;
        if (strncmp(type ? type : info->architecture_name, begin, strlen(begin)) == 0)
            r->processor = p;
    }
    if (r->processor)
        return ZM_OK;
    return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                   "%s: pictures are prepared by %.60s, which is not supported; those of ViT, "
                   "DeiT, CLIP and BiT are",
                   r->path, type ? type : "what is not named");
}

static zm_status read_flag(const reader *r, const char *key, bool *out)
{
    const json_t *value = field(r, key);
    if (value && !json_is_boolean(value))
        return fail(r, key, "true or false");
    *out = value ? json_is_true(value) : *out;
    return ZM_OK;
}

static bool is_side(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) > 0 &&
           json_integer_value(value) <= MAX_SIDE;
}

/* A number, an object of width and height, or one of the shorter side (NULL = that can't be). */
static zm_status read_size(const reader *r, const char *key, uint32_t *width, uint32_t *height,
                           uint32_t *shorter)
{
    const json_t *value = field(r, key);
    const json_t *w = json_object_get(value, "width"), *h = json_object_get(value, "height");
    const json_t *edge = json_object_get(value, "shortest_edge");
    if (!value)
        return ZM_OK;
    if (is_side(value) && shorter && !r->processor->square)
        edge = value;
    else if (is_side(value))
        w = h = value;
    if (is_side(w) && is_side(h) && !edge) {
        *width = (uint32_t)json_integer_value(w);
        *height = (uint32_t)json_integer_value(h);
        if (shorter)
            *shorter = 0;
        return ZM_OK;
    }
    if (!is_side(edge) || !shorter || w || h || json_object_get(value, "longest_edge"))
        return fail(r, key, "a size in 1 to 16384 that is supported");
    *shorter = (uint32_t)json_integer_value(edge);
    *width = *height = 0;
    return ZM_OK;
}

static zm_status read_resample(const reader *r, zm_resample *out)
{
    const json_t *value = field(r, "resample");
    if (!value)
        return ZM_OK;
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || (number != PILLOW_BILINEAR && number != PILLOW_BICUBIC))
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: resample is neither 2 (bilinear) nor 3 (bicubic)", r->path);
    *out = number == PILLOW_BICUBIC ? ZM_RESAMPLE_BICUBIC : ZM_RESAMPLE_BILINEAR;
    return ZM_OK;
}

/* Three numbers, or one for all. */
static zm_status read_colours(const reader *r, const char *key, double least, double *out)
{
    const json_t *value = field(r, key);
    if (!value)
        return ZM_OK;
    for (size_t i = 0; i < 3; i++) {
        const json_t *number = json_is_array(value) ? json_array_get(value, i) : value;
        out[i] = json_number_value(number);
        if (!json_is_number(number) || !(out[i] >= least && out[i] <= 1e6) ||
            (json_is_array(value) && json_array_size(value) != 3))
            return fail(r, key, "three numbers that make sense");
    }
    return ZM_OK;
}

static zm_status read_scale(const reader *r, double *out)
{
    const json_t *value = field(r, "rescale_factor");
    if (!value)
        return ZM_OK;
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 1e-9 && *out <= 1e6
               ? ZM_OK
               : fail(r, "rescale_factor", "a number over 0");
}

/* Steps that are switched off. */
static zm_status read_flags(const reader *r, zm_image_recipe *out)
{
    bool resize = true, crop = r->processor->recipe.crop_width != 0, rescale = true;
    bool normalise = true;
    zm_status status = read_flag(r, "do_resize", &resize);
    if (status == ZM_OK)
        status = read_flag(r, "do_center_crop", &crop);
    if (status == ZM_OK)
        status = read_flag(r, "do_rescale", &rescale);
    if (status == ZM_OK)
        status = read_flag(r, "do_normalize", &normalise);
    if (!resize)
        out->shorter = out->width = out->height = 0;
    if (!crop)
        out->crop_width = out->crop_height = 0;
    if (!rescale)
        out->scale = 1;
    for (int i = 0; i < 3 && !normalise; i++) {
        out->mean[i] = 0;
        out->deviation[i] = 1;
    }
    return status;
}

static zm_status read_fields(const reader *r, zm_image_recipe *out)
{
    *out = r->processor->recipe;
    zm_status status = read_size(r, "size", &out->width, &out->height, &out->shorter);
    if (status == ZM_OK)
        status = read_size(r, "crop_size", &out->crop_width, &out->crop_height, NULL);
    if (status == ZM_OK)
        status = read_resample(r, &out->resample);
    if (status == ZM_OK)
        status = read_scale(r, &out->scale);
    if (status == ZM_OK)
        status = read_colours(r, "image_mean", -1e6, out->mean);
    if (status == ZM_OK)
        status = read_colours(r, "image_std", 1e-6, out->deviation);
    return status == ZM_OK ? read_flags(r, out) : status;
}

static zm_status open_config(const zm_model_info *info, reader *r, char **path, json_t **config)
{
    char *parent = zm_path_is_directory(info->path) ? NULL : zm_path_parent(info->path);
    *path = zm_path_join(parent ? parent : info->path, "preprocessor_config.json");
    free(parent);
    r->path = *path;
    if (!*path)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", info->path);
    if (!zm_path_exists(*path))
        return zm_fail(r->log, ZM_ERROR_NOT_FOUND,
                       "%s: there is none; it says how the model wants its pictures", *path);
    zm_status status = zm_json_read(*path, MAX_FILE, r->log, config);
    r->config = *config;
    return status;
}

zm_status zm_image_recipe_read(const zm_model *model, const zm_log *log, zm_image_recipe *out)
{
    reader r = {.log = log};
    char *path = NULL;
    json_t *config = NULL;
    if (!model || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_image_recipe_read: a NULL argument");
    zm_status status = open_config(zm_model_get_info(model), &r, &path, &config);
    if (status == ZM_OK)
        status = choose(&r, zm_model_get_info(model));
    if (status == ZM_OK)
        status = read_fields(&r, out);
    json_decref(config);
    free(path);
    return status;
}

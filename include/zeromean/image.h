/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: out of files, and as models of images take them.
 *
 * Thread-safety: may be called from any thread. */
#ifndef ZEROMEAN_IMAGE_H
#define ZEROMEAN_IMAGE_H

#include <zeromean/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_image {
    uint32_t width, height;
    uint8_t *pixels; /* [height][width][3]: red, green, blue */
} zm_image;

/* Reads a PNG or a JPEG file, told apart by what is in them, as Pillow's convert("RGB") has them:
 * transparency is left out, of 16 bits the upper 8 are taken, gamma and orientation are not looked
 * at. ZM_ERROR_NOT_FOUND, ZM_ERROR_IO; ZM_ERROR_BAD_FORMAT: also a file that ends too early;
 * ZM_ERROR_LIMIT: over 2^26 pixels or 256 MB; ZM_ERROR_UNSUPPORTED: another kind of file, colours
 * of printers, or a build without libpng and libjpeg. Free with zm_image_destroy. */
ZM_API zm_status zm_image_read(const char *path, const zm_log *log, zm_image **out);
ZM_API void zm_image_destroy(zm_image **image);

typedef enum zm_resample { ZM_RESAMPLE_BILINEAR = 0, ZM_RESAMPLE_BICUBIC } zm_resample;

/* As Pillow 11 resizes, to the bit: filters that get wider where the picture gets smaller, along
 * rows and then along columns, each rounded to 8 bits. (Version 13 takes columns first for some
 * shapes, which rounds otherwise.) ZM_ERROR_INVALID_ARGUMENT: no pixels;
 * ZM_ERROR_LIMIT: over 2^26 of them. */
ZM_API zm_status zm_image_resize(const zm_image *image, uint32_t width, uint32_t height,
                                 zm_resample resample, const zm_log *log, zm_image **out);

/* What is done to a picture before a model gets it, in this order. */
typedef struct zm_image_recipe {
    uint32_t shorter;       /* resized so that the shorter side has so many pixels; 0 = else: */
    uint32_t width, height; /* resized to these, whatever its shape; 0 = not resized */
    zm_resample resample;
    uint32_t crop_width, crop_height; /* the middle of it, black outside; 0 = all */
    double scale;                     /* bytes are multiplied by it; 0 = 1 */
    double mean[3], deviation[3];     /* (x - mean) / deviation; deviation 0 = 1 */
} zm_image_recipe;

/* As preprocessor_config.json beside the model says, for the processors of ViT, DeiT, CLIP and
 * BiT; what it leaves open is as theirs. ZM_ERROR_NOT_FOUND: there is none; ZM_ERROR_BAD_FORMAT;
 * ZM_ERROR_UNSUPPORTED: it wants something else. */
ZM_API zm_status zm_image_recipe_read(const zm_model *model, const zm_log *log,
                                      zm_image_recipe *out);

/* out: [3][side][side], as zm_session_embed_image takes it. ZM_ERROR_UNSUPPORTED: the recipe makes
 * another size. */
ZM_API zm_status zm_image_prepare(const zm_image *image, const zm_image_recipe *recipe,
                                  uint32_t side, const zm_log *log, float *out);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "image/image.h"

/* What the shorter side decides, the longer one is rounded down to. */
static zm_status size_of(const zm_image *image, const zm_image_recipe *recipe, const zm_log *log,
                         uint32_t *width, uint32_t *height)
{
    *width = recipe->width ? recipe->width : image->width;
    *height = recipe->height ? recipe->height : image->height;
    if (!recipe->shorter)
        return ZM_OK;
    const bool upright = image->width <= image->height;
    const uint32_t shorter = upright ? image->width : image->height;
    const uint64_t longer =
        (uint64_t)recipe->shorter * (upright ? image->height : image->width) / shorter;
    if (longer > ZM_IMAGE_PIXELS)
        return zm_fail(log, ZM_ERROR_LIMIT, "a picture of %u x %u pixels is too long to be resized",
                       image->width, image->height);
    *width = upright ? recipe->shorter : (uint32_t)longer;
    *height = upright ? (uint32_t)longer : recipe->shorter;
    return ZM_OK;
}

/* Where the middle begins; before the picture, rounded down, where that is the smaller one. */
static int64_t start_of(uint32_t size, uint32_t crop)
{
    return size >= crop ? (size - crop) / 2 : -(int64_t)((crop - size + 1) / 2);
}

static void normalise(const zm_image *image, const zm_image_recipe *recipe, uint32_t side,
                      float *out)
{
    const int64_t left = start_of(image->width, side), top = start_of(image->height, side);
    const double scale = recipe->scale != 0 ? recipe->scale : 1;
    for (uint32_t c = 0; c < 3; c++) {
        const double deviation = recipe->deviation[c] != 0 ? recipe->deviation[c] : 1;
        for (uint32_t i = 0; i < side; i++)
            for (uint32_t j = 0; j < side; j++) {
                const int64_t y = top + i, x = left + j;
                const bool inside = x >= 0 && y >= 0 && x < image->width && y < image->height;
                const uint8_t byte =
                    inside ? image->pixels[((size_t)y * image->width + (size_t)x) * 3 + c] : 0;
                *out++ = (float)((byte * scale - recipe->mean[c]) / deviation);
            }
    }
}

zm_status zm_image_prepare(const zm_image *image, const zm_image_recipe *recipe, uint32_t side,
                           const zm_log *log, float *out)
{
    uint32_t width, height;
    zm_image *resized = NULL;
    if (!image || !image->pixels || !image->width || !image->height || !recipe || !side || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_image_prepare: needs a picture, a recipe, a size and a place");
    zm_status status = size_of(image, recipe, log, &width, &height);
    if (status != ZM_OK)
        return status;
    const uint32_t out_width = recipe->crop_width ? recipe->crop_width : width;
    const uint32_t out_height = recipe->crop_height ? recipe->crop_height : height;
    if (out_width != side || out_height != side)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "the model takes pictures of %u x %u, its preprocessor makes %u x %u of one "
                       "of %u x %u",
                       side, side, out_width, out_height, image->width, image->height);
    if (width != image->width || height != image->height) {
        status = zm_image_resize(image, width, height, recipe->resample, log, &resized);
        image = resized;
    }
    if (status == ZM_OK)
        normalise(image, recipe, side, out);
    zm_image_destroy(&resized);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include <stdlib.h>

#include "common/alloc.h"

zm_status zm_image_make(uint32_t width, uint32_t height, const char *what, const zm_log *log,
                        zm_image **out)
{
    if (width == 0 || height == 0)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: a picture of %u x %u pixels", what,
                       width, height);
    if (width > ZM_IMAGE_PIXELS / height)
        return zm_fail(log, ZM_ERROR_LIMIT, "%s: a picture of %u x %u pixels is too large", what,
                       width, height);
    zm_image *image = zm_calloc(1, sizeof(*image));
    if (image)
        image->pixels = malloc((size_t)3 * width * height);
    if (!image || !image->pixels) {
        free(image);
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for %u x %u pixels", what, width,
                       height);
    }
    image->width = width;
    image->height = height;
    *out = image;
    return ZM_OK;
}

void zm_image_destroy(zm_image **image)
{
    if (!image || !*image)
        return;
    free((*image)->pixels);
    free(*image);
    *image = NULL;
}

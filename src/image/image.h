/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_IMAGE_IMAGE_H
#define ZM_SRC_IMAGE_IMAGE_H

#include <zeromean/image.h>

#include "common/log.h"

#define ZM_IMAGE_SIDE 65500u /* the most that JPEG has */
#define ZM_IMAGE_PIXELS (1u << 26)
#define ZM_IMAGE_REASON 120

/* Memory for so many pixels, not set. what: for messages. */
zm_status zm_image_make(uint32_t width, uint32_t height, const char *what, const zm_log *log,
                        zm_image **out);

/* A file that has been read. */
typedef struct zm_image_source {
    const char *path;
    const uint8_t *bytes;
    size_t size, used;
    const zm_log *log;
    zm_image *image;
    zm_status status; /* of what went wrong outside the library; ZM_OK = reason says what did */
    char reason[ZM_IMAGE_REASON];
} zm_image_source;

bool zm_png_is(const uint8_t *bytes, size_t size);
bool zm_jpeg_is(const uint8_t *bytes, size_t size);
/* Make source->image, which is destroyed by the caller on failure. */
zm_status zm_png_read(zm_image_source *source);
zm_status zm_jpeg_read(zm_image_source *source);
/* The status, or the reason as one. */
zm_status zm_image_fail(const zm_image_source *source);

#endif

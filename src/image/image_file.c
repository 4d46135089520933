/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include <stdlib.h>

#include "common/file.h"

#define MAX_FILE ((uint64_t)256 << 20)

zm_status zm_image_fail(const zm_image_source *source)
{
    if (source->status != ZM_OK)
        return source->status;
    return zm_fail(source->log, ZM_ERROR_BAD_FORMAT, "%s: cannot be read as a picture: %s",
                   source->path, source->reason);
}

zm_status zm_image_read(const char *path, const zm_log *log, zm_image **out)
{
    char *bytes = NULL;
    zm_image_source source = {.path = path, .log = log};
    if (!path || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_image_read: a NULL argument");
    zm_status status = zm_file_read(path, MAX_FILE, log, &bytes, &source.size);
    if (status != ZM_OK)
        return status;
    source.bytes = (const uint8_t *)bytes;
    if (zm_png_is(source.bytes, source.size))
        status = zm_png_read(&source);
    else if (zm_jpeg_is(source.bytes, source.size))
        status = zm_jpeg_read(&source);
    else
        status = zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: is neither a PNG nor a JPEG file", path);
    free(bytes);
    if (status == ZM_OK)
        *out = source.image;
    else
        zm_image_destroy(&source.image);
    return status;
}

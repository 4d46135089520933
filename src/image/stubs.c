/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures in a library that was built without libpng and libjpeg. */
#include <zeromean/image.h>

#include "common/log.h"

zm_status zm_image_read(const char *path, const zm_log *log, zm_image **out)
{
    if (!path || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_image_read: a NULL argument");
    return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                   "%s: this library was built without pictures (meson option 'image')", path);
}

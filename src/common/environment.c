/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zeromean/common.h>

/* "" when the path does not fit or is not absolute: a cache that follows the working directory
 * would be found by nobody. */
static void set_directory(zm_environment *out, const char *base, const char *suffix)
{
    size_t size = sizeof(out->cache_dir);
    int length = base[0] == '/' ? snprintf(out->cache_dir, size, "%s%s", base, suffix) : -1;
    if (length < 0 || (size_t)length >= size)
        out->cache_dir[0] = '\0';
}

void zm_environment_read(zm_environment *out)
{
    memset(out, 0, sizeof(*out));
    const char *device = getenv("ZEROMEAN_DEVICE");
    if (device)
        snprintf(out->device, sizeof(out->device), "%s", device);

    const char *own = getenv("ZEROMEAN_CACHE_DIR");
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own) {
        set_directory(out, own, "");
        return;
    }
    if (xdg)
        set_directory(out, xdg, "/zeromean");
    if (!out->cache_dir[0] && home)
        set_directory(out, home, "/.cache/zeromean");
}

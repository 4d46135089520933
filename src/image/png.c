/* SPDX-License-Identifier: Apache-2.0 */
/* PNG by libpng. Where it leaves with longjmp, what has to be freed is in the source, or in the one
 * struct that is set up before. */
#include <setjmp.h>

#include <png.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

typedef struct decoder {
    png_structp png;
    png_infop info;
    png_bytep *rows;
} decoder;

static void on_error(png_structp png, png_const_charp message)
{
    zm_image_source *source = png_get_error_ptr(png);
    snprintf(source->reason, sizeof(source->reason), "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void read_bytes(png_structp png, png_bytep out, size_t size)
{
    zm_image_source *source = png_get_io_ptr(png);
    if (size > source->size - source->used)
        png_error(png, "it ends too early");
    memcpy(out, source->bytes + source->used, size);
    source->used += size;
}

bool zm_png_is(const uint8_t *bytes, size_t size)
{
    return size >= 8 && png_sig_cmp(bytes, 0, 8) == 0;
}

/* Whatever it is stored as becomes red, green and blue of 8 bits. */
static void ask_for_rgb(const decoder *d)
{
    png_set_strip_16(d->png);
    png_set_palette_to_rgb(d->png);
    png_set_expand_gray_1_2_4_to_8(d->png);
    png_set_gray_to_rgb(d->png);
    png_set_strip_alpha(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
}

static bool make_rows(decoder *d, zm_image_source *source)
{
    const uint32_t width = png_get_image_width(d->png, d->info);
    const uint32_t height = png_get_image_height(d->png, d->info);
    source->status = zm_image_make(width, height, source->path, source->log, &source->image);
    if (source->status != ZM_OK)
        return false;
    if (png_get_rowbytes(d->png, d->info) != (size_t)3 * width) {
        snprintf(source->reason, sizeof(source->reason),
                 "its rows are of a kind that is not known");
        return false;
    }
    d->rows = malloc(height * sizeof(*d->rows));
    if (!d->rows)
        source->status =
            zm_fail(source->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", source->path);
    for (uint32_t i = 0; d->rows && i < height; i++)
        d->rows[i] = source->image->pixels + (size_t)3 * width * i;
    return d->rows != NULL;
}

static bool decode(decoder *d, zm_image_source *source)
{
    if (setjmp(png_jmpbuf(d->png)))
        return false;
    png_set_read_fn(d->png, source, read_bytes);
    png_set_user_limits(d->png, ZM_IMAGE_SIDE, ZM_IMAGE_SIDE);
    png_read_info(d->png, d->info);
    ask_for_rgb(d);
    if (!make_rows(d, source))
        return false;
    png_read_image(d->png, d->rows);
    png_read_end(d->png, NULL);
    return true;
}

zm_status zm_png_read(zm_image_source *source)
{
    decoder d = {.png =
                     png_create_read_struct(PNG_LIBPNG_VER_STRING, source, on_error, on_warning)};
    if (d.png)
        d.info = png_create_info_struct(d.png);
    bool done = false;
    if (d.info)
        done = decode(&d, source);
    else
        source->status =
            zm_fail(source->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", source->path);
    png_destroy_read_struct(&d.png, &d.info, NULL);
    free(d.rows);
    return done ? ZM_OK : zm_image_fail(source);
}

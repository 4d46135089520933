/* SPDX-License-Identifier: Apache-2.0 */
/* JPEG by libjpeg. Where it leaves with longjmp, what has to be freed is in the source, or in the
 * one struct that is set up before. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "image/image.h"

#define MAX_SCANS 200 /* each goes over the whole picture, of however few bytes it is */

typedef struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf end;
    zm_image_source *source;
} decoder;

static void leave(decoder *d, const char *reason)
{
    snprintf(d->source->reason, sizeof(d->source->reason), "%s", reason);
    longjmp(d->end, 1);
}

static void on_error(j_common_ptr jpeg)
{
    char message[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, message);
    leave(jpeg->client_data, message);
}

/* libjpeg goes on behind broken data, with grey. */
static void on_message(j_common_ptr jpeg, int level)
{
    const int code = jpeg->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
                      code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC))
        on_error(jpeg);
}

static void say_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void count_scans(j_common_ptr jpeg)
{
    decoder *d = jpeg->client_data;
    if (d->jpeg.input_scan_number > MAX_SCANS)
        leave(d, "it has too many scans");
}

bool zm_jpeg_is(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

static bool begin(decoder *d)
{
    zm_image_source *source = d->source;
    jpeg_create_decompress(&d->jpeg);
    jpeg_mem_src(&d->jpeg, source->bytes, (unsigned long)source->size);
    jpeg_read_header(&d->jpeg, TRUE);
    if (d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK) {
        source->status =
            zm_fail(source->log, ZM_ERROR_UNSUPPORTED,
                    "%s: has the colours of printers (CMYK); save it as RGB", source->path);
        return false;
    }
    source->status = zm_image_make(d->jpeg.image_width, d->jpeg.image_height, source->path,
                                   source->log, &source->image);
    d->jpeg.out_color_space = JCS_RGB;
    d->jpeg.progress = &d->progress;
    return source->status == ZM_OK;
}

static bool decode(decoder *d)
{
    if (setjmp(d->end))
        return false;
    if (!begin(d))
        return false;
    jpeg_start_decompress(&d->jpeg);
    while (d->jpeg.output_scanline < d->jpeg.output_height) {
        JSAMPROW row =
            d->source->image->pixels + (size_t)3 * d->jpeg.output_width * d->jpeg.output_scanline;
        jpeg_read_scanlines(&d->jpeg, &row, 1);
    }
    jpeg_finish_decompress(&d->jpeg);
    return true;
}

zm_status zm_jpeg_read(zm_image_source *source)
{
    decoder d;
    memset(&d, 0, sizeof(d));
    d.source = source;
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.jpeg.client_data = &d;
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    d.errors.output_message = say_nothing;
    d.progress.progress_monitor = count_scans;
    const bool done = decode(&d);
    jpeg_destroy_decompress(&d.jpeg);
    return done ? ZM_OK : zm_image_fail(source);
}

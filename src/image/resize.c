/* SPDX-License-Identifier: Apache-2.0 */
/* Resizing with filters of finite support: a pixel of the result is a weighted mean of those of the
 * picture that lie around its place. Weights are fixed-point numbers and each direction is rounded
 * to bytes, because Pillow does so, on whose results models were trained. */
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "image/image.h"

#define FRACTION 22 /* bits of a weight behind the point */

typedef struct filter {
    double (*weight)(double x); /* x >= 0, in pixels of the smaller of both pictures */
    double support;
} filter;

/* Along one direction: `most` weights from pixel first[i] on for each pixel of the result, of which
 * count[i] are there. */
typedef struct taps {
    uint32_t *first, *count;
    int32_t *weights;
    uint32_t most;
} taps;

static double bilinear(double x)
{
    return x < 1 ? 1 - x : 0;
}

/* Keys 1981, a = -1/2. */
static double bicubic(double x)
{
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? -0.5 * (((x - 5) * x + 8) * x - 4) : 0;
}

static const filter filters[] = {
    [ZM_RESAMPLE_BILINEAR] = {bilinear, 1}, [ZM_RESAMPLE_BICUBIC] = {bicubic, 2}};

static void taps_finish(taps *t)
{
    free(t->first);
    free(t->count);
    free(t->weights);
    *t = (taps){0};
}

static void fill_tap(const filter *f, double scale, uint32_t from, uint32_t i, double *real,
                     taps *t)
{
    const double stretch = scale > 1 ? scale : 1;
    const double centre = (i + 0.5) * scale, reach = f->support * stretch;
    const double low = centre - reach + 0.5, high = centre + reach + 0.5;
    const uint32_t first = low > 0 ? (uint32_t)low : 0;
    const uint32_t end = high < from ? (uint32_t)high : from;
    double sum = 0;
    t->first[i] = first;
    t->count[i] = end - first;
    for (uint32_t j = 0; j < t->count[i]; j++)
        sum += real[j] = f->weight(fabs((first + j - centre + 0.5) * (1 / stretch)));
    for (uint32_t j = 0; j < t->count[i]; j++)
        t->weights[(size_t)i * t->most + j] =
            (int32_t)lround((sum != 0 ? real[j] / sum : real[j]) * (1 << FRACTION));
}

static zm_status taps_make(const filter *f, uint32_t from, uint32_t to, const zm_log *log,
                           taps *out)
{
    const double scale = (double)from / to;
    taps t = {.most = 2 * (uint32_t)ceil(f->support * (scale > 1 ? scale : 1)) + 1};
    double *real = zm_calloc(t.most, sizeof(*real));
    t.first = zm_calloc(to, sizeof(*t.first));
    t.count = zm_calloc(to, sizeof(*t.count));
    t.weights = zm_calloc((uint64_t)to * t.most, sizeof(*t.weights));
    if (!real || !t.first || !t.count || !t.weights) {
        free(real);
        taps_finish(&t);
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "resize: out of memory");
    }
    for (uint32_t i = 0; i < to; i++)
        fill_tap(f, scale, from, i, real, &t);
    free(real);
    *out = t;
    return ZM_OK;
}

static uint8_t to_byte(int64_t sum)
{
    sum += 1 << (FRACTION - 1);
    if (sum < 0)
        return 0;
    sum >>= FRACTION;
    return sum > 255 ? 255 : (uint8_t)sum;
}

/* src and dst: the first of the bytes that are mixed, step bytes from one to the next. */
static void mix(const taps *t, uint32_t to, const uint8_t *src, uint8_t *dst, size_t step)
{
    for (uint32_t i = 0; i < to; i++) {
        const int32_t *weights = t->weights + (size_t)i * t->most;
        const uint8_t *from = src + t->first[i] * step;
        int64_t sum = 0;
        for (uint32_t j = 0; j < t->count[i]; j++)
            sum += (int64_t)weights[j] * from[j * step];
        dst[i * step] = to_byte(sum);
    }
}

/* All rows to another width, or all columns to another height. */
static zm_status resize_one(const zm_image *image, bool columns, uint32_t to, zm_resample resample,
                            const zm_log *log, zm_image **out)
{
    const size_t row = (size_t)3 * image->width;
    const uint32_t from = columns ? image->height : image->width;
    taps t = {0};
    zm_status status = zm_image_make(columns ? image->width : to, columns ? to : image->height,
                                     "resize", log, out);
    if (status == ZM_OK)
        status = taps_make(&filters[resample], from, to, log, &t);
    for (size_t i = 0; status == ZM_OK && columns && i < row; i++)
        mix(&t, to, image->pixels + i, (*out)->pixels + i, row);
    for (size_t y = 0; status == ZM_OK && !columns && y < image->height; y++)
        for (size_t c = 0; c < 3; c++)
            mix(&t, to, image->pixels + y * row + c, (*out)->pixels + y * 3 * to + c, 3);
    taps_finish(&t);
    return status;
}

zm_status zm_image_resize(const zm_image *image, uint32_t width, uint32_t height,
                          zm_resample resample, const zm_log *log, zm_image **out)
{
    zm_image *wide = NULL, *done = NULL;
    if (!image || !image->pixels || !image->width || !image->height || !width || !height || !out ||
        resample > ZM_RESAMPLE_BICUBIC)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "resize: needs a picture, a size, a filter and a place for the result");
    zm_status status = resize_one(image, false, width, resample, log, &wide);
    if (status == ZM_OK)
        status = resize_one(wide, true, height, resample, log, &done);
    zm_image_destroy(&wide);
    if (status == ZM_OK)
        *out = done;
    else
        zm_image_destroy(&done);
    return status;
}

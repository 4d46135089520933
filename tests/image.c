/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: files of every kind, good and bad; sizes against Pillow; what models get against the
 * reference processors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <jpeglib.h>
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/image.h>

#include "image_vectors.inc"
#include "model_files.h"
#include "scratch.h"
#include "support/folder.h"
#include "support/random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void *folder; /* of this program */
static scratch_log test_log;

/* The picture of image_vectors.py. */
static zm_image *picture(uint32_t width, uint32_t height)
{
    zm_image *image = calloc(1, sizeof(*image));
    *image = (zm_image){width, height, malloc((size_t)width * height * 3)};
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < 3; c++)
                image->pixels[(y * width + x) * 3 + c] =
                    (uint8_t)(x * 37 + y * 91 + c * 53 + x * y * 7 % 61);
    return image;
}

/* ---- sizes ---- */

static uint64_t hash_of(const zm_image *image)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < (size_t)3 * image->width * image->height; i++)
        hash = (hash ^ image->pixels[i]) * 0x100000001b3u;
    return hash;
}

static void test_resize(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(resized); i++) {
        zm_image *image = picture(resized[i].from[0], resized[i].from[1]), *out = NULL;
        for (int filter = 0; filter < 2; filter++) {
            assert_int_equal(zm_image_resize(image, resized[i].to[0], resized[i].to[1],
                                             (zm_resample)filter, &test_log.log, &out),
                             ZM_OK);
            if (hash_of(out) != resized[i].hashes[filter])
                fail_msg("size %zu, filter %d", i, filter);
            zm_image_destroy(&out);
        }
        zm_image_destroy(&image);
    }
}

static void test_sizes_that_cannot_be(void **state)
{
    (void)state;
    zm_image *image = picture(4, 3), *out = NULL;
    const zm_image none = {0};
    assert_int_equal(zm_image_resize(image, 0, 3, ZM_RESAMPLE_BICUBIC, &test_log.log, &out),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_image_resize(&none, 2, 2, ZM_RESAMPLE_BICUBIC, &test_log.log, &out),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_image_resize(image, 2, 2, (zm_resample)2, &test_log.log, &out),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_image_resize(image, 1 << 14, 1 << 14, 0, &test_log.log, &out),
                     ZM_ERROR_LIMIT);
    assert_int_equal(zm_image_resize(image, 1u << 31, 1, 0, &test_log.log, &out), ZM_ERROR_LIMIT);
    assert_null(out);
    zm_image_destroy(&image);
    zm_image_destroy(&image);
    zm_image_destroy(NULL);
}

/* ---- what models get ---- */

static char *model_folder; /* of any model */

/* With this preprocessor_config.json; NULL = none. */
static zm_model *open_model(const char *preprocessor)
{
    char path[1024];
    zm_model *model = NULL;
    snprintf(path, sizeof(path), "%s/preprocessor_config.json", model_folder);
    remove(path);
    if (preprocessor)
        scratch_write(path, preprocessor, strlen(preprocessor));
    assert_int_equal(zm_model_open(model_folder, &test_log.log, &model), ZM_OK);
    return model;
}

#define VIT "\"image_processor_type\": \"ViTImageProcessor\", "

static void test_prepare(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(prepared); i++) {
        const uint32_t side = prepared[i].side;
        float values[3 * 8 * 8];
        double sum = 0, weighted = 0;
        zm_image_recipe recipe;
        zm_model *model = open_model(prepared[i].config);
        zm_image *image = picture(prepared[i].size[0], prepared[i].size[1]);
        assert_int_equal(zm_image_recipe_read(model, &test_log.log, &recipe), ZM_OK);
        assert_int_equal(zm_image_prepare(image, &recipe, side, &test_log.log, values), ZM_OK);
        for (uint32_t j = 0; j < 3 * side * side; j++) {
            sum += values[j];
            weighted += values[j] * (j * 7919u % 101);
        }
        const double budget = 1e-7 * (fabs(prepared[i].weighted) + 100);
        if (fabs(sum - prepared[i].sum) > budget ||
            fabs(weighted - prepared[i].weighted) > 100 * budget)
            fail_msg("%s: %.12g, %.12g", prepared[i].config, sum, weighted);
        assert_int_equal(zm_image_prepare(image, &recipe, side + 1, &test_log.log, values),
                         ZM_ERROR_UNSUPPORTED);
        zm_image_destroy(&image);
        zm_model_close(&model);
    }
}

static void test_recipes(void **state)
{
    static const struct {
        const char *config, *reason; /* NULL = fine */
    } cases[] = {
        {"{}", "prepared by what is not named"},
        {"{\"size\": 384, \"feature_extractor_type\": \"ViTFeatureExtractor\"}", NULL},
        {NULL, "preprocessor_config.json: there is none"},
        {"[]", "preprocessor_config.json"},
        {"{\"image_processor_type\": \"MaskFormerImageProcessor\"}", "prepared by MaskFormer"},
        {"{" VIT "\"size\": 0}", "size is not a size"},
        {"{" VIT "\"size\": -5}", "size is not a size"},
        {"{" VIT "\"size\": 20000}", "size is not a size"},
        {"{" VIT "\"size\": {\"height\": 224}}", "size is not a size"},
        {"{" VIT "\"size\": {\"shortest_edge\": 224, \"longest_edge\": 9}}", "size is not a size"},
        {"{" VIT "\"crop_size\": {\"shortest_edge\": 224}}", "crop_size is not a size"},
        {"{" VIT "\"resample\": 1}", "resample is neither"},
        {"{" VIT "\"resample\": \"bicubic\"}", "resample is neither"},
        {"{" VIT "\"image_mean\": [0.5, 0.5]}", "image_mean is not three numbers"},
        {"{" VIT "\"image_mean\": [0.5, 0.5, null]}", "image_mean is not three numbers"},
        {"{" VIT "\"image_std\": [0.5, 0, 0.5]}", "image_std is not three numbers"},
        {"{" VIT "\"image_std\": [1, 1, 1, 1]}", "image_std is not three numbers"},
        {"{" VIT "\"rescale_factor\": 0}", "rescale_factor is not a number"},
        {"{" VIT "\"do_resize\": 1}", "do_resize is not true or false"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        zm_image_recipe recipe;
        zm_model *model = open_model(cases[i].config);
        scratch_log_init(&test_log);
        zm_status status = zm_image_recipe_read(model, &test_log.log, &recipe);
        if ((status == ZM_OK) != !cases[i].reason || test_log.errors != !!cases[i].reason ||
            (cases[i].reason && !strstr(test_log.error, cases[i].reason)))
            fail_msg("%s: %s", cases[i].config, test_log.error);
        zm_model_close(&model);
    }
    /* A size that is one number. */
    zm_image_recipe one;
    zm_model *model = open_model("{\"size\": 9, \"image_processor_type\": \"CLIPImageProcessor\"}");
    assert_int_equal(zm_image_recipe_read(model, &test_log.log, &one), ZM_OK);
    assert_true(one.shorter == 9 && one.width == 0 && one.crop_width == 224);
    zm_model_close(&model);
    model = open_model("{" VIT "\"size\": 9}");
    assert_int_equal(zm_image_recipe_read(model, &test_log.log, &one), ZM_OK);
    assert_true(one.shorter == 0 && one.width == 9 && one.height == 9 && one.crop_width == 0);
    zm_model_close(&model);
    /* A shape that its shorter side makes too long. */
    const zm_image_recipe recipe = {.shorter = 224, .crop_width = 224, .crop_height = 224};
    zm_image *image = picture(1 << 20, 1);
    assert_int_equal(zm_image_prepare(image, &recipe, 224, &test_log.log, (float[1]){0}),
                     ZM_ERROR_LIMIT);
    zm_image_destroy(&image);
}

/* ---- files ---- */

enum { WIDTH = 21, HEIGHT = 13 };

static void write_png(const char *path, int type, int depth, bool interlaced)
{
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    const uint32_t channels = type == PNG_COLOR_TYPE_RGB          ? 3
                              : type == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
                              : type == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                                  : 1;
    png_color palette[256];
    zm_image *image = picture(256, 1);
    for (int i = 0; i < 256; i++)
        palette[i] =
            (png_color){image->pixels[i * 3], image->pixels[i * 3 + 1], image->pixels[i * 3 + 2]};
    zm_image_destroy(&image);
    image = picture(WIDTH, HEIGHT);
    uint8_t rows[HEIGHT][WIDTH * 8];
    png_bytep pointers[HEIGHT];
    const size_t bytes = (size_t)depth / 8;
    for (size_t y = 0; y < HEIGHT; y++) {
        pointers[y] = rows[y];
        for (size_t x = 0; x < WIDTH; x++)
            for (size_t c = 0; c < channels; c++) {
                uint8_t *at = &rows[y][(x * channels + c) * bytes];
                at[0] = c < 3 && (channels != 2 || c == 0) ? image->pixels[(y * WIDTH + x) * 3 + c]
                                                           : (uint8_t)(x * 12);
                if (bytes == 2)
                    at[1] = (uint8_t)(200 + x);
            }
    }
    png_init_io(png, file);
    png_set_IHDR(png, info, WIDTH, HEIGHT, depth, type,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    png_set_gAMA(png, info, 1.0);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 256);
    png_write_info(png, info);
    png_write_image(png, pointers);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(file);
    zm_image_destroy(&image);
}

/* The picture, if it is colourful; all channels as its first one; or looked up in the palette. */
static void check_png(const char *path, int type)
{
    zm_image *image = NULL, *expected = picture(WIDTH, HEIGHT), *palette = picture(256, 1);
    assert_int_equal(zm_image_read(path, &test_log.log, &image), ZM_OK);
    assert_int_equal(image->width, WIDTH);
    assert_int_equal(image->height, HEIGHT);
    for (size_t i = 0; i < WIDTH * HEIGHT; i++)
        for (size_t c = 0; c < 3; c++) {
            const uint8_t first = expected->pixels[i * 3];
            const uint8_t wanted = type == PNG_COLOR_TYPE_PALETTE ? palette->pixels[first * 3 + c]
                                   : type & PNG_COLOR_MASK_COLOR  ? expected->pixels[i * 3 + c]
                                                                  : first;
            assert_int_equal(image->pixels[i * 3 + c], wanted);
        }
    zm_image_destroy(&image);
    zm_image_destroy(&expected);
    zm_image_destroy(&palette);
}

static void test_png(void **state)
{
    static const struct {
        int type, depth;
    } kinds[] = {{PNG_COLOR_TYPE_RGB, 8},        {PNG_COLOR_TYPE_RGB_ALPHA, 8},
                 {PNG_COLOR_TYPE_GRAY, 8},       {PNG_COLOR_TYPE_GRAY_ALPHA, 8},
                 {PNG_COLOR_TYPE_PALETTE, 8},    {PNG_COLOR_TYPE_RGB, 16},
                 {PNG_COLOR_TYPE_RGB_ALPHA, 16}, {PNG_COLOR_TYPE_GRAY, 16}};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(kinds); i++) {
        const char *path = scratch_path(&folder, "a.png");
        write_png(path, kinds[i / 2].type, kinds[i / 2].depth, i % 2);
        check_png(path, kinds[i / 2].type);
    }
}

static void write_jpeg(const char *path, int components, J_COLOR_SPACE space, bool progressive)
{
    FILE *file = fopen(path, "wb");
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = WIDTH;
    jpeg.image_height = HEIGHT;
    jpeg.input_components = components;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < HEIGHT; y++) {
        uint8_t row[WIDTH * 4];
        for (int i = 0; i < WIDTH * components; i++)
            row[i] = (uint8_t)(i / components * 8 + y * 3 + i % components * 20);
        JSAMPROW pointer = row;
        jpeg_write_scanlines(&jpeg, &pointer, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

static void test_jpeg(void **state)
{
    static const struct {
        int components;
        J_COLOR_SPACE space;
        bool progressive;
    } kinds[] = {{3, JCS_RGB, false}, {3, JCS_RGB, true}, {1, JCS_GRAYSCALE, false}};
    (void)state;
    const char *path = scratch_path(&folder, "a.jpg");
    zm_image *image = NULL;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        write_jpeg(path, kinds[i].components, kinds[i].space, kinds[i].progressive);
        assert_int_equal(zm_image_read(path, &test_log.log, &image), ZM_OK);
        assert_int_equal(image->width, WIDTH);
        assert_int_equal(image->height, HEIGHT);
        for (int j = 0; j < WIDTH * HEIGHT * 3; j++) {
            const int x = j / 3 % WIDTH, y = j / 3 / WIDTH,
                      c = kinds[i].components == 3 ? j % 3 : 0;
            assert_true(abs(image->pixels[j] - (x * 8 + y * 3 + c * 20)) <= 6);
        }
        zm_image_destroy(&image);
    }
    write_jpeg(path, 4, JCS_CMYK, false);
    assert_int_equal(zm_image_read(path, &test_log.log, &image), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(test_log.error, "CMYK"));
}

static uint8_t *read_bytes(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 16);
    *size = fread(bytes, 1, 1 << 16, file);
    assert_true(*size > 100 && *size < 1 << 16);
    fclose(file);
    return bytes;
}

/* One line each, whatever it is; nothing is given out. */
static zm_status read_damaged(const void *bytes, size_t size)
{
    const char *path = scratch_path(&folder, "b");
    zm_image *image = NULL;
    scratch_log_init(&test_log);
    scratch_write(path, bytes, size);
    zm_status status = zm_image_read(path, &test_log.log, &image);
    assert_int_equal(test_log.errors, status != ZM_OK);
    assert_true((image != NULL) == (status == ZM_OK));
    zm_image_destroy(&image);
    return status;
}

/* Cut off anywhere, or with a byte that is another one. */
static void test_damaged(void **state)
{
    uint64_t random = 7;
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        const char *path = scratch_path(&folder, "a");
        size_t size;
        if (kind == 0)
            write_png(path, PNG_COLOR_TYPE_RGB, 8, false);
        else
            write_jpeg(path, 3, JCS_RGB, kind == 2);
        uint8_t *bytes = read_bytes(path, &size);
        assert_int_equal(read_damaged(bytes, size), ZM_OK);
        for (size_t length = 0; length + 2 < size; length += length < 700 ? 1 : 7)
            if (read_damaged(bytes, length) == ZM_OK)
                fail_msg("kind %d, %zu of %zu bytes", kind, length, size);
        for (int i = 0; i < 1500; i++) {
            const size_t at = (size_t)test_random_below(&random, size);
            const uint8_t was = bytes[at];
            bytes[at] = (uint8_t)test_random_below(&random, 256);
            read_damaged(bytes, size);
            bytes[at] = was;
        }
        free(bytes);
    }
}

static void test_other_files(void **state)
{
    static const uint8_t huge[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0,    0,    0,
                                   13,   'I', 'H', 'D', 'R',  0,    0,    0xff, 0,    0,    0,
                                   0xff, 0,   8,   2,   0,    0,    0,    0x3c, 0xe4, 0x32, 0xdf,
                                   0,    0,   0,   9,   'I',  'D',  'A',  'T'};
    zm_image *image = NULL;
    (void)state;
    scratch_log_init(&test_log);
    assert_int_equal(zm_image_read("none.png", &test_log.log, &image), ZM_ERROR_NOT_FOUND);
    assert_int_equal(zm_image_read(folder, &test_log.log, &image), ZM_ERROR_IO);
    assert_int_equal(zm_image_read(NULL, NULL, &image), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(read_damaged("GIF89a", 6), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(test_log.error, "neither a PNG nor a JPEG"));
    assert_int_equal(read_damaged("", 0), ZM_ERROR_UNSUPPORTED);
    assert_int_equal(read_damaged(huge, sizeof(huge)), ZM_ERROR_LIMIT);
}

int main(void)
{
    scratch_log_init(&test_log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),  cmocka_unit_test(test_sizes_that_cannot_be),
        cmocka_unit_test(test_prepare), cmocka_unit_test(test_recipes),
        cmocka_unit_test(test_png),     cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_other_files),
    };
    model_folder = test_make_whisper(&(test_whisper){.seed = 3});
    if (scratch_setup(&folder) != 0)
        return 1;
    int failed = cmocka_run_group_tests_name("image", tests, NULL, NULL);
    scratch_teardown(&folder);
    test_folder_remove(model_folder);
    return failed;
}

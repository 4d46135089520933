/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised weights in rows and in panels: no bit is lost, and everything is where the header says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/quant.h"
#include "graph/pipeline.h"
#include "ops/view.h"
#include "ops/weight_blocks.h"

#define ROWS 70
#define K 512

static const zm_dtype types[] = {ZM_Q8_0, ZM_Q4_0, ZM_Q4_1, ZM_Q5_0, ZM_Q5_1,
                                 ZM_Q2_K, ZM_Q3_K, ZM_Q4_K, ZM_Q5_K, ZM_Q6_K};
#define PLACED 3 /* of them */

static void fill(unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)(rand() >> 4);
}

static void test_round_trip(void **state)
{
    (void)state;
    static unsigned char src[ROWS * K * 2], dst[96 * K * 2], back[K * 2];
    for (size_t t = 0; t < ZM_COUNT(types); t++) {
        zm_dtype type = types[t];
        zm_weight_layout layout = {.panel = 32, .elements = 96 * K};
        size_t row = zm_dtype_bytes(type, K);
        fill(src, ROWS * row);
        assert_int_equal(zm_weight_pack(dst, type, &layout, ROWS, 0, src, type, 45, K), ZM_OK);
        assert_int_equal(zm_weight_pack(dst, type, &layout, ROWS, 45, src + 45 * row, type, 25, K),
                         ZM_OK);
        for (uint32_t r = 0; r < ROWS; r++) {
            const unsigned char *panel = dst + zm_dtype_bytes(type, r / 32 * 32 * K);
            zm_blocks_unpack(back, type, 32, r % 32, panel, 1, K);
            assert_memory_equal(back, src + r * row, row);
        }
        layout = (zm_weight_layout){.elements = ROWS * K};
        assert_int_equal(zm_weight_pack(dst, type, &layout, ROWS, 3, src, type, 60, K), ZM_OK);
        assert_memory_equal(dst + 3 * row, src, 60 * row);
    }
}

/* Element 13 of the second block of row 33, whose bytes are 1, 2, 3 ... */
static void test_places(void **state)
{
    (void)state;
    static unsigned char src[ROWS * K * 2], dst[96 * K * 2];
    for (size_t t = 0; t < PLACED; t++) {
        zm_dtype type = types[t];
        size_t size = zm_dtype_block_size(type), halves = type == ZM_Q4_1 ? 2 : 1;
        zm_weight_layout layout = {.panel = 32, .elements = 96 * K};
        memset(src, 0, sizeof(src));
        memset(dst, 0, sizeof(dst));
        unsigned char *block = src + (33 * K / 32 + 1) * size;
        for (size_t i = 0; i < size; i++)
            block[i] = (unsigned char)(i + 1);
        assert_int_equal(zm_weight_pack(dst, type, &layout, ROWS, 0, src, type, ROWS, K), ZM_OK);
        const unsigned char *step = dst + (K + 32) * size;
        for (size_t i = 0; i < halves; i++)
            assert_memory_equal(step + i * 64 + 2, block + 2 * i, 2);
        const unsigned char *values = step + halves * 64;
        if (type == ZM_Q8_0) {
            assert_int_equal(values[13 * 32 + 1], block[2 + 13]);
            continue;
        }
        uint32_t word;
        memcpy(&word, values + (13 / 8 * 32 + 1) * 4, 4);
        assert_int_equal(word >> 4 * (13 % 8) & 15, block[2 * halves + 13] & 15);
        memcpy(&word, values + (29 / 8 * 32 + 1) * 4, 4);
        assert_int_equal(word >> 4 * (29 % 8) & 15, block[2 * halves + 13] >> 4);
    }
}

/* Rows that are packed together, wherever they begin, lie as those packed one by one, which takes
 * none of the short cuts; and no other byte is written. */
static void test_together(void **state)
{
    (void)state;
    enum { PANELS = 64 * K * 2 };
    static unsigned char src[64 * K * 2], dst[PANELS], wanted[PANELS];
    static const uint32_t firsts[] = {0, 1, 9, 16, 31};
    for (size_t t = 0; t < ZM_COUNT(types); t++) {
        zm_dtype type = types[t];
        const zm_weight_layout layout = {.panel = 32, .elements = 64 * K};
        size_t row = zm_dtype_bytes(type, K);
        fill(src, sizeof(src));
        for (uint32_t i = 0; i < ZM_COUNT(firsts); i++) {
            uint32_t first = firsts[i], count = 64 - first - (uint32_t)t % 3;
            fill(dst, PANELS);
            memcpy(wanted, dst, PANELS);
            assert_int_equal(zm_weight_pack(dst, type, &layout, 64, first, src + 1, type, count, K),
                             ZM_OK);
            for (uint32_t r = 0; r < count; r++)
                assert_int_equal(zm_weight_pack(wanted, type, &layout, 64, first + r,
                                                src + 1 + r * row, type, 1, K),
                                 ZM_OK);
            assert_memory_equal(dst, wanted, PANELS);
        }
    }
}

static void test_gated(void **state)
{
    (void)state;
    enum { N = 20 };
    static unsigned char gate[N * K * 2], up[N * K * 2], dst[64 * K * 2], back[K * 2];
    for (size_t t = 0; t < ZM_COUNT(types); t++) {
        zm_dtype type = types[t];
        const zm_weight_layout layout = {.panel = 32, .elements = 64 * K};
        size_t row = zm_dtype_bytes(type, K);
        fill(gate, N * row);
        fill(up, N * row);
        assert_int_equal(zm_gated_weight_pack(dst, type, &layout, gate, up, type, N, K), ZM_OK);
        for (uint32_t r = 0; r < N; r++) {
            const unsigned char *panel = dst + zm_dtype_bytes(type, r / 16 * 32 * K);
            zm_blocks_unpack(back, type, 32, r % 16, panel, 1, K);
            assert_memory_equal(back, gate + r * row, row);
            zm_blocks_unpack(back, type, 32, 16 + r % 16, panel, 1, K);
            assert_memory_equal(back, up + r * row, row);
        }
    }
}

/* Elements of quantised rows from anywhere on, and bytes of them. */
static void test_load(void **state)
{
    (void)state;
    static const zm_dtype all[] = {ZM_Q8_0, ZM_Q4_1, ZM_Q6_K, ZM_F16};
    static unsigned char src[1024 * 2] = {0};
    float decoded[1024];
    double loaded[300];
    for (size_t t = 0; t < ZM_COUNT(all); t++) {
        for (size_t i = 0; i < sizeof(src); i++) /* no exponent of a half is that of NaN */
            src[i] = (unsigned char)(rand() >> 4) & 0x3f;
        zm_quant_decode(decoded, src, all[t], 1024);
        for (uint64_t first = 0; first < 700; first += 61) {
            zm_quant_load(loaded, src, all[t], first, 300);
            for (size_t i = 0; i < 300; i++)
                assert_true(loaded[i] == (double)decoded[first + i]);
        }
    }
    assert_int_equal(zm_dtype_bytes(ZM_Q4_1, 96), 60);
    assert_int_equal(zm_dtype_bytes(ZM_F16, 3), 6);
    assert_true(zm_dtype_bytes(ZM_F64, UINT64_MAX / 4) == UINT64_MAX);
}

/* What a pipeline does for a second device: panels become its rows, of the same type or decoded. */
static void test_copy(void **state)
{
    (void)state;
    enum { SIZE = 64 * K };
    static unsigned char rows[SIZE * 2], panels[SIZE * 2], back[SIZE * 4];
    static float decoded[40 * K];
    const zm_weight_layout layout = {.panel = 32, .elements = SIZE};
    zm_device *device;
    zm_stream *stream;
    assert_int_equal(zm_device_open(&(zm_device_params){.spec = "host"}, &device), ZM_OK);
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    for (size_t t = 0; t < ZM_COUNT(types); t++) {
        zm_dtype type = types[t], to[] = {type, ZM_F32};
        zm_buffer_params params = {.size = zm_dtype_bytes(type, SIZE)};
        for (size_t i = 0; i < sizeof(rows); i++)
            rows[i] = (unsigned char)(rand() >> 4) & 0x3f;
        zm_quant_decode(decoded, rows, type, 40 * K);
        assert_int_equal(zm_weight_pack(panels, type, &layout, 40, 0, rows, type, 40, K), ZM_OK);
        zm_tensor src = {.dtype = type, .rank = 2, .shape = {40, K}, .panel = 32}, dst;
        assert_int_equal(zm_buffer_create(device, &params, &src.buffer), ZM_OK);
        assert_int_equal(zm_buffer_write(stream, src.buffer, 0, panels, params.size), ZM_OK);
        for (size_t i = 0; i < 2; i++) {
            zm_buffer *made = NULL;
            uint64_t bytes = zm_dtype_bytes(to[i], 40 * K);
            assert_int_equal(
                zm_constant_copy(stream, &src, ZM_OPERAND_WEIGHT, stream, to[i], &made, &dst),
                ZM_OK);
            assert_int_equal(zm_buffer_read(stream, made, 0, back, bytes), ZM_OK);
            assert_memory_equal(back, i ? (const void *)decoded : rows, bytes);
            zm_buffer_destroy(&made);
        }
        zm_buffer_destroy(&src.buffer);
    }
    zm_stream_destroy(&stream);
    zm_device_close(&device);
}

static void test_refusals(void **state)
{
    (void)state;
    unsigned char src[68] = {0}, dst[32 * 34];
    const zm_status bad = ZM_ERROR_INVALID_ARGUMENT;
    zm_weight_layout layout = {.panel = 32, .elements = 32 * 32};
    assert_int_equal(zm_weight_pack(dst, ZM_Q8_0, &layout, 1, 0, src, ZM_Q8_0, 1, 32), ZM_OK);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 1, 0, src, ZM_Q8_0, 1, 32), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_Q8_0, &layout, 1, 0, src, ZM_F32, 1, 32), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_Q8_0, &layout, 33, 0, src, ZM_Q8_0, 1, 16), bad);
    assert_int_equal(zm_gated_bias_pack(dst, ZM_Q8_0, &layout, src, src, ZM_Q8_0, 1), bad);

    const zm_device host = {.info = {.backend = ZM_BACKEND_HOST, .real_type = ZM_F32}};
    zm_device cpu = {.info = {.backend = ZM_BACKEND_OPENCL,
                              .type = ZM_DEVICE_CPU,
                              .real_type = ZM_F32,
                              .limits = {.compute_units = 2}}};
    assert_true(zm_weight_type_is_read(&host, ZM_Q6_K) && zm_weight_type_is_read(&cpu, ZM_Q4_0));
    assert_int_equal(zm_weight_layout_get(&host, 5, 512, ZM_Q6_K, &layout), ZM_OK);
    assert_int_equal(zm_weight_layout_get(&host, 5, 128, ZM_Q6_K, &layout), bad);
    assert_int_equal(layout.panel, 0);
    assert_int_equal(zm_weight_layout_get(&cpu, 33, 64, ZM_Q4_1, &layout), ZM_OK);
    assert_int_equal(layout.elements, 64 * 64);
    assert_int_equal(zm_weight_layout_get(&cpu, 33, 63, ZM_Q4_1, &layout), bad);
    assert_int_equal(zm_weight_layout_get(&cpu, 5, 512, ZM_Q6_K, &layout), ZM_OK);
    assert_int_equal(zm_weight_layout_get(&cpu, 5, 128, ZM_Q6_K, &layout), bad);
    cpu.info.type = ZM_DEVICE_GPU;
    assert_int_equal(zm_weight_layout_get(&cpu, 65, 512, ZM_Q8_0, &layout), ZM_OK);
    assert_int_equal(layout.panel, 64);
    assert_int_equal(layout.elements, 128 * 512);
}

static void test_views(void **state)
{
    (void)state;
    zm_buffer buffer = {.size = 34 * 128};
    zm_tensor rows = zm_tensor_2d(&buffer, ZM_Q8_0, 4, 64);
    zm_view view;
    zm_refusal refusal;
    rows.offset = 64;
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_OK);
    assert_int_equal(view.begin, 68);
    assert_int_equal(view.run, 4 * 68);
    rows.offset = 16;
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_ERROR_INVALID_ARGUMENT);
    rows.offset = 0;
    rows.shape[1] = 48;
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_ERROR_INVALID_ARGUMENT);
    rows = zm_tensor_2d(&buffer, ZM_Q8_0, 4, 64);
    rows.stride[0] = 80;
    rows.stride[1] = 1;
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_ERROR_INVALID_ARGUMENT);
    rows.stride[0] = 96;
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_OK);
    assert_int_equal(view.stride[0], 3 * 34);
    rows = zm_tensor_2d(&buffer, ZM_Q8_0, 64, 64);
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_OK);
    rows.shape[0] = 65;
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_ERROR_INVALID_ARGUMENT);
    rows = (zm_tensor){.buffer = &buffer, .dtype = ZM_Q8_0, .rank = 2, .shape = {5, 32}};
    rows.panel = 32;
    rows.offset = 1024;
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_OK);
    assert_int_equal(view.run, 32 * 34);
    rows.offset = 32;
    assert_int_equal(zm_view_get(&rows, false, &view, &refusal), ZM_ERROR_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_places),
        cmocka_unit_test(test_gated),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_views),      cmocka_unit_test(test_load),
        cmocka_unit_test(test_copy),       cmocka_unit_test(test_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

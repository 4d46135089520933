/* SPDX-License-Identifier: Apache-2.0 */
/* Where things lie: views and their overlaps, packed weights, the cache, and how work is cut up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/half.h"
#include "ops/gpu_rows.h"
#include "ops/tuning.h"
#include "ops/view.h"

static const unsigned seed = 20;

static uint32_t below(uint32_t n)
{
    return (uint32_t)rand() % n;
}

/* ---- views ---- */

#define HELD 64 /* elements of the buffer that the random views lie in */

static zm_tensor random_view(zm_buffer *buffer)
{
    for (;;) {
        zm_tensor t = zm_tensor_2d(buffer, ZM_F32, 1 + below(4), 1 + below(8));
        t.offset = below(HELD);
        if (below(3))
            t.stride[0] = t.shape[1] + below(9);
        if (t.stride[0])
            t.stride[1] = 1;
        uint64_t stride = t.stride[0] ? t.stride[0] : t.shape[1];
        if (t.offset + (t.shape[0] - 1) * stride + t.shape[1] <= HELD)
            return t;
    }
}

static void mark(const zm_tensor *t, bool marks[HELD])
{
    uint64_t stride = t->stride[0] ? t->stride[0] : t->shape[1];
    memset(marks, 0, HELD * sizeof(marks[0]));
    for (uint32_t r = 0; r < t->shape[0]; r++)
        for (uint32_t c = 0; c < t->shape[1]; c++)
            marks[t->offset + r * stride + c] = true;
}

/* Against the plain way of finding out: marking every element. */
static void test_overlap(void **state)
{
    (void)state;
    zm_buffer buffer = {.size = HELD * sizeof(float)}, other = buffer;
    unsigned seen[3] = {0};
    for (int i = 0; i < 200000; i++) {
        zm_tensor a = random_view(&buffer);
        zm_tensor b = below(10) ? random_view(&buffer) : a;
        zm_view va, vb;
        zm_refusal refusal;
        assert_int_equal(zm_view_get(&a, false, &va, &refusal), ZM_OK);
        assert_int_equal(zm_view_get(&b, false, &vb, &refusal), ZM_OK);
        bool in_a[HELD], in_b[HELD], shared = false;
        mark(&a, in_a);
        mark(&b, in_b);
        for (int j = 0; j < HELD; j++)
            shared |= in_a[j] && in_b[j];
        zm_relation relation = zm_view_relation(&va, &vb);
        assert_int_equal(relation != ZM_DISJOINT, shared);
        assert_int_equal(zm_view_relation(&vb, &va), relation);
        if (relation == ZM_SAME_VIEW)
            assert_memory_equal(in_a, in_b, sizeof(in_a));
        seen[relation]++;
        vb.buffer = &other;
        assert_int_equal(zm_view_relation(&va, &vb), ZM_DISJOINT);
    }
    for (int i = 0; i < 3; i++)
        assert_true(seen[i] > 100);
}

/* ---- views of any rank ---- */

/* Any strides at all: some overlap themselves, some reach outside. */
static zm_tensor any_tensor(zm_buffer *buffer)
{
    zm_tensor t = {.buffer = buffer, .dtype = ZM_F32, .rank = 1 + below(4)};
    uint32_t order[ZM_MAX_RANK] = {0, 1, 2, 3};
    uint64_t stride = 1 + below(2);
    for (uint32_t i = t.rank; i-- > 0;) {
        uint32_t j = below(3) ? i : below(i + 1), other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
    for (uint32_t i = t.rank; i-- > 0;) {
        uint32_t dim = order[i] % t.rank;
        t.shape[dim] = 1 + below(4);
        t.stride[dim] = stride;
        stride = stride * t.shape[dim] + (below(3) ? 0 : below(4));
        if (!below(20))
            stride = 1 + below(6);
    }
    t.offset = below(HELD / 2);
    return t;
}

/* Numbers the elements in the order of the tensor, 0 = not one of them. False: it reaches outside
 * or has an element twice. */
static bool number(const zm_tensor *t, uint32_t numbers[HELD])
{
    uint32_t index[ZM_MAX_RANK] = {0}, next = 1;
    memset(numbers, 0, HELD * sizeof(numbers[0]));
    for (;;) {
        uint64_t place = t->offset;
        for (uint32_t i = 0; i < t->rank; i++)
            place += index[i] * t->stride[i];
        if (place >= HELD || numbers[place])
            return false;
        numbers[place] = next++;
        uint32_t dim = t->rank;
        while (dim > 0 && ++index[dim - 1] == t->shape[dim - 1])
            index[--dim] = 0;
        if (dim == 0)
            return true;
    }
}

/* Against the plain way again. Strides that interleave without meeting may be refused. */
static void test_any_overlap(void **state)
{
    (void)state;
    zm_buffer buffer = {.size = HELD * sizeof(float)};
    unsigned seen[3] = {0}, refused = 0, interleaved = 0;
    for (int i = 0; i < 300000; i++) {
        zm_tensor a = any_tensor(&buffer), b = below(10) ? any_tensor(&buffer) : a;
        uint32_t in_a[HELD], in_b[HELD];
        zm_view va, vb;
        zm_refusal refusal;
        bool good = number(&a, in_a), shared = false;
        zm_status status = zm_view_get(&a, true, &va, &refusal);
        if (!good)
            assert_int_equal(status, ZM_ERROR_INVALID_ARGUMENT);
        refused += !good;
        interleaved += good && status != ZM_OK;
        if (status != ZM_OK || zm_view_get(&b, true, &vb, &refusal) != ZM_OK)
            continue;
        assert_true(number(&b, in_b));
        for (int j = 0; j < HELD; j++)
            shared |= in_a[j] && in_b[j];
        zm_relation relation = zm_view_relation(&va, &vb);
        assert_int_equal(relation != ZM_DISJOINT, shared);
        assert_int_equal(zm_view_relation(&vb, &va), relation);
        if (a.rank == b.rank && memcmp(a.shape, b.shape, sizeof(a.shape)) == 0)
            assert_int_equal(relation == ZM_SAME_VIEW, memcmp(in_a, in_b, sizeof(in_a)) == 0);
        seen[relation]++;
    }
    for (int i = 0; i < 3; i++)
        assert_true(seen[i] > 1000);
    assert_true(refused > 1000 && interleaved < refused / 20);
}

/* Single elements, stride apart, of which no more than a few may be looked at. */
static zm_tensor scattered(zm_buffer *buffer, uint64_t offset, uint64_t stride)
{
    return (zm_tensor){.buffer = buffer,
                       .offset = offset,
                       .dtype = ZM_F32,
                       .rank = 2,
                       .shape = {1u << 31, 3},
                       .stride = {stride, 2}};
}

static void test_huge_views(void **state)
{
    (void)state;
    zm_device device = {.info = {.real_type = ZM_F32}};
    zm_buffer buffer = {.device = &device, .size = UINT64_C(1) << 60};
    static const struct {
        uint64_t stride, offset, other;
        zm_relation relation;
    } cases[] = {
        {8, 0, 8, ZM_SAME_VIEW},         {8, 1, 8, ZM_DISJOINT}, /* the elements between */
        {8, 8, 8, ZM_OVERLAP},           {8, 6, 8, ZM_OVERLAP},
        {8, UINT32_MAX, 8, ZM_DISJOINT}, {8, UINT32_MAX - 1, 8, ZM_OVERLAP},
        {8, 1, 12, ZM_TANGLED}, /* even and odd ones */
        {8, 2, 12, ZM_OVERLAP},          {8, 1, 9, ZM_OVERLAP},
    };
    clock_t begin = clock();
    for (size_t i = 0; i < ZM_COUNT(cases); i++) {
        zm_copy_params p = {.x = scattered(&buffer, 0, cases[i].stride),
                            .dst = scattered(&buffer, cases[i].offset, cases[i].other)};
        zm_view x, dst;
        zm_refusal refusal;
        assert_int_equal(zm_view_get(&p.x, true, &x, &refusal), ZM_OK);
        assert_int_equal(zm_view_get(&p.dst, true, &dst, &refusal), ZM_OK);
        assert_int_equal(zm_view_relation(&x, &dst), cases[i].relation);
        assert_int_equal(zm_view_relation(&dst, &x), cases[i].relation);
        assert_int_equal(zm_op_copy.check(&device, &p, &refusal),
                         cases[i].relation == ZM_DISJOINT  ? ZM_OK
                         : cases[i].relation == ZM_TANGLED ? ZM_ERROR_UNSUPPORTED
                                                           : ZM_ERROR_INVALID_ARGUMENT);
    }
    assert_true(clock() - begin < CLOCKS_PER_SEC);
}

static void test_slices(void **state)
{
    (void)state;
    zm_buffer buffer = {.size = 10 * 12 * sizeof(float)};
    zm_tensor all = zm_tensor_2d(&buffer, ZM_F32, 10, 12);
    zm_tensor q = zm_tensor_cols(all, 0, 4), k = zm_tensor_cols(all, 4, 4);
    zm_tensor part = zm_tensor_cols(zm_tensor_rows(k, 2, 3), 1, 2);
    zm_view vq, vk, vpart;
    zm_refusal refusal;
    assert_int_equal(zm_view_get(&q, false, &vq, &refusal), ZM_OK);
    assert_int_equal(zm_view_get(&k, false, &vk, &refusal), ZM_OK);
    assert_int_equal(zm_view_get(&part, false, &vpart, &refusal), ZM_OK);
    assert_int_equal(zm_view_relation(&vq, &vk), ZM_DISJOINT);
    assert_int_equal(zm_view_relation(&vk, &vpart), ZM_OVERLAP);
    assert_int_equal(part.offset, 2 * 12 + 4 + 1);
    assert_int_equal(zm_tensor_row_stride(&part), 12);

    zm_tensor weight = all;
    weight.panel = 4;
    assert_int_equal(zm_tensor_rows(weight, 8, 2).offset, 8 * 12);
    assert_int_equal(zm_tensor_rows(weight, 6, 2).rank, 0);
    assert_int_equal(zm_tensor_cols(weight, 4, 4).rank, 0);
}

static void test_view_refusals(void **state)
{
    (void)state;
    zm_buffer buffer = {.size = 100 * sizeof(float)}, vast = {.size = 1ull << 50};
    const struct {
        zm_tensor tensor;
        zm_status status;
    } cases[] = {
        {{&buffer, 0, ZM_F32, 2, {10, 10}, {0}, 0}, ZM_OK},
        {{&buffer, 1, ZM_F32, 2, {10, 10}, {0}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F64, 2, {10, 5}, {0}, 0}, ZM_OK},
        {{&buffer, 0, ZM_F64, 2, {10, 6}, {0}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {0, 10}, {0}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {10, 0}, {0}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {9, 8}, {11, 1}, 0}, ZM_OK},
        {{&buffer, 0, ZM_F32, 2, {2, 8}, {7, 1}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {2, 8}, {16, 2}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {1, 8}, {UINT64_MAX, 1}, 0}, ZM_OK},
        {{&buffer, 0, ZM_F32, 1, {8}, {2}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, UINT64_MAX, ZM_F32, 1, {8}, {0}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {3, 8}, {1ull << 63, 1}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {UINT32_MAX, UINT32_MAX}, {0}, 0}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {5, 12}, {0}, 8}, ZM_OK},
        {{&buffer, 0, ZM_F32, 2, {9, 12}, {0}, 8}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {5, 12}, {12, 1}, 8}, ZM_ERROR_INVALID_ARGUMENT},
        {{&buffer, 0, ZM_F32, 2, {5, UINT32_MAX}, {0}, UINT32_MAX}, ZM_ERROR_INVALID_ARGUMENT},
        {{&vast, 1ull << 32, ZM_F32, 1, {8}, {0}, 0}, ZM_ERROR_UNSUPPORTED},
        {{&vast, 0, ZM_F32, 2, {2, 8}, {1ull << 32, 1}, 0}, ZM_ERROR_UNSUPPORTED},
        {{&vast, UINT32_MAX, ZM_F32, 2, {2, 8}, {UINT32_MAX, 1}, 0}, ZM_OK},
    };
    for (size_t i = 0; i < ZM_COUNT(cases); i++) {
        zm_view view;
        zm_refusal refusal = {"nothing"};
        zm_status status = zm_view_get(&cases[i].tensor, false, &view, &refusal);
        if (status != cases[i].status)
            print_message("case %zu: %s\n", i, refusal.reason);
        assert_int_equal(status, cases[i].status);
    }
}

/* ---- weights ---- */

static void check_pack(zm_dtype to, zm_dtype from, uint32_t panel, uint32_t n, uint32_t k)
{
    zm_weight_layout layout = {.panel = panel};
    assert_true(zm_weight_elements(panel, n, k, &layout.elements));
    size_t elements = (size_t)n * k;
    unsigned char *src = calloc(elements + 1, 8), *dst = calloc(layout.elements, 8);
    assert_non_null(src);
    assert_non_null(dst);
    unsigned char *odd = src + 1; /* rows of a mapped file need not be aligned */
    double *values = calloc(elements, sizeof(double));
    assert_non_null(values);
    for (size_t i = 0; i < elements; i++) {
        unsigned char one[8];
        zm_store_real(one, from, 0, rand() / (double)RAND_MAX - 0.5);
        values[i] = zm_load_real(one, from, 0);
        memcpy(odd + i * zm_dtype_size(from), one, zm_dtype_size(from));
    }
    unsigned char *aligned = src + (from == to ? 1 : 0);
    if (from != to)
        memmove(src, odd, elements * zm_dtype_size(from));
    uint32_t cut = n / 3;
    assert_int_equal(zm_weight_pack(dst, to, &layout, n, 0, aligned, from, cut, k), ZM_OK);
    assert_int_equal(zm_weight_pack(dst, to, &layout, n, cut,
                                    aligned + (size_t)cut * k * zm_dtype_size(from), from, n - cut,
                                    k),
                     ZM_OK);
    size_t rows = panel ? (size_t)layout.elements / k : n;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < k; c++) {
            size_t place = panel ? (r / panel * k + c) * panel + r % panel : r * k + c;
            unsigned char wanted[8];
            zm_store_real(wanted, to, 0, r < n ? values[r * k + c] : 0);
            assert_memory_equal(dst + place * zm_dtype_size(to), wanted, zm_dtype_size(to));
        }
    free(values);
    free(src);
    free(dst);
}

static void test_pack(void **state)
{
    (void)state;
    static const struct {
        zm_dtype to, from;
    } types[] = {{ZM_F32, ZM_F32},  {ZM_F16, ZM_F16},  {ZM_F32, ZM_F16},  {ZM_F64, ZM_F16},
                 {ZM_F64, ZM_F32},  {ZM_F16, ZM_F32},  {ZM_F32, ZM_BF16}, {ZM_BF16, ZM_BF16},
                 {ZM_BF16, ZM_F32}, {ZM_BF16, ZM_F16}, {ZM_F16, ZM_BF16}, {ZM_F64, ZM_F64}};
    static const uint32_t panels[] = {0, 16, 32, 48};
    for (size_t t = 0; t < ZM_COUNT(types); t++)
        for (size_t p = 0; p < ZM_COUNT(panels); p++)
            for (int i = 0; i < 20; i++)
                check_pack(types[t].to, types[t].from, panels[p], 1 + below(150), 1 + below(150));
}

/* Gate and up rows carry their number, so that each place says what it must hold. */
static void check_gated(zm_dtype to, zm_dtype from, uint32_t panel, uint32_t n, uint32_t k)
{
    zm_weight_layout layout = {.panel = panel};
    assert_true(zm_weight_elements(panel, 2 * n, k, &layout.elements));
    size_t elements = (size_t)n * k;
    unsigned char *gate = calloc(elements, 8), *up = calloc(elements, 8);
    unsigned char *dst = calloc(layout.elements, 8), *bias = calloc(2 * n + 1, 8);
    assert_true(gate && up && dst && bias);
    for (size_t i = 0; i < elements; i++) {
        zm_store_real(gate, from, i, 1 + (double)(i % 101));
        zm_store_real(up, from, i, -1 - (double)(i % 103));
    }
    zm_store_real(bias, to, 2 * n, 77);
    assert_int_equal(zm_gated_weight_pack(dst, to, &layout, gate, up, from, n, k), ZM_OK);
    assert_int_equal(zm_gated_bias_pack(bias, to, &layout, gate, up, from, n), ZM_OK);
    assert_true(zm_load_real(bias, to, 2 * n) == 77);
    uint32_t half = panel ? panel / 2 : 1, sums = 0;
    for (uint32_t o = 0; o < n; o++) {
        uint32_t first = o / half * half, count = n - first < half ? n - first : half;
        assert_true(zm_load_real(bias, to, first + o) == zm_load_real(gate, from, o));
        assert_true(zm_load_real(bias, to, first + count + o) == zm_load_real(up, from, o));
        for (uint32_t c = 0; c < k; c++) {
            size_t row = first + o, other = row + half; /* of all, with pads */
            size_t place = panel ? (row / panel * k + c) * panel + row % panel : row * k + c;
            size_t partner =
                panel ? (other / panel * k + c) * panel + other % panel : other * k + c;
            size_t i = (size_t)o * k + c;
            assert_true(zm_load_real(dst, to, place) == zm_load_real(gate, from, i));
            assert_true(zm_load_real(dst, to, partner) == zm_load_real(up, from, i));
            sums += 2;
        }
    }
    for (size_t i = 0; i < layout.elements; i++)
        sums -= zm_load_real(dst, to, i) != 0;
    assert_int_equal(sums, 0); /* pads are left alone */
    free(gate);
    free(up);
    free(dst);
    free(bias);
}

static void test_gated_pack(void **state)
{
    (void)state;
    static const uint32_t panels[] = {0, 2, 32, 64};
    for (size_t p = 0; p < ZM_COUNT(panels); p++)
        for (uint32_t n = 1; n <= 70; n += n < 35 ? 1 : 7)
            check_gated(n % 3 ? ZM_F32 : ZM_BF16, n % 2 ? ZM_F32 : ZM_F16, panels[p], n,
                        1 + below(70));

    float src[64] = {0}, dst[256];
    zm_weight_layout layout = {.panel = 32, .elements = 32 * 4};
    const zm_status bad = ZM_ERROR_INVALID_ARGUMENT;
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, &layout, src, src, ZM_F32, 16, 4), ZM_OK);
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, &layout, src, src, ZM_F32, 17, 4), bad);
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, &layout, src, src, ZM_F32, 0, 4), bad);
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, &layout, src, src, ZM_F32, 16, 0), bad);
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, &layout, src, src, ZM_F32, 1u << 31, 4),
                     bad);
    assert_int_equal(zm_gated_weight_pack(NULL, ZM_F32, &layout, src, src, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, NULL, src, src, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, &layout, NULL, src, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, &layout, src, NULL, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_gated_weight_pack(dst, ZM_I32, &layout, src, src, ZM_I32, 16, 4), bad);
    assert_int_equal(zm_gated_bias_pack(dst, ZM_F32, &layout, src, src, ZM_F32, 0), bad);
    assert_int_equal(zm_gated_bias_pack(dst, ZM_I32, &layout, src, src, ZM_I32, 4), bad);
    assert_int_equal(zm_gated_bias_pack(dst, ZM_F32, NULL, src, src, ZM_F32, 4), bad);
    layout = (zm_weight_layout){.panel = 3, .elements = 6};
    assert_int_equal(zm_gated_weight_pack(dst, ZM_F32, &layout, src, src, ZM_F32, 3, 1), bad);
    assert_int_equal(zm_gated_bias_pack(dst, ZM_F32, &layout, src, src, ZM_F32, 3), bad);
}

static void test_pack_refusals(void **state)
{
    (void)state;
    float src[64] = {0}, dst[128];
    zm_weight_layout layout = {.panel = 32, .elements = 32 * 4};
    const zm_status bad = ZM_ERROR_INVALID_ARGUMENT;
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 16, 0, src, ZM_F32, 16, 4), ZM_OK);
    assert_int_equal(zm_weight_pack(NULL, ZM_F32, &layout, 16, 0, src, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, NULL, 16, 0, src, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 16, 0, NULL, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 16, 1, src, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 16, UINT32_MAX, src, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 16, 0, src, ZM_F32, 17, 4), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 33, 0, src, ZM_F32, 16, 4), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 16, 0, src, ZM_F32, 16, 3), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_F32, &layout, 16, 0, src, ZM_F64, 4, 4), bad);
    assert_int_equal(zm_weight_pack(dst, ZM_I32, &layout, 16, 0, src, ZM_I32, 16, 4), bad);
}

/* ---- layouts and tilings of devices that exist in this file only ---- */

static zm_device fake_device(zm_backend backend, uint32_t units)
{
    zm_device device = {.info = {.backend = backend,
                                 .type = ZM_DEVICE_CPU,
                                 .real_type = ZM_F32,
                                 .limits = {.compute_units = units}}};
    return device;
}

static void test_layouts(void **state)
{
    (void)state;
    const zm_device host = fake_device(ZM_BACKEND_HOST, 2);
    const zm_device cpu = fake_device(ZM_BACKEND_OPENCL, 2);
    zm_weight_layout weight;
    assert_int_equal(zm_weight_layout_get(&host, 33, 7, ZM_F16, &weight), ZM_OK);
    assert_int_equal(weight.panel, 0);
    assert_int_equal(weight.elements, 33 * 7);
    assert_int_equal(zm_weight_layout_get(&cpu, 33, 7, ZM_F16, &weight), ZM_OK);
    assert_int_equal(weight.elements, (33 + weight.panel - 1) / weight.panel * weight.panel * 7);
    assert_int_equal(zm_weight_layout_get(&cpu, 33, 7, ZM_BF16, &weight), ZM_OK);
    assert_int_equal(zm_weight_layout_get(&cpu, 33, 7, ZM_F64, &weight), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_weight_layout_get(&cpu, 33, 7, ZM_I32, &weight), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_weight_layout_get(&cpu, 0, 7, ZM_F32, &weight), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_weight_layout_get(NULL, 1, 7, ZM_F32, &weight), ZM_ERROR_INVALID_ARGUMENT);

    zm_kv_layout kv;
    for (uint32_t capacity = 1; capacity < 100; capacity++) {
        assert_int_equal(zm_kv_layout_get(&cpu, ZM_DTYPE_NONE, 3, 20, capacity, &kv), ZM_OK);
        assert_true(kv.capacity >= capacity && kv.capacity < capacity + 32);
        assert_true(kv.panel != 0 && kv.capacity % (2 * kv.panel) == 0);
        assert_int_equal(kv.head_stride, kv.capacity * 20);
        assert_int_equal(kv.elements, 3 * kv.head_stride);
    }
    assert_int_equal(zm_kv_layout_get(&host, ZM_DTYPE_NONE, 3, 20, 7, &kv), ZM_OK);
    assert_int_equal(kv.capacity, 7);
    assert_int_equal(kv.panel, 0);
    assert_int_equal(zm_kv_layout_get(&cpu, ZM_DTYPE_NONE, 3, 20, 0, &kv),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_kv_layout_get(&cpu, ZM_DTYPE_NONE, 1 << 16, 1 << 10, 1 << 10, &kv),
                     ZM_ERROR_LIMIT);
    assert_int_equal(zm_kv_layout_get(&cpu, ZM_DTYPE_NONE, 1, 1, UINT32_MAX, &kv), ZM_ERROR_LIMIT);
}

static void force(zm_device *device, const char *op, const char *kernel)
{
    zm_forced_kernel *forced = &device->forced[device->forced_count++];
    snprintf(forced->op, sizeof(forced->op), "%s", op);
    snprintf(forced->kernel, sizeof(forced->kernel), "%s", kernel);
}

static void assert_layouts(const zm_device *device, uint32_t panel, uint32_t key_panel,
                           uint32_t group)
{
    zm_weight_layout weight;
    zm_kv_layout kv;
    assert_int_equal(zm_weight_layout_get(device, 33, 7, ZM_F16, &weight), ZM_OK);
    assert_int_equal(weight.panel, panel);
    assert_int_equal(zm_kv_layout_get(device, ZM_F16, 3, 20, 7, &kv), ZM_OK);
    assert_int_equal(kv.panel, key_panel);
    assert_int_equal(zm_statistics_group(device), group);
}

/* Layouts are those of the family that suits the device, or of the kernel that is forced. */
static void test_families(void **state)
{
    (void)state;
    zm_device host = fake_device(ZM_BACKEND_HOST, 2), cpu = fake_device(ZM_BACKEND_OPENCL, 2);
    zm_device gpu = cpu, forced;
    gpu.info.type = ZM_DEVICE_GPU;
    assert_layouts(&host, 0, 0, 64);
    assert_layouts(&cpu, 32, 16, 32);
    assert_layouts(&gpu, 64, 0, 64);
    gpu.info.type = ZM_DEVICE_ACCELERATOR;
    assert_layouts(&gpu, 64, 0, 64);
    gpu.info.type = ZM_DEVICE_CPU;
    gpu.info.limits.float_vector_width = 1;
    assert_layouts(&gpu, 64, 0, 64);

    forced = gpu;
    force(&forced, "matmul", "cpu_matvec");
    assert_layouts(&forced, 32, 0, 32);
    force(&forced, "attention", "cpu_any");
    assert_layouts(&forced, 32, 16, 32);
    forced = gpu;
    force(&forced, "kv_store", "cpu");
    force(&forced, "row_statistics", "cpu");
    assert_layouts(&forced, 64, 16, 32);
    forced = gpu;
    force(&forced, "conv1d", "cpu");
    assert_layouts(&forced, 32, 0, 64);
    forced = gpu;
    force(&forced, "patch_embedding", "cpu");
    assert_layouts(&forced, 32, 0, 64);
    forced = cpu;
    force(&forced, "matmul", "cpu_rows");
    assert_layouts(&forced, 0, 16, 32);
    forced = cpu;
    force(&forced, "matmul", "no such kernel");
    assert_layouts(&forced, 32, 16, 32);
}

static void test_group_items(void **state)
{
    (void)state;
    zm_device device = fake_device(ZM_BACKEND_OPENCL, 2);
    zm_device_limits *limits = &device.info.limits;
    for (uint32_t most = 1; most <= 1024; most++)
        for (uint32_t limit = 1; limit <= 1024; limit = limit * 3 / 2 + 1) {
            limits->max_work_group = limit;
            limits->max_work_group_dim[0] = 300;
            uint32_t items = zm_gpu_items(&device, most);
            assert_true(items >= 1 && (items & (items - 1)) == 0);
            assert_true(items <= most && items <= limit && items <= 300);
            assert_true(items * 2 > most || items * 2 > limit || items * 2 > 300);
        }
    limits->max_work_group = 0;
    assert_int_equal(zm_gpu_items(&device, 256), 1);
}

/* Every row belongs to exactly one block, no block is empty, tiles never reach over the matrix. */
static void test_tilings(void **state)
{
    (void)state;
    static const uint32_t units[] = {0, 1, 2, 8, 64, 256};
    for (size_t u = 0; u < ZM_COUNT(units); u++) {
        zm_device device = fake_device(ZM_BACKEND_OPENCL, units[u]);
        for (uint32_t m = 1; m < 3000; m += m < 300 ? 1 : 97)
            for (uint32_t columns = 1; columns <= 256; columns *= 4) {
                zm_tiling t = zm_tiling_get(&device, m, m % 5 * 1000, columns);
                assert_true(t.rows >= 1 && t.rows <= m && t.rows <= 12);
                assert_int_equal(t.row_block % t.rows, 0);
                assert_true(t.row_block <= 352);
                assert_true((uint64_t)t.row_block * t.blocks >= m);
                assert_true((uint64_t)t.row_block * (t.blocks - 1) < m);
            }
        for (uint32_t n = 1; n < 5000; n += 7) {
            uint32_t rows = zm_row_items(&device, n, 512);
            assert_true(rows >= 1 && rows <= n);
            assert_true(rows <= 8 * (units[u] ? units[u] : 1));
            uint32_t panels = zm_matvec_panels(&device, n);
            assert_true(panels >= 1 && panels <= n);
        }
    }
    /* Two units, a wide and tall product: blocks as large as they may be; a small one: shared. */
    zm_device device = fake_device(ZM_BACKEND_OPENCL, 2);
    assert_true(zm_tiling_get(&device, 1500, 512, 64).row_block > 96);
    assert_true(zm_tiling_get(&device, 100, 512, 1).blocks >= 8);
    /* Rows of a block stay in a core's own cache, but for one tile. */
    assert_true(zm_tiling_get(&device, 1500, 4096, 64).row_block <= 64);
    assert_int_equal(zm_tiling_get(&device, 1500, 1u << 30, 64).row_block,
                     zm_tiling_get(&device, 1500, 1u << 30, 64).rows);
}

int main(void)
{
    print_message("seed %u\n", seed);
    srand(seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overlap),       cmocka_unit_test(test_any_overlap),
        cmocka_unit_test(test_huge_views),    cmocka_unit_test(test_slices),
        cmocka_unit_test(test_view_refusals), cmocka_unit_test(test_pack),
        cmocka_unit_test(test_gated_pack),    cmocka_unit_test(test_pack_refusals),
        cmocka_unit_test(test_layouts),       cmocka_unit_test(test_families),
        cmocka_unit_test(test_group_items),   cmocka_unit_test(test_tilings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

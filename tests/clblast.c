/* SPDX-License-Identifier: Apache-2.0 */
/* CLBlast as a kernel of matmul: exact products where offsets and gaps are its traps, times of all
 * that it enqueues, what it refuses, and that nothing else changes when it is forced. With the
 * argument "fake" the library is tests/support/clblast.c. A run without an OpenCL device fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/ops.h>

#include "device/device.h"
#include "ops/matmul_library.h"
#include "scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct fixture {
    scratch_log log;
    zm_device *device;
    zm_stream *stream;
} fixture;

static fixture f;

static int set_up(void **state)
{
    (void)state;
    scratch_log_init(&f.log);
    const zm_device_params params = {.spec = "opencl:pocl", .log = &f.log.log};
    const zm_stream_params timed = {.timestamps = true};
    return zm_device_open(&params, &f.device) || zm_stream_create(f.device, &timed, &f.stream) ||
           zm_device_force_kernel(f.device, "matmul", "clblast");
}

static int tear_down(void **state)
{
    (void)state;
    zm_stream_destroy(&f.stream);
    zm_device_close(&f.device);
    return 0;
}

/* ---- products ---- */

/* A batch of products and what lies around its matrices. */
typedef struct shape {
    uint32_t batch, m, n, k;
    uint32_t offset, row_gap, gap; /* elements before all, after a row, after a matrix */
} shape;

typedef struct product {
    zm_matmul_params params;
    zm_buffer *buffer[3]; /* x, weight, dst */
    float *values[3];
    uint64_t elements[3];
} product;

static zm_tensor view(zm_buffer *buffer, const shape *s, uint32_t rows, uint32_t cols)
{
    uint64_t stride = cols + s->row_gap;
    zm_tensor t = {.buffer = buffer,
                   .offset = s->offset,
                   .dtype = ZM_F32,
                   .rank = 3,
                   .shape = {s->batch, rows, cols},
                   .stride = {rows * stride + s->gap, stride, 1}};
    if (s->batch == 1)
        t = (zm_tensor){buffer, s->offset, ZM_F32, 2, {rows, cols}, {stride, 1}, 0};
    return t;
}

/* Whole numbers, small enough for every sum to be exact. */
static float number(uint64_t i, uint64_t step)
{
    return (float)(i * step % 13) - 6;
}

static void product_open(product *p, const shape *s)
{
    const uint32_t sides[3][2] = {{s->m, s->k}, {s->n, s->k}, {s->m, s->n}};
    zm_tensor *tensors[] = {&p->params.x, &p->params.weight, &p->params.dst};
    *p = (product){0};
    for (size_t i = 0; i < 3; i++) {
        uint64_t matrix = sides[i][0] * ((uint64_t)sides[i][1] + s->row_gap) + s->gap;
        p->elements[i] = s->offset + s->batch * matrix;
        const zm_buffer_params size = {.size = p->elements[i] * sizeof(float)};
        p->values[i] = malloc(size.size);
        assert_non_null(p->values[i]);
        for (uint64_t j = 0; j < p->elements[i]; j++)
            p->values[i][j] = number(j, 3 + 2 * i);
        assert_int_equal(zm_buffer_create(f.device, &size, &p->buffer[i]), ZM_OK);
        assert_int_equal(zm_buffer_write(f.stream, p->buffer[i], 0, p->values[i], size.size),
                         ZM_OK);
        *tensors[i] = view(p->buffer[i], s, sides[i][0], sides[i][1]);
    }
}

static void product_close(product *p)
{
    for (size_t i = 0; i < 3; i++) {
        zm_buffer_destroy(&p->buffer[i]);
        free(p->values[i]);
    }
}

/* What dst has to be in that place: the sum, or in a gap what was there before. */
static float wanted(const product *p, const shape *s, uint64_t place)
{
    uint64_t stride = s->n + s->row_gap, matrix = s->m * stride + s->gap;
    if (place < s->offset)
        return p->values[2][place];
    uint64_t b = (place - s->offset) / matrix, in = (place - s->offset) % matrix;
    uint64_t row = in / stride, col = in % stride, across = s->k + s->row_gap;
    if (row >= s->m || col >= s->n)
        return p->values[2][place];
    const float *x = p->values[0] + s->offset + b * (s->m * across + s->gap) + row * across;
    const float *w = p->values[1] + s->offset + b * (s->n * across + s->gap) + col * across;
    float sum = 0;
    for (uint32_t i = 0; i < s->k; i++)
        sum += x[i] * w[i];
    return sum;
}

/* Every element of a small product, some of a large one. */
static void product_check(const product *p, const shape *s)
{
    uint64_t bytes = p->elements[2] * sizeof(float), step = p->elements[2] / 20000 + 1;
    float *got = malloc(bytes);
    assert_non_null(got);
    assert_int_equal(zm_buffer_read(f.stream, p->buffer[2], 0, got, bytes), ZM_OK);
    for (uint64_t i = 0; i < p->elements[2]; i += step)
        if (got[i] != wanted(p, s, i))
            fail_msg("batch %u m %u n %u k %u offset %u gaps %u %u: %g at %llu, not %g", s->batch,
                     s->m, s->n, s->k, s->offset, s->row_gap, s->gap, (double)got[i],
                     (unsigned long long)i, (double)wanted(p, s, i));
    free(got);
}

/* The sides of the large ones are multiples of the tiles, so that CLBlast makes no copy. */
static void products_are_exact(void **state)
{
    static const shape shapes[] = {
        {1, 1, 1, 1, 0, 0, 0},        {1, 17, 19, 23, 5, 0, 0},     {1, 5, 131, 70, 3, 7, 0},
        {3, 17, 19, 23, 0, 0, 0},     {3, 17, 19, 23, 5, 3, 11},    {1, 768, 768, 768, 0, 0, 0},
        {1, 768, 768, 768, 64, 0, 0}, {1, 769, 767, 770, 1, 2, 0},  {2, 768, 768, 768, 0, 0, 0},
        {2, 768, 768, 768, 64, 0, 0}, {2, 768, 768, 768, 0, 0, 64}, {2, 768, 768, 768, 0, 64, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        product p;
        product_open(&p, &shapes[i]);
        assert_int_equal(zm_matmul(f.stream, &p.params), ZM_OK);
        product_check(&p, &shapes[i]);
        product_close(&p);
    }
}

/* ---- times ---- */

static zm_status dispatch(const product *p, zm_event *event)
{
    zm_plan plan;
    zm_status status = zm_op_plan(f.device, zm_op_find("matmul"), &p->params, &plan);
    assert_int_equal(plan.count, 1);
    return status == ZM_OK ? zm_device_dispatch(f.stream, &plan.launch[0], event) : status;
}

/* Behind another product, so that the device never waits for us. */
static void an_event_spans_all_of_a_product(void **state)
{
    const shape s = {1, 767, 769, 770, 0, 0, 0}; /* with copies before and after */
    uint64_t start[3], end[3];
    zm_event *events[3];
    product p;
    (void)state;
    product_open(&p, &s);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(zm_event_create(f.device, &events[i]), ZM_OK);
    for (int round = 0; round < 2; round++) { /* the first one compiles */
        assert_int_equal(dispatch(&p, NULL), ZM_OK);
        assert_int_equal(zm_event_mark(events[0], f.stream), ZM_OK);
        assert_int_equal(dispatch(&p, events[1]), ZM_OK);
        assert_int_equal(zm_event_mark(events[2], f.stream), ZM_OK);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(zm_event_times(events[i], &start[i], &end[i]), ZM_OK);
    }
    assert_true(start[1] >= end[0] && end[1] > start[1] && end[1] <= start[2]);
    assert_true(end[1] - start[1] > (start[2] - end[0]) / 2);
    for (size_t i = 0; i < 3; i++)
        zm_event_destroy(&events[i]);
    product_close(&p);
}

/* ---- what it refuses, and what it leaves alone ---- */

static void assert_refused(const zm_matmul_params *params, const char *reason)
{
    unsigned before = f.log.errors;
    assert_int_equal(zm_matmul(f.stream, params), ZM_ERROR_UNSUPPORTED);
    assert_int_equal(f.log.errors, before + 1);
    assert_non_null(strstr(f.log.error, "matmul: the forced kernel clblast can't do it: "));
    if (!strstr(f.log.error, reason))
        fail_msg("'%s' does not say '%s'", f.log.error, reason);
}

static void what_is_no_product_is_refused(void **state)
{
    const shape s = {1, 8, 8, 8, 0, 0, 0};
    product p;
    (void)state;
    product_open(&p, &s);
    zm_tensor vector = zm_tensor_1d(p.buffer[1], ZM_F32, 8);
    zm_matmul_params bias = p.params, activation = p.params, half = p.params, panels = p.params;
    zm_matmul_params factor = p.params;
    bias.bias = vector;
    assert_refused(&bias, "a bias besides the product");
    activation.activation = ZM_ACTIVATION_RELU;
    assert_refused(&activation, "an activation besides the product");
    factor.factor = p.params.dst;
    assert_refused(&factor, "a factor besides the product");
    half.weight.dtype = ZM_F16;
    assert_refused(&half, "types other than f32");
    panels.weight = (zm_tensor){p.buffer[1], 0, ZM_F32, 2, {8, 8}, {0}, 8};
    assert_refused(&panels, "weights in panels of 8");
    product_close(&p);
}

/* Without the memory for it: the check before it has seen to the buffers. */
static void elements_are_counted_in_int(void **state)
{
    static zm_buffer none;
    const zm_matmul_params good = {
        .x = {.buffer = &none, .dtype = ZM_F32, .rank = 2, .shape = {64, 64}},
        .weight = {.buffer = &none, .dtype = ZM_F32, .rank = 2, .shape = {64, 64}},
        .dst = {.buffer = &none, .dtype = ZM_F32, .rank = 2, .shape = {64, 64}},
    };
    zm_matmul_params far = good, wide = good, long_batch = good;
    zm_refusal refusal;
    (void)state;
    assert_int_equal(zm_clblast_accepts(f.device, &good, &refusal), ZM_OK);
    far.dst.offset = INT32_MAX - 64 * 64;
    assert_int_equal(zm_clblast_accepts(f.device, &far, &refusal), ZM_OK);
    far.dst.offset++;
    assert_int_equal(zm_clblast_accepts(f.device, &far, &refusal), ZM_ERROR_UNSUPPORTED);
    assert_string_equal(refusal.reason, "elements beyond the reach of an int");
    wide.x.shape[1] = wide.weight.shape[1] = 1 << 23;
    assert_int_equal(zm_clblast_accepts(f.device, &wide, &refusal), ZM_ERROR_UNSUPPORTED);
    zm_tensor *tensors[] = {&long_batch.x, &long_batch.weight, &long_batch.dst};
    for (size_t i = 0; i < COUNT(tensors); i++)
        *tensors[i] =
            (zm_tensor){.buffer = &none, .dtype = ZM_F32, .rank = 3, .shape = {1 << 14, 64, 64}};
    assert_int_equal(zm_clblast_accepts(f.device, &long_batch, &refusal), ZM_ERROR_UNSUPPORTED);
}

static void others_keep_their_layouts(void **state)
{
    const shape s = {1, 8, 40, 40, 0, 0, 0};
    product p;
    zm_weight_layout layout;
    (void)state;
    uint32_t forced = zm_statistics_group(f.device);
    product_open(&p, &s);
    const zm_row_statistics_params statistics = {
        .x = p.params.x,
        .statistics = zm_tensor_2d(p.buffer[2], ZM_F32, 8, 2 * ((40 + forced - 1) / forced))};
    assert_int_equal(zm_row_statistics(f.stream, &statistics), ZM_OK);
    assert_int_equal(zm_weight_layout_get(f.device, 40, 40, ZM_F32, &layout), ZM_OK);
    assert_int_equal(layout.panel, 0);
    assert_int_equal(zm_device_force_kernel(f.device, "matmul", NULL), ZM_OK);
    assert_int_equal(zm_statistics_group(f.device), forced);
    product_close(&p);
}

/* ---- a library that fails ---- */

static unsigned *counter(const char *name)
{
    void *library = dlopen("libclblast.so.1", RTLD_NOW | RTLD_NOLOAD);
    unsigned *count = library ? dlsym(library, name) : NULL;
    if (!count)
        fail_msg("the library has no %s: it is not tests/support/clblast.c", name);
    dlclose(library);
    return count;
}

static void a_failure_has_a_name(void **state)
{
    const shape s = {2, 8, 8, 8, 0, 0, 1};
    zm_event *event;
    product p;
    (void)state;
    product_open(&p, &s);
    assert_int_equal(zm_event_create(f.device, &event), ZM_OK);
    assert_int_equal(dispatch(&p, event), ZM_ERROR_LIMIT);
    assert_non_null(strstr(f.log.error, "CLBlast failed: CLBlastInvalidLocalMemUsage (-2046)"));
    assert_int_equal(*counter("fake_products"), 1); /* the second one is not tried any more */
    assert_int_equal(zm_event_wait(event), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_matmul(f.stream, &p.params), ZM_ERROR_OUT_OF_MEMORY);
    assert_non_null(strstr(f.log.error, "CLBlast failed: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)"));
    product_check(&p, &(shape){0, 0, 0, 0, UINT32_MAX, 0, 0}); /* dst is as it was */
    zm_event_destroy(&event);
    product_close(&p);
}

static void a_device_lets_go_of_what_the_library_keeps(void **state)
{
    const shape s = {1, 8, 8, 8, 0, 0, 0};
    product p;
    (void)state;
    product_open(&p, &s);
    assert_int_not_equal(zm_matmul(f.stream, &p.params), ZM_OK);
    product_close(&p);
    unsigned before = *counter("fake_clears");
    tear_down(NULL);
    assert_int_equal(*counter("fake_clears"), before + 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest real[] = {
        cmocka_unit_test_setup_teardown(products_are_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_event_spans_all_of_a_product, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_product_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elements_are_counted_in_int, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_keep_their_layouts, set_up, tear_down),
    };
    const struct CMUnitTest fake[] = {
        cmocka_unit_test_setup_teardown(a_failure_has_a_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_device_lets_go_of_what_the_library_keeps, set_up,
                                        tear_down),
    };
    if (argc > 1 && strcmp(argv[1], "fake") == 0)
        return cmocka_run_group_tests(fake, NULL, NULL);
    return cmocka_run_group_tests(real, NULL, NULL);
}

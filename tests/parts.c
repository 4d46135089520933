/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers in parts, and graphs whose weights lie in them. Every kernel's own part in it: checkop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/pipeline.h>

#include "device/device.h"
#include "scratch.h"

enum { ROWS = 300, D = 8, TOKENS = 4, BEST = 5 };
enum { X, LOGITS, FIRST, VALUES, INDICES, OUTPUTS };
static const int32_t tokens[TOKENS] = {ROWS - 1, 0, 130, -1};
static const zm_status bad = ZM_ERROR_INVALID_ARGUMENT;

static const char *spec;

typedef struct fixture {
    scratch_log log;
    zm_device *device;
    zm_stream *stream;
    zm_buffer *buffers[16];
    size_t count;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = spec, .log = &f->log.log, .host_threads = 1};
    *state = f;
    return zm_device_open(&params, &f->device) || zm_stream_create(f->device, NULL, &f->stream);
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    zm_status status = zm_stream_wait(f->stream);
    for (size_t i = 0; i < f->count; i++)
        zm_buffer_destroy(&f->buffers[i]);
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
    free(f);
    return status != ZM_OK;
}

static zm_buffer *make(fixture *f, uint64_t size, uint64_t part)
{
    const zm_buffer_params params = {.size = size, .part_bytes = part};
    assert_int_equal(zm_buffer_create(f->device, &params, &f->buffers[f->count]), ZM_OK);
    return f->buffers[f->count++];
}

static void refused(fixture *f, zm_status got, zm_status wanted, const char *words)
{
    assert_int_equal(got, wanted);
    if (!strstr(f->log.error, words))
        fail_msg("%s", f->log.error);
    f->log.error[0] = '\0';
}

/* ---- buffers ---- */

static void test_ranges(void **state)
{
    fixture *f = *state;
    unsigned char in[100], out[100], wanted[100];
    zm_buffer *parts = make(f, 100, 32), *whole = make(f, 100, 0), *others = make(f, 100, 24);
    assert_int_equal(zm_buffer_size(parts), 100);
    assert_ptr_equal(zm_buffer_get_device(parts), f->device);
    for (unsigned i = 0; i < 100; i++)
        in[i] = wanted[i] = (unsigned char)(7 * i + 1);
    assert_int_equal(zm_buffer_write(f->stream, parts, 0, in, 100), ZM_OK);
    assert_int_equal(zm_buffer_write(f->stream, parts, 30, in, 40), ZM_OK);
    memcpy(wanted + 30, in, 40);
    assert_int_equal(zm_buffer_fill(f->stream, parts, 60, 8, 0x01020304), ZM_OK);
    for (unsigned i = 60; i < 68; i++)
        wanted[i] = (unsigned char)(4 - i % 4);
    assert_int_equal(zm_buffer_read(f->stream, parts, 0, out, 100), ZM_OK);
    assert_memory_equal(out, wanted, 100);
    assert_int_equal(zm_buffer_read(f->stream, parts, 31, out, 34), ZM_OK);
    assert_memory_equal(out, wanted + 31, 34);
    assert_int_equal(zm_buffer_copy(f->stream, others, 3, parts, 5, 90), ZM_OK);
    assert_int_equal(zm_buffer_copy(f->stream, whole, 10, others, 3, 90), ZM_OK);
    assert_int_equal(zm_buffer_read(f->stream, whole, 10, out, 90), ZM_OK);
    assert_memory_equal(out, wanted + 5, 90);
    assert_int_equal(zm_buffer_write(f->stream, parts, 90, in, 11), bad);
}

static void test_maps(void **state)
{
    fixture *f = *state;
    zm_buffer *parts = make(f, 100, 32);
    unsigned char out[2] = {0};
    void *first = NULL, *last = NULL;
    assert_int_equal(zm_buffer_map(f->stream, parts, 31, 1, &first), ZM_OK);
    assert_int_equal(zm_buffer_map(f->stream, parts, 96, 4, &last), ZM_OK);
    refused(f, zm_buffer_map(f->stream, parts, 0, 4, &first), bad, "mapped already");
    refused(f, zm_buffer_map(f->stream, parts, 60, 8, &first), bad, "several parts");
    *(unsigned char *)first = 41;
    *(unsigned char *)last = 42;
    assert_int_equal(zm_buffer_unmap(f->stream, parts, last), ZM_OK);
    assert_int_equal(zm_buffer_unmap(f->stream, parts, first), ZM_OK);
    refused(f, zm_buffer_unmap(f->stream, parts, first), bad, "not mapped");
    assert_int_equal(zm_buffer_read(f->stream, parts, 31, out, 1), ZM_OK);
    assert_int_equal(zm_buffer_read(f->stream, parts, 96, out + 1, 1), ZM_OK);
    assert_int_equal(out[0], 41);
    assert_int_equal(out[1], 42);
}

static void test_bad_parts(void **state)
{
    fixture *f = *state;
    static _Alignas(4096) char memory[4096];
    zm_buffer *buffer = NULL;
    zm_buffer_params params = {.size = 100, .part_bytes = 30};
    refused(f, zm_buffer_create(f->device, &params, &buffer), bad, "whole words");
    params = (zm_buffer_params){.size = 4096, .part_bytes = 64, .host_memory = memory};
    refused(f, zm_buffer_create(f->device, &params, &buffer), bad, "own memory");
    uint64_t most = f->device->info.limits.max_buffer_bytes;
    f->device->info.limits.max_buffer_bytes = 60;
    params = (zm_buffer_params){.size = 100, .part_bytes = 64};
    refused(f, zm_buffer_create(f->device, &params, &buffer), ZM_ERROR_LIMIT, "over the limit of");
    params.part_bytes = 60;
    assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_OK);
    f->device->info.limits.max_buffer_bytes = most;
    zm_buffer_destroy(&buffer);
    assert_null(buffer);
}

/* ---- where a weight is cut ---- */

static void test_layout(void **state)
{
    fixture *f = *state;
    zm_weight_layout layout;
    uint64_t *most = &f->device->info.limits.max_buffer_bytes, there = *most;
    const uint32_t step = 2 * zm_statistics_group(f->device);
    const uint64_t bytes = (uint64_t)step * D * sizeof(float);
    assert_int_equal(zm_weight_layout_get(f->device, 7 * step, D, ZM_F32, &layout), ZM_OK);
    assert_int_equal(layout.part_rows, 0);
    /* As few as do it, of about one size. */
    const struct {
        uint64_t most;
        uint32_t n, rows;
    } cases[] = {{7 * bytes, 7 * step, 0},
                 {7 * bytes - 1, 7 * step, 4 * step},
                 {4 * bytes - 1, 7 * step, 3 * step},
                 {2 * bytes, 7 * step, 2 * step},
                 {bytes, 7 * step - 1, step},
                 {bytes - 1, 7 * step, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        *most = cases[i].most;
        assert_int_equal(zm_weight_layout_get(f->device, cases[i].n, D, ZM_F32, &layout), ZM_OK);
        assert_int_equal(layout.part_rows, cases[i].rows);
    }
    *most = there;
}

/* ---- graphs ---- */

static zm_tensor output(fixture *f, int i)
{
    const zm_dtype type = i == FIRST || i == INDICES ? ZM_I32 : ZM_F32;
    const uint32_t cols[] = {D, ROWS, 1, BEST, BEST};
    zm_tensor t = zm_tensor_2d(make(f, TOKENS * cols[i] * 4, 0), type, TOKENS, cols[i]);
    return i == FIRST ? zm_tensor_1d(t.buffer, type, TOKENS) : t;
}

/* A table that is the head as well, and what is made of the logits. */
static zm_executable *tied(fixture *f, zm_tensor *outputs)
{
    zm_graph *g = NULL;
    zm_executable *exe = NULL;
    const zm_size shape[] = {ROWS, D};
    zm_buffer *numbers = make(f, sizeof(tokens), 0);
    assert_int_equal(zm_buffer_write(f->stream, numbers, 0, tokens, sizeof(tokens)), ZM_OK);
    assert_int_equal(zm_graph_create(&f->log.log, &g), ZM_OK);
    zm_tensor table = zm_graph_extern(g, "table", ZM_F32, 2, shape);
    for (int i = 0; i < OUTPUTS; i++)
        outputs[i] = output(f, i);
    zm_graph_embedding(g, &(zm_embedding_params){.tokens = zm_tensor_1d(numbers, ZM_I32, TOKENS),
                                                 .table = table,
                                                 .dst = outputs[X]});
    zm_graph_matmul(g,
                    &(zm_matmul_params){.x = outputs[X], .weight = table, .dst = outputs[LOGITS]});
    zm_graph_argmax(g, &(zm_argmax_params){.x = outputs[LOGITS], .dst = outputs[FIRST]});
    zm_graph_top_k(g, &(zm_top_k_params){.x = outputs[LOGITS],
                                         .values = outputs[VALUES],
                                         .indices = outputs[INDICES]});
    assert_int_equal(
        zm_graph_compile(g, f->device, &(zm_compile_params){.replay = ZM_REPLAY_ALWAYS}, &exe),
        ZM_OK);
    zm_graph_destroy(&g);
    return exe;
}

/* part 0 = in one */
static zm_tensor table_of(fixture *f, uint64_t part_rows)
{
    static float values[ROWS * D];
    static char packed[(ROWS + 128) * D * sizeof(float)];
    zm_weight_layout layout;
    for (uint32_t i = 0; i < ROWS * D; i++)
        values[i] = (float)(int)(i * 2654435761u >> 8 & 1023) / 512 - 1;
    assert_int_equal(zm_weight_layout_get(f->device, ROWS, D, ZM_F32, &layout), ZM_OK);
    uint64_t bytes = layout.elements * sizeof(float);
    assert_true(bytes <= sizeof(packed));
    assert_int_equal(zm_weight_pack(packed, ZM_F32, &layout, ROWS, 0, values, ZM_F32, ROWS, D),
                     ZM_OK);
    zm_tensor table = zm_tensor_2d(make(f, bytes, part_rows * D * sizeof(float)), ZM_F32, ROWS, D);
    assert_int_equal(zm_buffer_write(f->stream, table.buffer, 0, packed, bytes), ZM_OK);
    table.panel = layout.panel;
    return table;
}

/* What a run leaves in all outputs; the launches that it took. */
static uint32_t run(fixture *f, zm_executable *exe, const zm_tensor *table,
                    const zm_tensor *outputs, unsigned char *out)
{
    assert_int_equal(zm_executable_bind(exe, "table", table), ZM_OK);
    for (int i = 0; i < OUTPUTS; i++) {
        uint64_t size = zm_buffer_size(outputs[i].buffer);
        assert_int_equal(zm_buffer_fill(f->stream, outputs[i].buffer, 0, size, 0x5a5a5a5a), ZM_OK);
    }
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
    for (int i = 0; i < OUTPUTS; i++) {
        uint64_t size = zm_buffer_size(outputs[i].buffer);
        assert_int_equal(zm_buffer_read(f->stream, outputs[i].buffer, 0, out, size), ZM_OK);
        out += size;
    }
    return zm_executable_get_info(exe).launches;
}

static void test_tied(void **state)
{
    fixture *f = *state;
    static unsigned char whole[(D + ROWS + 1 + 2 * BEST) * TOKENS * 4], parts[sizeof(whole)];
    zm_tensor outputs[OUTPUTS], table = table_of(f, 0), cut = table_of(f, 128);
    zm_executable *exe = tied(f, outputs);
    uint32_t launches = run(f, exe, &table, outputs, whole);
    /* Three parts of table and head: two launches more for each. Later runs are replayed. */
    for (int i = 0; i < 6; i++) {
        assert_int_equal(run(f, exe, &cut, outputs, parts), launches + 4);
        assert_memory_equal(whole, parts, sizeof(whole));
    }
    assert_int_equal(run(f, exe, &table, outputs, parts), launches);
    assert_memory_equal(whole, parts, sizeof(whole));
    assert_int_equal(f->log.errors, 0);
    zm_executable_destroy(&exe);
}

/* A table that another device takes over, which has buffers of other sizes. */
static void check_moved(fixture *f, uint64_t part_rows, uint64_t limit)
{
    zm_device *devices[2] = {f->device, NULL};
    zm_stream *streams[2] = {f->stream, NULL};
    const zm_device_params params = {.spec = "host", .log = &f->log.log, .host_threads = 1};
    assert_int_equal(zm_device_open(&params, &devices[1]), ZM_OK);
    assert_int_equal(zm_stream_create(devices[1], NULL, &streams[1]), ZM_OK);
    static float one[TOKENS * ROWS], two[TOKENS * ROWS];
    zm_tensor x = zm_tensor_2d(make(f, TOKENS * D * 4, 0), ZM_F32, TOKENS, D);
    zm_tensor dst = zm_tensor_2d(make(f, sizeof(one), 0), ZM_F32, TOKENS, ROWS);
    const zm_matmul_params p = {.x = x, .weight = table_of(f, part_rows), .dst = dst};
    assert_int_equal(zm_buffer_fill(f->stream, x.buffer, 0, TOKENS * D * 4, 0x3f000000), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &p), ZM_OK);
    assert_int_equal(zm_buffer_read(f->stream, dst.buffer, 0, one, sizeof(one)), ZM_OK);
    assert_int_equal(zm_buffer_fill(f->stream, dst.buffer, 0, sizeof(one), 0), ZM_OK);
    zm_graph *g = NULL;
    zm_pipeline *pipeline = NULL;
    assert_int_equal(zm_graph_create(&f->log.log, &g), ZM_OK);
    zm_graph_matmul(g, &p);
    devices[1]->info.limits.max_buffer_bytes = limit;
    assert_int_equal(zm_device_force_kernel(f->device, "matmul", "cpu"), ZM_OK);
    assert_int_equal(zm_pipeline_compile(g, devices, 2, NULL, &pipeline), ZM_OK);
    assert_int_equal(zm_pipeline_run(pipeline, streams, NULL), ZM_OK);
    assert_int_equal(zm_device_force_kernel(f->device, "matmul", NULL), ZM_OK);
    assert_int_equal(zm_buffer_read(f->stream, dst.buffer, 0, two, sizeof(two)), ZM_OK);
    assert_memory_equal(one, two, sizeof(one));
    assert_int_equal(zm_pipeline_get_info(pipeline).fallen, 1);
    assert_int_equal(zm_pipeline_get_info(pipeline).work.launches, limit < SIZE_MAX ? 3 : 1);
    zm_pipeline_destroy(&pipeline);
    zm_graph_destroy(&g);
    zm_stream_destroy(&streams[1]);
    zm_device_close(&devices[1]);
}

static void test_moved(void **state)
{
    fixture *f = *state;
    if (strcmp(spec, "host") != 0)
        skip();
    check_moved(f, 0, TOKENS * ROWS * sizeof(float)); /* dst moves as a whole */
    check_moved(f, 256, SIZE_MAX);
}

/* ---- what can't be ---- */

static void test_refusals(void **state)
{
    fixture *f = *state;
    zm_tensor table = table_of(f, 128), plain = table_of(f, 0), vector = table;
    zm_tensor x = zm_tensor_2d(make(f, TOKENS * D * 4, 0), ZM_F32, TOKENS, D);
    zm_tensor dst = zm_tensor_2d(make(f, TOKENS * ROWS * 4, 0), ZM_F32, TOKENS, ROWS);
    const uint32_t groups = (ROWS - 1) / zm_statistics_group(f->device) + 1;
    zm_tensor sums = zm_tensor_2d(make(f, TOKENS * groups * 8, 0), ZM_F32, TOKENS, 2 * groups);
    zm_matmul_params p = {.x = x, .weight = table, .dst = dst};
    assert_int_equal(zm_matmul(f->stream, &p), ZM_OK);
    vector = zm_tensor_1d(table.buffer, ZM_F32, ROWS);
    p.bias = vector;
    refused(f, zm_matmul(f->stream, &p), bad, "matmul: bias: its buffer is in parts");
    p.bias = (zm_tensor){0};
    p.x = zm_tensor_2d(table.buffer, ZM_F32, TOKENS, D);
    refused(f, zm_matmul(f->stream, &p), bad, "matmul: x: its buffer is in parts");
    p.x = x;
    /* In the middle of a row; of a group of statistics. */
    zm_tensor odd = plain;
    odd.buffer = make(f, zm_buffer_size(plain.buffer), 128 * D * 4 + 4);
    p.weight = odd;
    refused(f, zm_matmul(f->stream, &p), bad, "don't end at multiples of");
    odd.buffer = make(f, zm_buffer_size(plain.buffer), (plain.panel ? plain.panel : 1) * D * 4);
    p.weight = odd;
    assert_int_equal(zm_matmul(f->stream, &p), ZM_OK);
    if (zm_statistics_group(f->device) > (plain.panel ? plain.panel : 1)) {
        p.statistics = sums;
        refused(f, zm_matmul(f->stream, &p), bad, "don't end at multiples of 64 of its rows");
    }
    const zm_conv1d_params conv = {.x = x, .weight = table, .dst = dst, .kernel = 1};
    refused(f, zm_conv1d(f->stream, &conv), bad, "conv1d: weight: its buffer is in parts");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ranges, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_maps, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_bad_parts, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_layout, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_tied, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_moved, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_refusals, open_fixture, close_fixture),
    };
    spec = argc > 1 ? argv[1] : "host";
    return cmocka_run_group_tests(tests, NULL, NULL);
}

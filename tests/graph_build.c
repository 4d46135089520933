/* SPDX-License-Identifier: Apache-2.0 */
/* Building graphs: what is refused, with which words; what compiling makes of it; prints. On the
 * host device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/graph.h>

#include "ops/op.h"
#include "scratch.h"

typedef struct fixture {
    zm_device *device;
    zm_buffer *buffer; /* of the device */
    zm_graph *graph, *other;
    scratch_log log;
    zm_size n;             /* 1 .. 8 */
    zm_tensor x, y, h, up; /* extern and inner [n][16] twice each */
} fixture;

static const zm_status bad = ZM_ERROR_INVALID_ARGUMENT;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = "host", .log = &f->log.log, .host_threads = 1};
    const zm_buffer_params size = {.size = 8 * 16 * sizeof(float)};
    if (zm_device_open(&params, &f->device) || zm_buffer_create(f->device, &size, &f->buffer) ||
        zm_graph_create(&f->log.log, &f->graph) || zm_graph_create(NULL, &f->other))
        return 1;
    f->n = zm_graph_symbol(f->graph, "n", 1, 8);
    const zm_size shape[] = {f->n, 16};
    f->x = zm_graph_extern(f->graph, "x", ZM_F32, 2, shape);
    f->y = zm_graph_extern(f->graph, "y", ZM_F32, 2, shape);
    f->h = zm_graph_tensor(f->graph, "h", ZM_F32, 2, shape);
    f->up = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, shape);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    zm_graph_destroy(&f->graph);
    zm_graph_destroy(&f->other);
    zm_buffer_destroy(&f->buffer);
    zm_device_close(&f->device);
    free(f);
    return 0;
}

static void put_add(fixture *f, zm_tensor x, zm_tensor y, zm_tensor dst)
{
    const zm_add_params p = {x, y, dst};
    zm_graph_add(f->graph, &p);
}

/* One error, with these words, that sticks. */
static void assert_failed(fixture *f, const char *words)
{
    zm_executable *exe = NULL;
    assert_int_equal(zm_graph_status(f->graph), bad);
    if (!strstr(f->log.error, words))
        print_message("said '%s', not '%s'\n", f->log.error, words);
    assert_non_null(strstr(f->log.error, words));
    put_add(f, f->x, f->x, f->y);
    assert_int_equal(zm_graph_symbol(f->graph, "more", 1, 2), 0);
    assert_null(zm_graph_extern(f->graph, "more", ZM_F32, 1, (zm_size[]){4}).buffer);
    assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe), bad);
    assert_int_equal(f->log.errors, 1);
}

static void test_unwritten(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, f->h, f->y);
    assert_failed(f, "add: y is h, which nothing has written yet");
}

static void test_tensor_of_another_graph(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, zm_graph_extern(f->other, "x", ZM_F32, 2, (zm_size[]){8, 16}), f->y);
    assert_failed(f, "add: y is a tensor of another graph");
}

static void test_size_of_another_graph(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 9; i++)
        zm_graph_symbol(f->other, "m", 1, 8);
    zm_graph_tensor(f->graph, "t", ZM_F32, 1, (zm_size[]){zm_graph_symbol(f->other, "m", 1, 8)});
    assert_failed(f, "tensor t: needs 1 to 4 sizes of this graph");
}

static void test_same_name(void **state)
{
    fixture *f = *state;
    zm_graph_extern(f->graph, "x", ZM_F32, 1, (zm_size[]){8});
    assert_failed(f, "extern x: needs a name of its own");
}

static void test_bad_symbol(void **state)
{
    fixture *f = *state;
    assert_int_equal(zm_graph_symbol(f->graph, "m", 3, 2), 0);
    assert_failed(f, "symbol m: 3 .. 2");
}

static void test_bad_sum(void **state)
{
    fixture *f = *state;
    assert_int_equal(zm_graph_difference(f->graph, f->n, 9), 0);
    assert_failed(f, "a sum of at most -1");
}

static void test_other_type(void **state)
{
    fixture *f = *state;
    zm_tensor x = f->x;
    x.dtype = ZM_F16;
    put_add(f, x, x, f->y);
    assert_failed(f, "add: x has another type than its memory");
}

/* Strides would hold the symbol. */
static void test_part_behind_symbol(void **state)
{
    fixture *f = *state;
    zm_tensor t = zm_graph_extern(f->graph, "t", ZM_F32, 3, (zm_size[]){2, f->n, 16});
    const zm_copy_params p = {zm_tensor_cols(t, 0, 8), zm_tensor_cols(t, 8, 8)};
    zm_graph_copy(f->graph, &p);
    assert_failed(f, "copy: x has sizes of another graph, or is a part");
}

static void test_inner_cache(void **state)
{
    fixture *f = *state;
    zm_kv_store_params p = {.k = f->x, .v = f->x, .position = 0};
    assert_int_equal(zm_kv_layout_get(f->device, ZM_F32, 1, 16, 8, &p.layout), ZM_OK);
    uint32_t elements = (uint32_t)p.layout.elements;
    p.k_cache = p.v_cache = zm_graph_tensor(f->graph, "cache", ZM_F32, 1, &elements);
    zm_graph_kv_store(f->graph, &p);
    assert_failed(f, "k_cache keeps what was there, which an inner tensor (cache) can't");
}

static void test_no_params(void **state)
{
    fixture *f = *state;
    zm_graph_rope(f->graph, NULL);
    assert_failed(f, "rope: no parameters");
}

/* ---- what compiling finds ---- */

static void assert_not_compiled(fixture *f, const char *words)
{
    zm_executable *exe = NULL;
    assert_int_equal(zm_graph_status(f->graph), ZM_OK);
    assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe), bad);
    assert_null(exe);
    if (!strstr(f->log.error, words))
        print_message("said '%s', not '%s'\n", f->log.error, words);
    assert_non_null(strstr(f->log.error, words));
    assert_int_equal(f->log.errors, 1);
}

static void test_wrong_shape(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, f->x, f->h);
    put_add(f, f->h, zm_graph_extern(f->graph, "z", ZM_F32, 2, (zm_size[]){f->n, 8}), f->y);
    assert_not_compiled(f, "graph: node 1 (add -> y): y: shape [8][8], not [8][16]");
}

static void test_missing_operand(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, (zm_tensor){0}, f->y);
    assert_not_compiled(f, "node 0 (add -> y): y: it is missing");
}

/* Behind its tensor there is another one's memory. */
static void test_view_outside(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, f->x, f->h);
    put_add(f, zm_graph_rows(f->graph, f->h, 1, f->n), f->x, f->y);
    assert_not_compiled(f, "node 1 (add -> y): x: reaches outside its tensor");
}

static void test_bad_alias(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, f->x, f->h);
    const zm_copy_params p = {f->h, f->h};
    zm_graph_copy(f->graph, &p);
    assert_not_compiled(f, "node 1 (copy -> h): dst and x overlap");
}

/* Strides are those of the matrix, not of the rows that were taken. */
static void test_rows_of_columns(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, f->x, f->h);
    zm_tensor half = zm_tensor_cols(f->h, 8, 8);
    zm_tensor rows = zm_graph_rows(f->graph, half, 2, 3),
              last = zm_graph_rows(f->graph, rows, 2, 1);
    assert_int_equal(last.stride[0], 16);
    zm_graph_copy(f->graph,
                  &(zm_copy_params){last, zm_tensor_cols(zm_tensor_rows(f->y, 0, 1), 0, 8)});
    float values[8 * 16], got[8];
    zm_executable *exe = NULL;
    zm_stream *stream = NULL;
    zm_buffer *out = NULL;
    const zm_buffer_params size = {.size = sizeof(values)};
    for (int i = 0; i < 8 * 16; i++)
        values[i] = (float)i;
    assert_int_equal(zm_stream_create(f->device, NULL, &stream), ZM_OK);
    assert_int_equal(zm_buffer_create(f->device, &size, &out), ZM_OK);
    assert_int_equal(zm_buffer_write(stream, f->buffer, 0, values, sizeof(values)), ZM_OK);
    zm_tensor x = zm_tensor_2d(f->buffer, ZM_F32, 8, 16), y = zm_tensor_2d(out, ZM_F32, 8, 16);
    assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe), ZM_OK);
    assert_int_equal(zm_executable_bind(exe, "x", &x), ZM_OK);
    assert_int_equal(zm_executable_bind(exe, "y", &y), ZM_OK);
    assert_int_equal(zm_executable_run(exe, stream, NULL), ZM_OK);
    assert_int_equal(zm_buffer_read(stream, out, 0, got, sizeof(got)), ZM_OK);
    for (int i = 0; i < 8; i++)
        assert_true(got[i] == 2 * values[(2 + 2) * 16 + 8 + i]);
    /* With fewer rows the part is outside, and nothing is said of the memory behind it. */
    assert_int_equal(zm_executable_set(exe, f->n, 4), ZM_OK);
    assert_int_equal(zm_executable_run(exe, stream, NULL), bad);
    assert_non_null(strstr(f->log.error, "node 1 (copy -> y): x: reaches outside its tensor"));
    zm_executable_destroy(&exe);
    zm_stream_destroy(&stream);
    zm_buffer_destroy(&out);
}

/* A symbol may be 0, as a position is, but no dimension. */
static void test_dimension_of_0(void **state)
{
    fixture *f = *state;
    const zm_size past = zm_graph_symbol(f->graph, "past", 0, 4), shape[] = {past, 16};
    zm_tensor z = zm_graph_tensor(f->graph, "z", ZM_F32, 2, shape);
    put_add(f, zm_graph_rows(f->graph, f->x, 0, past), zm_graph_rows(f->graph, f->x, 0, past), z);
    put_add(f, z, z, zm_graph_rows(f->graph, f->y, 0, past));
    zm_executable *exe = NULL;
    zm_stream *stream = NULL;
    zm_buffer *out = NULL;
    const zm_buffer_params size = {.size = 8 * 16 * sizeof(float)};
    assert_int_equal(zm_stream_create(f->device, NULL, &stream), ZM_OK);
    assert_int_equal(zm_buffer_create(f->device, &size, &out), ZM_OK);
    zm_tensor x = zm_tensor_2d(f->buffer, ZM_F32, 8, 16), y = zm_tensor_2d(out, ZM_F32, 8, 16);
    assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe), ZM_OK);
    assert_int_equal(zm_executable_bind(exe, "x", &x), ZM_OK);
    assert_int_equal(zm_executable_bind(exe, "y", &y), ZM_OK);
    assert_int_equal(zm_executable_set(exe, past, 0), ZM_OK);
    assert_int_equal(zm_executable_run(exe, stream, NULL), bad);
    assert_non_null(
        strstr(f->log.error, "node 0 (add -> z): x: dimension 0, past, is 0 in this run"));
    assert_int_equal(zm_executable_set(exe, past, 1), ZM_OK);
    assert_int_equal(zm_executable_run(exe, stream, NULL), ZM_OK);
    zm_executable_destroy(&exe);
    zm_stream_destroy(&stream);
    zm_buffer_destroy(&out);
}

/* A part of a weight in panels begins with a panel. */
static void test_part_of_panels(void **state)
{
    fixture *f = *state;
    zm_tensor w = zm_graph_extern(f->graph, "w", ZM_F32, 2, (zm_size[]){8, 16});
    zm_executable *exe = NULL;
    zm_stream *stream = NULL;
    zm_tensor real = zm_tensor_2d(f->buffer, ZM_F32, 8, 16);
    real.panel = 4;
    assert_int_equal(zm_stream_create(f->device, NULL, &stream), ZM_OK);
    for (uint32_t first = 4; first >= 3; first--) {
        zm_tensor part = zm_tensor_rows(w, first, 4);
        zm_tensor x = zm_tensor_2d(f->buffer, ZM_F32, 1, 16);
        zm_tensor dst = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){1, 4});
        zm_graph_matmul(f->graph, &(zm_matmul_params){.x = x, .weight = part, .dst = dst});
        zm_graph_observe(f->graph, "product", 0, dst);
        assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe), ZM_OK);
        assert_int_equal(zm_executable_bind(exe, "w", &real), ZM_OK);
        assert_int_equal(
            zm_executable_bind(
                exe, "x",
                &(zm_tensor){.buffer = f->buffer, .dtype = ZM_F32, .rank = 2, .shape = {8, 16}}),
            ZM_OK);
        assert_int_equal(
            zm_executable_bind(
                exe, "y",
                &(zm_tensor){.buffer = f->buffer, .dtype = ZM_F32, .rank = 2, .shape = {8, 16}}),
            ZM_OK);
        assert_int_equal(zm_executable_run(exe, stream, NULL), first == 4 ? ZM_OK : bad);
        zm_executable_destroy(&exe);
    }
    assert_non_null(strstr(f->log.error, "weight: a part of a weight in panels of 4"));
    assert_int_equal(f->log.errors, 1);
    zm_stream_destroy(&stream);
}

/* ---- memory ---- */

static void test_too_large(void **state)
{
    fixture *f = *state;
    zm_executable *exe = NULL;
    uint64_t most = f->device->info.limits.max_buffer_bytes;
    put_add(f, f->x, f->x, f->h);
    zm_graph_observe(f->graph, "sum", 0, f->h);
    f->device->info.limits.max_buffer_bytes = 8 * 16 * sizeof(float) - 1;
    assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe), ZM_ERROR_LIMIT);
    assert_non_null(
        strstr(f->log.error, "tensor h of 512 bytes is over the device's limit of 511"));
    f->device->info.limits.max_buffer_bytes = most;
}

static zm_executable_info info_of(fixture *f, bool in_place)
{
    zm_executable *exe = NULL;
    const zm_compile_params params = {.off = {[ZM_PASS_IN_PLACE] = !in_place}};
    assert_int_equal(zm_graph_compile(f->graph, f->device, &params, &exe), ZM_OK);
    zm_executable_info info = zm_executable_get_info(exe);
    zm_executable_destroy(&exe);
    return info;
}

#define BYTES (8 * 16 * sizeof(float))

static void test_in_place(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, f->x, f->h);
    put_add(f, f->h, f->x, f->up); /* h ends here: up takes its place */
    put_add(f, f->up, f->x, f->y);
    assert_int_equal(info_of(f, true).fired[ZM_PASS_IN_PLACE], 1);
    assert_int_equal(info_of(f, true).memory_bytes, BYTES);
    assert_int_equal(info_of(f, false).fired[ZM_PASS_IN_PLACE], 0);
    assert_int_equal(info_of(f, false).memory_bytes, 2 * BYTES);
}

/* The same, but h is read once more. */
static void test_not_in_place_while_needed(void **state)
{
    fixture *f = *state;
    put_add(f, f->x, f->x, f->h);
    put_add(f, f->h, f->x, f->up);
    put_add(f, f->up, f->h, f->y);
    assert_int_equal(info_of(f, true).fired[ZM_PASS_IN_PLACE], 0);
    assert_int_equal(info_of(f, true).memory_bytes, 2 * BYTES);
}

/* A product may write over its residual, but not over its x. */
static void test_in_place_as_the_op_allows(void **state)
{
    fixture *f = *state;
    zm_tensor w = zm_graph_extern(f->graph, "w", ZM_F32, 2, (zm_size[]){16, 16});
    put_add(f, f->x, f->x, f->h);
    zm_graph_matmul(f->graph,
                    &(zm_matmul_params){.x = f->h, .weight = w, .residual = f->h, .dst = f->up});
    put_add(f, f->up, f->x, f->y);
    assert_int_equal(info_of(f, true).fired[ZM_PASS_IN_PLACE], 0);
    zm_tensor t = zm_graph_tensor(f->graph, "t", ZM_F32, 2, (zm_size[]){f->n, 16});
    put_add(f, f->x, f->x, f->h);
    zm_graph_matmul(f->graph,
                    &(zm_matmul_params){.x = f->x, .weight = w, .residual = f->h, .dst = t});
    put_add(f, t, f->x, f->y);
    assert_int_equal(info_of(f, true).fired[ZM_PASS_IN_PLACE], 1);
}

/* Both outputs of a norm may take the place of its residual; one does. */
static void test_in_place_once(void **state)
{
    fixture *f = *state;
    zm_tensor sum = zm_graph_tensor(f->graph, "sum", ZM_F32, 2, (zm_size[]){f->n, 16});
    put_add(f, f->x, f->x, f->h);
    zm_graph_rms_norm(f->graph,
                      &(zm_norm_params){.x = f->x, .residual = f->h, .dst = f->up, .sum = sum});
    put_add(f, f->up, sum, f->y);
    assert_int_equal(info_of(f, true).fired[ZM_PASS_IN_PLACE], 1);
    assert_int_equal(info_of(f, true).memory_bytes, 2 * BYTES);
}

/* ---- prints ---- */

static char printed[4096];

static void keep(void *user, const char *text)
{
    (void)user;
    strncat(printed, text, sizeof(printed) - strlen(printed) - 1);
}

static void put_printable(fixture *f)
{
    zm_size past = zm_graph_difference(f->graph, 8, f->n);
    zm_tensor positions =
        zm_graph_extern(f->graph, "positions", ZM_DTYPE_NONE, 2, (zm_size[]){8, 16});
    put_add(f, f->x, zm_graph_rows(f->graph, positions, past, f->n), f->h);
    zm_graph_copy(f->graph,
                  &(zm_copy_params){zm_tensor_cols(f->h, 8, 8), zm_tensor_cols(f->y, 0, 8)});
    zm_graph_observe(f->graph, "half", 3, f->y);
}

/* Two of one name. */
static void put_namesakes(fixture *f)
{
    zm_tensor twins[2];
    for (int i = 0; i < 2; i++)
        twins[i] = zm_graph_tensor(f->graph, "twin", ZM_F32, 2, (zm_size[]){f->n, 16});
    zm_graph_copy(f->graph, &(zm_copy_params){f->x, twins[0]});
    zm_graph_copy(f->graph, &(zm_copy_params){twins[0], twins[1]});
}

static void test_text(void **state)
{
    fixture *f = *state;
    printed[0] = '\0';
    put_printable(f);
    put_namesakes(f);
    zm_graph_print(f->graph, ZM_GRAPH_TEXT, keep, NULL);
    assert_string_equal(printed, "symbol n 1..8\n"
                                 "extern x f32 [n][16]\n"
                                 "extern y f32 [n][16]\n"
                                 "inner h f32 [n][16]\n"
                                 "extern positions real [8][16]\n"
                                 "inner twin%6 f32 [n][16]\n"
                                 "inner twin%7 f32 [n][16]\n"
                                 "0 add x=x y=positions@8 - n[n][16] dst=h\n"
                                 "1 copy x=h[n][8]+8 dst=y[n][8]\n"
                                 "2 observe x=y as half\n"
                                 "3 copy x=x dst=twin%6\n"
                                 "4 copy x=twin%6 dst=twin%7\n");
}

static void test_dot(void **state)
{
    fixture *f = *state;
    printed[0] = '\0';
    zm_graph_extern(f->graph, "a \"b\"", ZM_F32, 1, (zm_size[]){4});
    put_printable(f);
    zm_graph_print(f->graph, ZM_GRAPH_DOT, keep, NULL);
    assert_string_equal(printed, "digraph zeromean {\n"
                                 "  v0 [shape=box label=\"x\\nf32 [n][16]\"]\n"
                                 "  v1 [shape=box label=\"y\\nf32 [n][16]\"]\n"
                                 "  v4 [shape=box label=\"a \\\"b\\\"\\nf32 [4]\"]\n"
                                 "  v5 [shape=box label=\"positions\\nreal [8][16]\"]\n"
                                 "  n0 [label=\"add\"]\n"
                                 "  v0 -> n0 [label=\"x\"]\n"
                                 "  v5 -> n0 [label=\"positions@8 - n[n][16]\"]\n"
                                 "  n1 [label=\"copy\"]\n"
                                 "  n0 -> n1 [label=\"h[n][8]+8\"]\n"
                                 "  n1 -> v1\n"
                                 "  n2 [label=\"observe\"]\n"
                                 "  n1 -> n2 [label=\"y\"]\n"
                                 "}\n");
}

/* ---- the tables of operands ---- */

/* Aliases are of outputs over inputs, sizes come last, and every field lies in its struct. */
static void test_operand_tables(void **state)
{
    (void)state;
    size_t count;
    const zm_op_info *list = zm_op_list(&count);
    for (size_t o = 0; o < count; o++) {
        const zm_op *op = zm_op_find(list[o].name);
        uint32_t inputs = 0, outputs = 0;
        assert_in_range(op->operand_count, 2, ZM_MAX_OPERANDS);
        for (size_t i = 0; i < op->operand_count; i++) {
            const zm_operand *operand = &op->operands[i];
            bool size = operand->type == ZM_OPERAND_SIZE;
            assert_true(operand->offset + (size ? sizeof(uint32_t) : sizeof(zm_tensor)) <=
                        op->params_size);
            assert_true(i == 0 || size || op->operands[i - 1].type != ZM_OPERAND_SIZE);
            if (!size && !(operand->use & ZM_OPERAND_OUTPUT))
                inputs |= 1u << i;
            outputs += (operand->use & ZM_OPERAND_OUTPUT) != 0;
        }
        assert_true(outputs > 0);
        for (size_t i = 0; i < op->operand_count; i++)
            assert_int_equal(op->operands[i].aliases & ~inputs, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_unwritten),
        TEST(test_tensor_of_another_graph),
        TEST(test_size_of_another_graph),
        TEST(test_same_name),
        TEST(test_bad_symbol),
        TEST(test_bad_sum),
        TEST(test_other_type),
        TEST(test_part_behind_symbol),
        TEST(test_inner_cache),
        TEST(test_no_params),
        TEST(test_wrong_shape),
        TEST(test_missing_operand),
        TEST(test_view_outside),
        TEST(test_bad_alias),
        TEST(test_rows_of_columns),
        TEST(test_dimension_of_0),
        TEST(test_part_of_panels),
        TEST(test_too_large),
        TEST(test_in_place),
        TEST(test_not_in_place_while_needed),
        TEST(test_in_place_as_the_op_allows),
        TEST(test_in_place_once),
        TEST(test_text),
        TEST(test_dot),
        TEST(test_operand_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Random graphs against the same operations called one by one, each tensor in a buffer of its own:
 * the same bits, whatever the memory plan; the same up to rounding with all passes, each of which
 * has to fire. On the host device, and on two of them with each operation on any of both. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/pipeline.h>

#include "device/device.h"
#include "graph/graph.h"
#include "support/passes.h"
#include "support/random.h"

#define GRAPHS 200
#define MOST_OPS 24
#define MOST_ROWS 8
#define COLS 16
#define WIDE 48
#define MOST_TENSORS 200
#define HEADS 3 /* weights of the same input, one behind the other */

/* Of the largest number of a tensor. */
#define TOLERANCE 2e-5f

/* Where operations go: into a graph, or at once to a stream. */
typedef struct sink {
    zm_graph *graph; /* NULL = at once */
    zm_device *device;
    zm_stream *stream;
    uint32_t rows; /* a size */
    zm_tensor tensors[MOST_TENSORS];
    bool written[MOST_TENSORS];
    uint32_t count;
    zm_buffer *owned[MOST_TENSORS];
    uint64_t random;
} sink;

/* What was shown, one after the other. */
typedef struct record {
    float values[MOST_TENSORS][MOST_ROWS * WIDE];
    size_t count;    /* of tensors written */
    size_t compared; /* in a run of the graph */
    bool exact;      /* to the bit */
    zm_stream *streams[2];
} record;

static record direct;

static zm_tensor own_tensor(sink *s, uint32_t rows, uint32_t cols)
{
    const zm_buffer_params params = {.size = MOST_ROWS * WIDE * sizeof(float)};
    zm_buffer **buffer = &s->owned[s->count];
    assert_int_equal(zm_buffer_create(s->device, &params, buffer), ZM_OK);
    /* What was not written would show. */
    assert_int_equal(zm_buffer_fill(s->stream, *buffer, 0, params.size, 0x7fc00000), ZM_OK);
    return zm_tensor_2d(*buffer, ZM_F32, rows, cols);
}

static uint32_t tensor_new(sink *s, const zm_tensor *given, uint32_t cols)
{
    const zm_size shape[] = {s->rows, cols};
    assert_true(s->count < MOST_TENSORS);
    s->tensors[s->count] = given      ? *given
                           : s->graph ? zm_graph_tensor(s->graph, NULL, ZM_F32, 2, shape)
                                      : own_tensor(s, s->rows, cols);
    s->written[s->count] = given != NULL;
    return s->count++;
}

static uint32_t below(sink *s, uint32_t limit)
{
    return (uint32_t)test_random_below(&s->random, limit);
}

/* Recent ones more often, so that some are needed no more. */
static uint32_t pick(sink *s)
{
    uint32_t i;
    do {
        uint32_t back = below(s, 3) ? 4 : s->count;
        i = s->count - 1 - below(s, back < s->count ? back : s->count);
    } while (!s->written[i] || s->tensors[i].shape[1] != COLS);
    return i;
}

/* The first tensor is the input, an extern, which is only read. */
static uint32_t pick_output(sink *s, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t old = pick(s);
    bool fresh = below(s, 4) || old == 0 || old == a || old == b || old == c;
    return fresh ? tensor_new(s, NULL, COLS) : old;
}

static void show(sink *s, uint32_t i)
{
    if (s->graph) {
        zm_graph_observe(s->graph, "tensor", 0, s->tensors[i]);
    } else {
        assert_int_equal(zm_buffer_read(s->stream, s->tensors[i].buffer, 0,
                                        direct.values[direct.count++],
                                        s->rows * s->tensors[i].shape[1] * sizeof(float)),
                         ZM_OK);
    }
}

/* What is shown stays in memory of its own: most is not. */
static void note(sink *s, uint32_t i)
{
    s->written[i] = true;
    if (below(s, 4) == 0)
        show(s, i);
}

static void put_row_norm(sink *s, const zm_norm_params *p, bool rms)
{
    if (s->graph)
        (rms ? zm_graph_rms_norm : zm_graph_layer_norm)(s->graph, p);
    else
        assert_int_equal((rms ? zm_rms_norm : zm_layer_norm)(s->stream, p), ZM_OK);
}

static void put_norm(sink *s)
{
    uint32_t x = pick(s), residual = pick(s), dst = pick_output(s, x, residual, x);
    zm_norm_params p = {.x = s->tensors[x], .dst = s->tensors[dst], .eps = 1e-3f};
    uint32_t sum = UINT32_MAX;
    if (below(s, 2)) {
        p.residual = s->tensors[residual];
        sum = pick_output(s, x, residual, dst);
        p.sum = s->tensors[sum];
    }
    put_row_norm(s, &p, below(s, 2));
    note(s, dst);
    if (sum != UINT32_MAX)
        note(s, sum);
}

static void put_sum(sink *s, uint32_t x, uint32_t y, uint32_t dst)
{
    const zm_add_params p = {s->tensors[x], s->tensors[y], s->tensors[dst]};
    if (s->graph)
        zm_graph_add(s->graph, &p);
    else
        assert_int_equal(zm_add(s->stream, &p), ZM_OK);
    note(s, dst);
}

static void put_add(sink *s)
{
    uint32_t x = pick(s), y = pick(s), dst = below(s, 3) || x == 0 ? pick_output(s, x, y, x) : x;
    put_sum(s, x, y, dst);
}

static void put_matmul(sink *s, const zm_matmul_params *p, uint32_t dst)
{
    if (s->graph)
        zm_graph_matmul(s->graph, p);
    else
        assert_int_equal(zm_matmul(s->stream, p), ZM_OK);
    note(s, dst);
}

/* Through a wide tensor and back. */
static void put_mlp(sink *s, const zm_tensor *weights)
{
    uint32_t x = pick(s), residual = pick(s), wide = tensor_new(s, NULL, WIDE);
    const zm_matmul_params up = {.x = s->tensors[x],
                                 .weight = weights[0],
                                 .dst = s->tensors[wide],
                                 .activation = ZM_ACTIVATION_RELU};
    put_matmul(s, &up, wide);
    uint32_t dst = below(s, 2) || residual == 0 ? pick_output(s, residual, x, x) : residual;
    const zm_matmul_params down = {.x = s->tensors[wide],
                                   .weight = weights[1],
                                   .residual = s->tensors[residual],
                                   .dst = s->tensors[dst]};
    put_matmul(s, &down, dst);
}

/* The norm of x, read by matmuls of adjacent weights; the last of what they write. */
static uint32_t put_heads(sink *s, uint32_t x, float eps, const zm_tensor *weights)
{
    uint32_t norm = tensor_new(s, NULL, COLS), heads = 1 + below(s, HEADS), behind = norm;
    const zm_norm_params p = {.x = s->tensors[x], .dst = s->tensors[norm], .eps = eps};
    put_row_norm(s, &p, below(s, 4));
    note(s, norm);
    for (uint32_t i = 0; i < heads; i++) {
        behind = tensor_new(s, NULL, COLS);
        zm_matmul_params head = {.x = s->tensors[norm],
                                 .weight = zm_tensor_rows(weights[0], i * COLS, COLS),
                                 .dst = s->tensors[behind]};
        if (s->graph)
            head.scale.column_sums = zm_tensor_cols(weights[2], i * COLS, COLS);
        put_matmul(s, &head, behind);
    }
    return behind;
}

/* Added to the tensor or, in parallel, with a second one to it. */
static void put_branch(sink *s, const zm_tensor *weights)
{
    uint32_t x = pick(s), residual = x, branch = put_heads(s, x, 1e-3f, weights);
    if (below(s, 3) == 0)
        residual = put_heads(s, x, 2e-3f, weights);
    put_sum(s, branch, residual, tensor_new(s, NULL, COLS));
}

static void put_one_activate(sink *s, uint32_t x, uint32_t y, uint32_t dst,
                             const zm_tensor *weights)
{
    zm_activate_params p = {.x = s->tensors[x],
                            .dst = s->tensors[dst],
                            .activation = (zm_activation)below(s, ZM_ACTIVATION_QUICK_GELU + 1)};
    if (below(s, 2)) {
        p.bias = zm_tensor_1d(weights[0].buffer, ZM_F32, COLS);
        p.bias.offset = weights[0].offset + below(s, 3) * COLS;
    }
    if (below(s, 2))
        p.y = s->tensors[y];
    if (s->graph)
        zm_graph_activate(s->graph, &p);
    else
        assert_int_equal(zm_activate(s->stream, &p), ZM_OK);
    note(s, dst);
}

/* Of any tensors, or of products; in the place of one of them or not. */
static void put_activate(sink *s, const zm_tensor *weights)
{
    bool products = below(s, 3);
    uint32_t y = products && below(s, 2) ? put_heads(s, pick(s), 1e-3f, weights) : pick(s);
    uint32_t x = products ? put_heads(s, pick(s), 1e-3f, weights) : pick(s);
    uint32_t own[] = {x, y, tensor_new(s, NULL, COLS)}, dst = own[below(s, 3)];
    put_one_activate(s, x, y, dst ? dst : own[2], weights);
}

static void put_one_softmax(sink *s, zm_tensor x, uint32_t dst)
{
    const zm_softmax_params p = {.x = x, .dst = s->tensors[dst]};
    if (s->graph)
        zm_graph_softmax(s->graph, &p);
    else
        assert_int_equal(zm_softmax(s->stream, &p), ZM_OK);
    note(s, dst);
}

static void put_softmax(sink *s)
{
    uint32_t x = pick(s);
    put_one_softmax(s, s->tensors[x], pick_output(s, x, x, x));
}

static void put_one_copy(sink *s, zm_tensor x, zm_tensor dst)
{
    const zm_copy_params p = {x, dst};
    if (s->graph)
        zm_graph_copy(s->graph, &p);
    else
        assert_int_equal(zm_copy(s->stream, &p), ZM_OK);
}

static void put_whole_copy(sink *s)
{
    uint32_t x = pick(s), dst = pick_output(s, x, x, x);
    put_one_copy(s, s->tensors[x], s->tensors[dst]);
    note(s, dst);
}

/* One half of the columns takes the other's values: the tensor is whole again afterwards. */
static void put_copy(sink *s)
{
    uint32_t x = pick(s), dst = pick_output(s, x, x, x);
    for (uint32_t half = 0; half < 2; half++)
        put_one_copy(s, zm_tensor_cols(s->tensors[x], half ? 0 : COLS / 2, COLS / 2),
                     zm_tensor_cols(s->tensors[dst], half ? COLS / 2 : 0, COLS / 2));
    note(s, dst);
}

/* ---- views ---- */

static zm_tensor shaped(zm_tensor tensor, zm_size rows, uint32_t cols)
{
    tensor.shape[0] = rows;
    tensor.shape[1] = cols;
    return tensor;
}

/* With twice the rows; nothing else gets to see it. */
static uint32_t tall_new(sink *s, uint32_t cols)
{
    uint32_t rows = s->rows;
    s->rows = s->graph ? zm_graph_sum(s->graph, rows, rows) : 2 * rows;
    uint32_t tall = tensor_new(s, NULL, cols);
    s->rows = rows;
    return tall;
}

/* A tensor as one of half the columns, times rows of that length of the weights. */
static zm_tensor put_tall(sink *s, uint32_t x, uint32_t first, uint32_t cols, zm_tensor weight)
{
    const zm_tensor dst = s->tensors[tall_new(s, cols)];
    weight.offset += (uint64_t)first * COLS / 2;
    const zm_matmul_params p = {.x = shaped(s->tensors[x], dst.shape[0], COLS / 2),
                                .weight = shaped(weight, cols, COLS / 2),
                                .dst = dst};
    if (s->graph)
        zm_graph_matmul(s->graph, &p);
    else
        assert_int_equal(zm_matmul(s->stream, &p), ZM_OK);
    return dst;
}

/* Products, or copies of columns of one, read as half the rows. */
static void put_reshaped(sink *s, const zm_tensor *weights)
{
    uint32_t x = pick(s), half = COLS / 2;
    bool copies = below(s, 2);
    zm_tensor parts[2], wide = put_tall(s, x, 0, COLS, weights[0]);
    for (uint32_t i = 0; i < 2; i++) {
        parts[i] =
            copies ? s->tensors[tall_new(s, half)] : put_tall(s, x, i * half, half, weights[0]);
        if (copies)
            put_one_copy(s, zm_tensor_cols(wide, i * half, half), parts[i]);
    }
    for (uint32_t i = 0; i < 2; i++)
        put_one_softmax(s, shaped(parts[i], s->rows, COLS), tensor_new(s, NULL, COLS));
}

/* The norm of x by a weight or a bias, and a product of it, with statistics where asked for. */
static void head_of_norm(sink *s, zm_tensor x, zm_tensor vector, zm_tensor statistics,
                         const zm_tensor *weights)
{
    uint32_t norm = tensor_new(s, NULL, COLS), dst = tensor_new(s, NULL, COLS);
    zm_norm_params p = {.x = x, .dst = s->tensors[norm], .eps = 1e-3f};
    *(below(s, 2) ? &p.weight : &p.bias) = vector;
    put_row_norm(s, &p, true);
    const zm_matmul_params head = {.x = s->tensors[norm],
                                   .weight = zm_tensor_rows(weights[0], 0, COLS),
                                   .dst = s->tensors[dst],
                                   .statistics = statistics};
    put_matmul(s, &head, dst);
}

/* A product of the norm of every second row of a product, or of the first ones. */
static void put_second_rows(sink *s, const zm_tensor *weights)
{
    zm_tensor all = put_tall(s, pick(s), 0, COLS, weights[0]);
    zm_tensor rows = s->graph ? zm_graph_rows(s->graph, all, 0, all.shape[0]) : all;
    rows = shaped(rows, s->rows, COLS);
    rows.stride[0] = (1 + below(s, 2)) * COLS;
    rows.stride[1] = 1;
    head_of_norm(s, rows, (zm_tensor){0}, (zm_tensor){0}, weights);
}

/* The norm of a tensor by itself, or with statistics written to it, which nothing reads then. */
static void put_head_of_own(sink *s, const zm_tensor *weights)
{
    uint32_t x = tensor_new(s, NULL, COLS), one = pick(s), group = zm_statistics_group(s->device);
    if (below(s, 2)) {
        put_one_softmax(s, s->tensors[one], x);
        head_of_norm(s, s->tensors[x], (zm_tensor){0},
                     shaped(s->tensors[x], s->rows, 2 * ((COLS + group - 1) / group)), weights);
        show(s, x);
        s->written[x] = false;
    } else {
        put_sum(s, one, pick(s), x);
        head_of_norm(s, s->tensors[x], zm_tensor_1d(s->tensors[x].buffer, ZM_F32, COLS),
                     (zm_tensor){0}, weights);
    }
}

/* The same operations for the same seed. */
static void put_all(sink *s, uint64_t seed, const zm_tensor *input, const zm_tensor *weights)
{
    s->random = seed;
    tensor_new(s, input, COLS);
    uint32_t ops = 4 + below(s, MOST_OPS - 4);
    for (uint32_t i = 0; i < ops; i++) {
        switch (below(s, 12)) {
        case 0: put_norm(s); break;
        case 1: put_add(s); break;
        case 2: put_mlp(s, weights); break;
        case 3: put_softmax(s); break;
        case 4: put_whole_copy(s); break;
        case 5:
        case 6: put_branch(s, weights); break;
        case 7: put_activate(s, weights); break;
        case 8: put_reshaped(s, weights); break;
        case 9: put_second_rows(s, weights); break;
        case 10: put_head_of_own(s, weights); break;
        default: put_copy(s); break;
        }
    }
    show(s, pick(s));
}

static float largest(const float *values, const float *minus, size_t count)
{
    float most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmaxf(most, fabsf(values[i] - (minus ? minus[i] : 0)));
    return most;
}

static zm_status compare(void *user, const char *what, uint32_t index, const zm_tensor *tensor)
{
    static float got[MOST_ROWS * WIDE];
    record *r = user;
    (void)what;
    (void)index;
    size_t bytes = (size_t)tensor->shape[0] * tensor->shape[1] * sizeof(float);
    bool second = tensor->buffer->device != zm_stream_get_device(r->streams[0]);
    assert_true(r->compared < r->count);
    assert_int_equal(zm_buffer_read(r->streams[second], tensor->buffer,
                                    tensor->offset * sizeof(float), got, bytes),
                     ZM_OK);
    const float *wanted = r->values[r->compared++];
    if (memcmp(got, wanted, bytes) == 0)
        return ZM_OK;
    size_t count = bytes / sizeof(float);
    float apart = largest(got, wanted, count), most = largest(wanted, NULL, count);
    if (!r->exact && apart <= TOLERANCE * most)
        return ZM_OK;
    print_message("tensor %zu of %zu differs by %g of %g\n", r->compared, r->count, apart, most);
    return ZM_ERROR_MISMATCH;
}

typedef struct totals {
    uint64_t memory, least;
    uint32_t fired[ZM_PASS_COUNT];
    uint32_t stages, moves, copied; /* on two devices */
} totals;

/* Which passes a graph is compiled with. */
typedef enum passes { ALL = 0, ONE, IN_PLACE, NONE, PASSES_COUNT } passes;

static zm_compile_params with_passes(passes which, uint64_t seed)
{
    const zm_compile_params all = {.off = {false}};
    zm_compile_params params = which == ALL ? all : passes_none();
    if (which == ONE)
        params.off[seed % ZM_PASS_COUNT] = false;
    if (which == IN_PLACE)
        params.off[ZM_PASS_IN_PLACE] = false;
    return params;
}

static void run_and_compare(sink *s, zm_pipeline *pipeline, zm_size rows, const zm_tensor *real,
                            const zm_tensor *weights, uint64_t seed, bool exact)
{
    direct.exact = exact;
    for (uint32_t round = 0; round < 2; round++) {
        uint32_t now = round ? MOST_ROWS : 1 + (uint32_t)(seed % MOST_ROWS);
        sink one = {.device = s->device, .stream = s->stream, .rows = now};
        zm_tensor input = zm_tensor_rows(*real, 0, now);
        direct.count = direct.compared = 0;
        put_all(&one, seed, &input, weights);
        const zm_run_params params = {.observe = compare, .user = &direct};
        assert_int_equal(zm_pipeline_set(pipeline, rows, now), ZM_OK);
        assert_int_equal(zm_pipeline_run(pipeline, direct.streams, &params), ZM_OK);
        assert_int_equal(direct.compared, direct.count);
        for (size_t i = 0; i < MOST_TENSORS; i++)
            zm_buffer_destroy(&one.owned[i]);
    }
}

static zm_pipeline *compile(const zm_graph *graph, uint32_t count, const zm_tensor *input,
                            const zm_compile_params *params)
{
    zm_pipeline *pipeline = NULL;
    zm_device *const devices[] = {zm_stream_get_device(direct.streams[0]),
                                  zm_stream_get_device(direct.streams[1])};
    assert_int_equal(zm_pipeline_compile(graph, devices, count, params, &pipeline), ZM_OK);
    assert_int_equal(zm_pipeline_bind(pipeline, "input", input), ZM_OK);
    return pipeline;
}

/* The same with its operations here and there. */
static void check_on_two(sink *s, const zm_compile_params *params, uint64_t seed,
                         const zm_tensor *real, const zm_tensor *weights, bool exact, totals *sum)
{
    uint64_t random = seed + 7;
    for (size_t n = 0; n < s->graph->node_count; n++)
        s->graph->nodes[n].device = test_random_below(&random, 3) == 0;
    zm_pipeline *pipeline = compile(s->graph, 2, real, params);
    run_and_compare(s, pipeline, s->rows, real, weights, seed, exact);
    const zm_pipeline_info info = zm_pipeline_get_info(pipeline);
    sum->stages += info.stages;
    sum->moves += info.moves;
    sum->copied += info.copied_bytes > 0;
    zm_pipeline_destroy(&pipeline);
}

static void check_graph(uint64_t seed, const zm_tensor *real, const zm_tensor *weights, totals *sum)
{
    sink s = {.device = zm_stream_get_device(direct.streams[0]), .stream = direct.streams[0]};
    assert_int_equal(zm_graph_create(NULL, &s.graph), ZM_OK);
    s.rows = zm_graph_symbol(s.graph, "rows", 1, MOST_ROWS);
    zm_tensor input = zm_graph_extern(s.graph, "input", ZM_F32, 2, (zm_size[]){s.rows, COLS});
    put_all(&s, seed, &input, weights);
    assert_int_equal(zm_graph_status(s.graph), ZM_OK);
    for (int which = 0; which < PASSES_COUNT; which++) {
        const zm_compile_params params = with_passes((passes)which, seed);
        for (size_t n = 0; n < s.graph->node_count; n++)
            s.graph->nodes[n].device = 0;
        zm_pipeline *pipeline = compile(s.graph, 1, real, &params);
        const zm_executable_info info = zm_pipeline_get_info(pipeline).work;
        assert_true(info.least_bytes <= info.memory_bytes);
        sum->memory += info.memory_bytes;
        sum->least += info.least_bytes;
        for (int i = 0; i < ZM_PASS_COUNT; i++) {
            assert_true(!params.off[i] || info.fired[i] == 0);
            sum->fired[i] += info.fired[i];
        }
        run_and_compare(&s, pipeline, s.rows, real, weights, seed, which >= IN_PLACE);
        zm_pipeline_destroy(&pipeline);
        check_on_two(&s, &params, seed, real, weights, which >= IN_PLACE, sum);
    }
    zm_graph_destroy(&s.graph);
}

static void sums_fill(const float *weight, float *sums)
{
    for (size_t n = 0; n < WIDE; n++) {
        double sum = 0;
        for (size_t k = 0; k < COLS; k++)
            sum += (double)weight[n * COLS + k];
        sums[n] = (float)sum;
    }
}

static void test_random_graphs(void **state)
{
    (void)state;
    const zm_device_params params = {.spec = "host", .host_threads = 1};
    zm_device *device = NULL, *second = NULL;
    zm_stream *stream = NULL;
    static float values[(MOST_ROWS + 2 * WIDE) * COLS + WIDE];
    const zm_buffer_params size = {.size = sizeof(values)};
    zm_buffer *buffer = NULL;
    uint64_t random = 1;
    totals sums[2] = {{0}}; /* in one arena, in several */
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        values[i] = (float)test_random_between(&random, -1, 1);
    sums_fill(values + (size_t)MOST_ROWS * COLS, values + (size_t)(MOST_ROWS + 2 * WIDE) * COLS);
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    assert_int_equal(zm_device_open(&params, &second), ZM_OK);
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    assert_int_equal(zm_stream_create(second, NULL, &direct.streams[1]), ZM_OK);
    direct.streams[0] = stream;
    assert_int_equal(zm_buffer_create(device, &size, &buffer), ZM_OK);
    assert_int_equal(zm_buffer_write(stream, buffer, 0, values, sizeof(values)), ZM_OK);
    zm_tensor real = zm_tensor_2d(buffer, ZM_F32, MOST_ROWS, COLS);
    zm_tensor weights[] = {zm_tensor_2d(buffer, ZM_F32, WIDE, COLS),
                           zm_tensor_2d(buffer, ZM_F32, COLS, WIDE),
                           zm_tensor_1d(buffer, ZM_F32, WIDE)}; /* column sums of the first */
    for (int i = 0; i < 3; i++)
        weights[i].offset = (MOST_ROWS + (uint64_t)i * WIDE) * COLS;
    uint64_t most = device->info.limits.max_buffer_bytes;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        /* Some in arenas of which each holds one wide tensor and one other. */
        bool split = seed % 3 == 0;
        device->info.limits.max_buffer_bytes =
            split ? MOST_ROWS * (WIDE + COLS) * sizeof(float) : most;
        check_graph(seed, &real, weights, &sums[split]);
    }
    for (int i = 0; i < 2; i++) {
        double ratio = (double)sums[i].memory / (double)sums[i].least;
        print_message("%.3f of the least memory\n", ratio);
        assert_true(ratio < (i ? 1.3 : 1.05));
        print_message("on two devices %u stages, %u moves, %u with copied weights\n",
                      sums[i].stages, sums[i].moves, sums[i].copied);
        assert_true(sums[i].stages > GRAPHS && sums[i].moves > GRAPHS && sums[i].copied > 10);
    }
    for (int pass = 0; pass < ZM_PASS_COUNT; pass++) {
        uint32_t fired = sums[0].fired[pass] + sums[1].fired[pass];
        print_message("%s fired %u times\n", zm_pass_name((zm_pass)pass), fired);
        assert_true(fired > GRAPHS / 10);
    }
    zm_buffer_destroy(&buffer);
    for (int i = 0; i < 2; i++)
        zm_stream_destroy(&direct.streams[i]);
    zm_device_close(&second);
    zm_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

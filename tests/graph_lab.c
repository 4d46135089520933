/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/random.h"

zm_tensor make(fixture *f, uint32_t rank, uint32_t rows, uint32_t cols)
{
    static float values[LENGTH * D + 3 * D * D];
    const zm_buffer_params params = {.size = (uint64_t)rows * cols * sizeof(float)};
    zm_buffer **buffer = &f->buffers[f->buffer_count++];
    assert_true(params.size <= sizeof(values));
    for (uint32_t i = 0; i < rows * cols; i++)
        values[i] = (float)test_random_between(&f->random, -0.3, 0.3);
    assert_int_equal(zm_buffer_create(f->device, &params, buffer), ZM_OK);
    assert_int_equal(zm_buffer_write(f->stream, *buffer, 0, values, params.size), ZM_OK);
    return rank == 1 ? zm_tensor_1d(*buffer, ZM_F32, cols)
                     : zm_tensor_2d(*buffer, ZM_F32, rows, cols);
}

/* Any numbers do for the weights, in whatever order the device packs them. */
static zm_tensor make_weight(fixture *f, uint32_t n, uint32_t k)
{
    zm_weight_layout layout;
    assert_int_equal(zm_weight_layout_get(f->device, n, k, ZM_F32, &layout), ZM_OK);
    zm_tensor weight = make(f, 2, (uint32_t)(layout.elements / k), k);
    weight.shape[0] = n;
    weight.panel = layout.panel;
    return weight;
}

static int open_device(void **state, const char *spec)
{
    fixture *f = calloc(1, sizeof(*f));
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = spec, .log = &f->log.log, .host_threads = 1};
    if (zm_device_open(&params, &f->device) || zm_stream_create(f->device, NULL, &f->stream) ||
        zm_kv_layout_get(f->device, ZM_F32, HEADS, D / HEADS, LENGTH, &f->layout))
        return 1;
    f->input = make(f, 2, LENGTH, D);
    f->qkv_weight = make_weight(f, 3 * D, D);
    f->out_weight = make_weight(f, D, D);
    f->up_weight = make_weight(f, FF, D);
    f->down_weight = make_weight(f, D, FF);
    f->norm_weight = make(f, 1, 1, D);
    f->bias = make(f, 1, 1, FF);
    for (int i = 0; i < 4; i++) {
        f->caches[i] = make(f, 1, 1, (uint32_t)f->layout.elements);
        zm_buffer_fill(f->stream, f->caches[i].buffer, 0, f->layout.elements * sizeof(float), 0);
    }
    for (int i = 0; i < 2; i++)
        f->outputs[i] = make(f, 2, LENGTH, D);
    *state = f;
    return 0;
}

int open_host(void **state)
{
    return open_device(state, "host");
}

int open_opencl(void **state)
{
    return open_device(state, "opencl");
}

int close_device(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < f->buffer_count; i++)
        zm_buffer_destroy(&f->buffers[i]);
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
    free(f);
    return 0;
}

/* ---- the block, once for both ---- */

typedef struct block {
    zm_tensor x, h, qkv, a, y, z, up, out, k_cache, v_cache;
    zm_tensor qkv_weight, out_weight, up_weight, down_weight;
    uint32_t length, past;
} block;

typedef struct calls {
    zm_norm_params norms[2];
    zm_matmul_params products[4];
    zm_kv_store_params store;
    zm_attention_params attention;
} calls;

static calls calls_of(const fixture *f, const block *b)
{
    calls c = {
        .norms = {{.x = b->x, .weight = f->norm_weight, .dst = b->h, .eps = 1e-5f},
                  {.x = b->y, .weight = f->norm_weight, .dst = b->z, .eps = 1e-5f}},
        .products = {{.x = b->h, .weight = b->qkv_weight, .dst = b->qkv},
                     {.x = b->a, .weight = b->out_weight, .residual = b->x, .dst = b->y},
                     {.x = b->z,
                      .weight = b->up_weight,
                      .bias = f->bias,
                      .dst = b->up,
                      .activation = ZM_ACTIVATION_GELU},
                     {.x = b->up, .weight = b->down_weight, .residual = b->y, .dst = b->out}},
        .store = {.k = zm_tensor_cols(b->qkv, D, D),
                  .v = zm_tensor_cols(b->qkv, 2 * D, D),
                  .k_cache = b->k_cache,
                  .v_cache = b->v_cache,
                  .layout = f->layout,
                  .position = b->past},
        .attention = {.q = zm_tensor_cols(b->qkv, 0, D),
                      .k_cache = b->k_cache,
                      .v_cache = b->v_cache,
                      .layout = f->layout,
                      .kv_length = b->length,
                      .causal = true,
                      .dst = b->a}};
    return c;
}

static void call_directly(const fixture *f, const calls *c)
{
    assert_int_equal(zm_layer_norm(f->stream, &c->norms[0]), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &c->products[0]), ZM_OK);
    assert_int_equal(zm_kv_store(f->stream, &c->store), ZM_OK);
    assert_int_equal(zm_attention(f->stream, &c->attention), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &c->products[1]), ZM_OK);
    assert_int_equal(zm_layer_norm(f->stream, &c->norms[1]), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &c->products[2]), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &c->products[3]), ZM_OK);
}

static void put_in_graph(zm_graph *graph, const calls *c)
{
    zm_graph_layer_norm(graph, &c->norms[0]);
    zm_graph_matmul(graph, &c->products[0]);
    zm_graph_kv_store(graph, &c->store);
    zm_graph_attention(graph, &c->attention);
    zm_graph_matmul(graph, &c->products[1]);
    zm_graph_layer_norm(graph, &c->norms[1]);
    zm_graph_matmul(graph, &c->products[2]);
    zm_graph_matmul(graph, &c->products[3]);
}

zm_graph *block_graph(fixture *f, symbols *s)
{
    zm_graph *g = NULL;
    uint32_t cache = (uint32_t)f->layout.elements;
    assert_int_equal(zm_graph_create(&f->log.log, &g), ZM_OK);
    s->tokens = zm_graph_symbol(g, "tokens", 1, LENGTH);
    s->length = zm_graph_symbol(g, "length", 1, LENGTH);
    const zm_size rows[] = {s->tokens, D}, qkv[] = {s->tokens, 3 * D}, up[] = {s->tokens, FF};
    block b = {
        .h = zm_graph_tensor(g, "h", ZM_DTYPE_NONE, 2, rows),
        .qkv = zm_graph_tensor(g, "qkv", ZM_DTYPE_NONE, 2, qkv),
        .a = zm_graph_tensor(g, "a", ZM_F32, 2, rows),
        .y = zm_graph_tensor(g, NULL, ZM_F32, 2, rows),
        .z = zm_graph_tensor(g, "z", ZM_F32, 2, rows),
        .up = zm_graph_tensor(g, "up", ZM_F32, 2, up),
        .out = zm_graph_extern(g, "out", ZM_F32, 2, rows),
        .k_cache = zm_graph_extern(g, "k", ZM_F32, 1, &cache),
        .v_cache = zm_graph_extern(g, "v", ZM_F32, 1, &cache),
        .qkv_weight = zm_graph_extern(g, "qkv.weight", ZM_F32, 2, (zm_size[]){3 * D, D}),
        .out_weight = zm_graph_extern(g, "out.weight", ZM_F32, 2, (zm_size[]){D, D}),
        .up_weight = zm_graph_extern(g, "up.weight", ZM_F32, 2, (zm_size[]){FF, D}),
        .down_weight = zm_graph_extern(g, "down.weight", ZM_F32, 2, (zm_size[]){D, FF}),
        .length = s->length,
        .past = zm_graph_difference(g, s->length, s->tokens),
    };
    b.x = zm_graph_rows(g, f->input, b.past, s->tokens);
    const calls c = calls_of(f, &b);
    put_in_graph(g, &c);
    assert_int_equal(zm_graph_status(g), ZM_OK);
    return g;
}

zm_executable *block_compile_with(fixture *f, const zm_graph *g, zm_replay replay)
{
    const zm_compile_params params = {.replay = replay};
    zm_executable *exe = NULL;
    const struct {
        const char *name;
        const zm_tensor *tensor;
    } bindings[] = {{"k", &f->caches[0]},           {"v", &f->caches[1]},
                    {"qkv.weight", &f->qkv_weight}, {"out.weight", &f->out_weight},
                    {"up.weight", &f->up_weight},   {"down.weight", &f->down_weight},
                    {"out", &f->outputs[0]}};
    assert_int_equal(zm_graph_compile(g, f->device, &params, &exe), ZM_OK);
    for (size_t i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++)
        assert_int_equal(zm_executable_bind(exe, bindings[i].name, bindings[i].tensor), ZM_OK);
    return exe;
}

zm_executable *block_compile(fixture *f, const zm_graph *g)
{
    return block_compile_with(f, g, ZM_REPLAY_MEASURED);
}

void run_directly(fixture *f, uint32_t past, uint32_t tokens)
{
    block b = {.x = zm_tensor_rows(f->input, past, tokens),
               .h = make(f, 2, tokens, D),
               .qkv = make(f, 2, tokens, 3 * D),
               .a = make(f, 2, tokens, D),
               .y = make(f, 2, tokens, D),
               .z = make(f, 2, tokens, D),
               .up = make(f, 2, tokens, FF),
               .out = zm_tensor_rows(f->outputs[1], 0, tokens),
               .k_cache = f->caches[2],
               .v_cache = f->caches[3],
               .qkv_weight = f->qkv_weight,
               .out_weight = f->out_weight,
               .up_weight = f->up_weight,
               .down_weight = f->down_weight,
               .length = past + tokens,
               .past = past};
    const calls c = calls_of(f, &b);
    call_directly(f, &c);
    assert_int_equal(zm_stream_wait(f->stream), ZM_OK);
    for (int i = 0; i < 6; i++)
        zm_buffer_destroy(&f->buffers[--f->buffer_count]);
}

void assert_outputs_equal(fixture *f, uint32_t tokens)
{
    static float got[2][LENGTH * D];
    size_t bytes = (size_t)tokens * D * sizeof(float);
    for (int i = 0; i < 2; i++)
        assert_int_equal(zm_buffer_read(f->stream, f->outputs[i].buffer, 0, got[i], bytes), ZM_OK);
    assert_memory_equal(got[0], got[1], bytes);
    assert_true(got[0][0] != 0 && got[0][0] == got[0][0]);
}

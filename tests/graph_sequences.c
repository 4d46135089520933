/* SPDX-License-Identifier: Apache-2.0 */
/* zm_graph_block with several sequences in a run, against the naive block of each: all of one
 * length in one run, and of unlike lengths in several, as a server decodes them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "block_lab.h"

enum { SEQUENCES = 3, MOST = SEQUENCES * NAIVE_ROWS };

/* Groups of queries, rotary positions, the other side of a cross-attention, norms in the epilogues.
 */
static const naive_block model = {.layers = 2,
                                  .d = 16,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_dim = 8,
                                  .ff = 24,
                                  .source_d = 12,
                                  .norm = NAIVE_RMS,
                                  .eps = 1e-3f,
                                  .biases = true,
                                  .causal = true,
                                  .rotary = true,
                                  .crosses = true,
                                  .activation = ZM_ACTIVATION_GELU};

typedef struct lab {
    fixture *f;
    float x[SEQUENCES][NAIVE_ROWS * NAIVE_MAX], source[SEQUENCES][NAIVE_SOURCE * NAIVE_MAX];
    double wanted[SEQUENCES][NAIVE_ROWS * NAIVE_MAX];
    zm_tensor in, out, numbers[3]; /* numbers: rotary positions, first positions, lengths */
    zm_executable *exe;
    zm_size rows; /* of all */
} lab;

/* Each sequence its own numbers, and what becomes of them. */
static void make_up(lab *l, naive_block naive)
{
    naive_fill(&naive);
    l->f->naive = naive;
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        naive_block one = naive;
        for (uint32_t i = 0; i < NAIVE_ROWS * naive.d; i++)
            one.x[i] = naive.x[(i + 5 * s) % (NAIVE_ROWS * naive.d)] + 0.1f * (float)s;
        for (uint32_t i = 0; i < NAIVE_SOURCE * naive.source_d; i++)
            one.source[i] = naive.source[(i + 7 * s) % (NAIVE_SOURCE * naive.source_d)];
        memcpy(l->x[s], one.x, sizeof(one.x));
        memcpy(l->source[s], one.source, sizeof(one.source));
        naive_run(&one, l->wanted[s]);
    }
}

static zm_tensor sources(lab *l)
{
    float all[MOST * NAIVE_MAX];
    size_t one = (size_t)NAIVE_SOURCE * l->f->naive.source_d;
    for (uint32_t s = 0; s < SEQUENCES; s++)
        memcpy(all + s * one, l->source[s], one * sizeof(float));
    return zm_tensor_2d(block_buffer(l->f, all, SEQUENCES * one * sizeof(float)), ZM_F32,
                        SEQUENCES * NAIVE_SOURCE, l->f->naive.source_d);
}

/* ragged: where each sequence is comes from the device. */
static void build(lab *l, bool ragged)
{
    fixture *f = l->f;
    zm_graph *graph;
    f->sequences = SEQUENCES;
    block_put(f);
    f->source = sources(l);
    assert_int_equal(zm_graph_create(&f->log.log, &f->graph), ZM_OK);
    graph = f->graph;
    l->rows = zm_graph_symbol(graph, "rows", SEQUENCES, MOST);
    f->block.self.length = NAIVE_ROWS;
    f->block.self.rope.positions = zm_graph_extern(graph, "rope", ZM_I32, 1, &l->rows);
    if (ragged) {
        f->block.self.positions =
            zm_graph_extern(graph, "positions", ZM_I32, 1, (zm_size[]){SEQUENCES});
        f->block.self.lengths =
            zm_graph_extern(graph, "lengths", ZM_I32, 1, (zm_size[]){SEQUENCES});
    }
    if (f->naive.crosses)
        zm_graph_cross_store(graph, &f->block.cross.cache, &f->kv, f->source);
    zm_tensor x = zm_graph_extern(graph, "x", ZM_F32, 2, (zm_size[]){l->rows, f->naive.d});
    for (uint32_t i = 0; i < f->naive.layers; i++) {
        f->block.self.cache = f->caches[i];
        x = zm_graph_block(graph, &f->block, x);
    }
    f->y = zm_graph_extern(graph, "y", ZM_F32, 2, (zm_size[]){l->rows, f->naive.d});
    zm_graph_copy(graph, &(zm_copy_params){x, f->y});
}

static void compile(lab *l, bool ragged)
{
    static const char *const names[] = {"rope", "positions", "lengths"};
    fixture *f = l->f;
    uint64_t bytes = (uint64_t)MOST * f->naive.d * sizeof(float);
    build(l, ragged);
    assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &l->exe), ZM_OK);
    l->in = zm_tensor_2d(block_buffer(f, NULL, bytes), ZM_F32, MOST, f->naive.d);
    l->out = zm_tensor_2d(block_buffer(f, NULL, bytes), ZM_F32, MOST, f->naive.d);
    assert_int_equal(zm_executable_bind(l->exe, "x", &l->in), ZM_OK);
    assert_int_equal(zm_executable_bind(l->exe, "y", &l->out), ZM_OK);
    for (int i = 0; i < (ragged ? 3 : 1); i++) {
        uint32_t count = i ? SEQUENCES : MOST;
        l->numbers[i] = zm_tensor_1d(block_buffer(f, NULL, 4 * MOST), ZM_I32, count);
        assert_int_equal(zm_executable_bind(l->exe, names[i], &l->numbers[i]), ZM_OK);
    }
}

static void write(lab *l, const zm_tensor *to, const void *values, size_t count)
{
    assert_int_equal(zm_buffer_write(l->f->stream, to->buffer, 0, values, 4 * count), ZM_OK);
}

/* Rows first[s] .. first[s] + rows - 1 of each sequence; what lies behind its last row is made up,
 * which is padding. */
static void step(lab *l, uint32_t rows, const int32_t *first, float *out)
{
    uint32_t d = l->f->naive.d;
    float x[MOST * NAIVE_MAX];
    int32_t places[MOST];
    for (uint32_t i = 0; i < SEQUENCES * rows; i++) {
        int32_t place = places[i] = first[i / rows] + (int32_t)(i % rows);
        memcpy(x + (size_t)i * d, l->x[i / rows] + (size_t)(place % NAIVE_ROWS) * d,
               d * sizeof(float));
    }
    write(l, &l->in, x, (size_t)SEQUENCES * rows * d);
    write(l, &l->numbers[0], places, (size_t)SEQUENCES * rows);
    assert_int_equal(zm_executable_set(l->exe, l->rows, SEQUENCES * rows), ZM_OK);
    assert_int_equal(zm_executable_run(l->exe, l->f->stream, NULL), ZM_OK);
    assert_int_equal(zm_buffer_read(l->f->stream, l->out.buffer, 0, out,
                                    (uint64_t)SEQUENCES * rows * d * sizeof(float)),
                     ZM_OK);
}

static void finish(lab *l)
{
    zm_stream_wait(l->f->stream);
    zm_executable_destroy(&l->exe);
}

static void test_together(void **state)
{
    static lab l;
    static const int32_t first[SEQUENCES];
    float out[MOST * NAIVE_MAX];
    naive_block ahead = model;
    ahead.causal = false;
    const naive_block models[] = {model, ahead};
    for (int i = 0; i < 2; i++) {
        memset(&l, 0, sizeof(l));
        l.f = *state;
        make_up(&l, models[i]);
        compile(&l, false);
        step(&l, NAIVE_ROWS, first, out);
        for (uint32_t s = 0; s < SEQUENCES; s++)
            block_near(l.wanted[s], out + (size_t)s * NAIVE_ROWS * model.d,
                       (size_t)NAIVE_ROWS * model.d);
        finish(&l);
        zm_graph_destroy(&l.f->graph);
    }
}

/* Prompts whose shorter ones are filled up behind; more rows of each; the end, with a row once more
 * before the last one of a sequence, and one that is done. */
static void run_ragged(fixture *f)
{
    static const struct {
        uint32_t rows;
        int32_t first[SEQUENCES], lengths[SEQUENCES];
        uint32_t good[SEQUENCES]; /* rows that are not padding */
    } steps[] = {{4, {0, 0, 0}, {4, 4, 4}, {4, 2, 3}},
                 {3, {4, 2, 3}, {7, 5, 6}, {3, 3, 3}},
                 {2, {100, 5, 5}, {0, 7, 7}, {0, 2, 2}}};
    static lab l;
    float out[MOST * NAIVE_MAX];
    uint32_t d = model.d;
    memset(&l, 0, sizeof(l));
    l.f = f;
    make_up(&l, model);
    compile(&l, true);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        write(&l, &l.numbers[1], steps[i].first, SEQUENCES);
        write(&l, &l.numbers[2], steps[i].lengths, SEQUENCES);
        step(&l, steps[i].rows, steps[i].first, out);
        for (uint32_t s = 0; s < SEQUENCES; s++) {
            const float *got = out + (size_t)s * steps[i].rows * d;
            if (steps[i].good[s])
                block_near(l.wanted[s] + (size_t)steps[i].first[s] * d, got,
                           (size_t)steps[i].good[s] * d);
            else
                assert_true(isnan(got[0]));
        }
    }
    finish(&l);
}

static void test_ragged(void **state)
{
    run_ragged(*state);
}

#ifdef TEST_OPENCL
static void test_opencl(void **state)
{
    run_ragged(*state);
}
#endif

/* Rows that are no whole number for each sequence; numbers of another count than sequences. */
static void test_misuse(void **state)
{
    static lab l;
    zm_executable *exe = NULL;
    for (int i = 0; i < 2; i++) {
        memset(&l, 0, sizeof(l));
        l.f = *state;
        make_up(&l, model);
        build(&l, true);
        zm_tensor x = zm_graph_extern(l.f->graph, "other", ZM_F32, 2,
                                      (zm_size[]){SEQUENCES + (i == 0), model.d});
        zm_block block = l.f->block;
        block.self.rope.positions = (zm_tensor){0};
        if (i == 1)
            block.self.lengths =
                zm_graph_extern(l.f->graph, "few", ZM_I32, 1, (zm_size[]){SEQUENCES - 1});
        zm_graph_block(l.f->graph, &block, x);
        assert_int_equal(zm_graph_status(l.f->graph), ZM_OK);
        l.f->log.errors = 0;
        assert_int_equal(zm_graph_compile(l.f->graph, l.f->device, NULL, &exe),
                         ZM_ERROR_INVALID_ARGUMENT);
        assert_int_equal(l.f->log.errors, 1);
        assert_non_null(strstr(l.f->log.error, i ? "lengths" : "sequences"));
        zm_graph_destroy(&l.f->graph);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, block_open_host, block_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_together),
        TEST(test_ragged),
        TEST(test_misuse),
#ifdef TEST_OPENCL
        cmocka_unit_test_setup_teardown(test_opencl, block_open_opencl, block_close),
#endif
    };
    return cmocka_run_group_tests_name("graph_sequences", tests, NULL, NULL);
}

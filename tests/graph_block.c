/* SPDX-License-Identifier: Apache-2.0 */
/* zm_graph_block against a block written out in float64, with all passes and with none; where the
 * passes fire; and what it says to parts that don't fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "block_lab.h"

static const naive_block plain = {.layers = 1,
                                  .d = 16,
                                  .heads = 2,
                                  .kv_heads = 2,
                                  .head_dim = 8,
                                  .ff = 24,
                                  .eps = 1e-3f,
                                  .affine = true,
                                  .biases = true,
                                  .activation = ZM_ACTIVATION_GELU};

static void test_layer_norm(void **state)
{
    const zm_executable_info info = block_expect(*state, plain);
    assert_int_equal(info.fired[ZM_PASS_EPILOGUE], 2);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 0);
    assert_int_equal(info.fired[ZM_PASS_RESIDUAL_NORM], 0);
    /* norm, qkv, store, attention, out; norm, up, down; copy */
    assert_int_equal(info.operations, 9);
}

static void test_causal(void **state)
{
    naive_block b = plain;
    b.causal = true;
    b.layers = 2;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_EPILOGUE], 4);
}

/* What is written by a matmul leaves its statistics there; x comes from outside. */
static void test_deferred_layer_norm(void **state)
{
    naive_block b = plain;
    b.affine = false;
    b.column_sums = true;
    b.layers = 2;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 4);
    assert_int_equal(info.fired[ZM_PASS_WRITER_STATISTIC], 3);
}

static void test_layer_norm_without_sums_stays(void **state)
{
    naive_block b = plain;
    b.affine = false;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 0);
}

static void test_rms_norm(void **state)
{
    naive_block b = plain;
    b.norm = NAIVE_RMS;
    b.causal = true;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 0);
    assert_int_equal(info.fired[ZM_PASS_EPILOGUE], 2);
}

/* Both products that read the norm take it over. */
static void test_value_apart(void **state)
{
    naive_block b = plain;
    b.norm = NAIVE_RMS;
    b.heads = 4;
    b.head_dim = 4;
    b.rotary = b.causal = b.value_apart = true;
    b.affine = false;
    b.layers = 2;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 4);
}

static void test_deferred_rms_norm(void **state)
{
    naive_block b = plain;
    b.norm = NAIVE_RMS;
    b.affine = false;
    b.biases = false;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 2);
    assert_int_equal(info.fired[ZM_PASS_WRITER_STATISTIC], 1);
    assert_int_equal(info.fired[ZM_PASS_EPILOGUE], 2);
    /* statistics, qkv, store, attention, out, up, down, copy */
    assert_int_equal(info.operations, 8);
}

static void test_crms_norm(void **state)
{
    naive_block b = plain;
    b.norm = NAIVE_CRMS;
    b.d = 15;
    block_expect(*state, b);
}

static void test_deferred_crms_norm(void **state)
{
    naive_block b = plain;
    b.norm = NAIVE_CRMS;
    b.d = 15;
    b.affine = false;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 2);
    assert_int_equal(info.fired[ZM_PASS_WRITER_STATISTIC], 1);
}

static void test_no_norm(void **state)
{
    naive_block b = plain;
    b.norm = NAIVE_NO_NORM;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.operations, 7);
}

/* As Llama: groups of queries, rotary positions, a gate, no biases. */
static void test_gated_with_groups_and_rotary(void **state)
{
    naive_block b = plain;
    b.norm = NAIVE_RMS;
    b.causal = b.rotary = b.gated = true;
    b.biases = false;
    b.heads = 4;
    b.activation = ZM_ACTIVATION_SILU;
    block_expect(*state, b);
}

/* What a fold of the norms makes of it, with a bias where there was none. */
static void test_gated_deferred(void **state)
{
    naive_block b = plain;
    b.gated = b.column_sums = true;
    b.affine = false;
    b.activation = ZM_ACTIVATION_SILU;
    b.ff = 20; /* the last panel is not full */
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 2);
}

static void test_parallel_with_one_norm(void **state)
{
    naive_block b = plain;
    b.parallel = b.one_norm = b.causal = true;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_EPILOGUE], 2);
    assert_int_equal(info.operations, 8);
}

static void test_parallel_with_two_norms(void **state)
{
    naive_block b = plain;
    b.parallel = true;
    b.norm = NAIVE_RMS;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_EPILOGUE], 2);
    assert_int_equal(info.operations, 9);
}

/* Norms without weights are one. */
static void test_parallel_deferred(void **state)
{
    naive_block b = plain;
    b.parallel = true;
    b.affine = false;
    b.norm = NAIVE_RMS;
    b.layers = 2;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 2);
    assert_int_equal(info.fired[ZM_PASS_WRITER_STATISTIC], 1);
}

static void test_cross_attention(void **state)
{
    naive_block b = plain;
    b.crosses = b.causal = true;
    b.source_d = 12;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_EPILOGUE], 3);
}

static void test_cross_attention_deferred(void **state)
{
    naive_block b = plain;
    b.crosses = true;
    b.norm = NAIVE_RMS;
    b.affine = false;
    b.kv_heads = 1;
    b.source_d = 16;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 3);
    assert_int_equal(info.fired[ZM_PASS_WRITER_STATISTIC], 2);
}

/* Residual and norm in one operation, where the sums are not in the products. */
static void test_residual_norms(void **state)
{
    fixture *f = *state;
    naive_block b = plain;
    b.layers = 2;
    block_expect(f, b);
    const zm_compile_params passes = {.off = {[ZM_PASS_EPILOGUE] = true}};
    float got[MAX_VALUES];
    const zm_executable_info info = block_run(f, &passes, got);
    block_compare(f, got);
    assert_int_equal(info.fired[ZM_PASS_RESIDUAL_NORM], 3);
    assert_int_equal(info.fired[ZM_PASS_EPILOGUE], 0);
}

/* ---- misuse ---- */

/* Starts anew with a block that is sound. */
static zm_tensor begin(fixture *f)
{
    zm_graph_destroy(&f->graph);
    f->count ? (void)0 : block_put(f);
    assert_int_equal(zm_graph_create(&f->log.log, &f->graph), ZM_OK);
    f->block.self.length = NAIVE_ROWS;
    f->log.errors = 0;
    return f->x;
}

static void expect_refusal(fixture *f, const zm_block *block, zm_tensor x, const char *words)
{
    zm_executable *exe = NULL;
    zm_graph_block(f->graph, block, x);
    assert_int_equal(zm_graph_status(f->graph), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe), ZM_ERROR_INVALID_ARGUMENT);
    assert_null(exe);
    assert_int_equal(f->log.errors, 1);
    if (!strstr(f->log.error, words))
        fail_msg("'%s' does not say '%s'", f->log.error, words);
}

#define REFUSE(words, change)            \
    do {                                 \
        zm_tensor x = begin(f);          \
        zm_block b = f->block;           \
        change;                          \
        expect_refusal(f, &b, x, words); \
    } while (0)

static void test_misuse(void **state)
{
    fixture *f = *state;
    const zm_tensor absent = {0};
    f->naive = plain;
    naive_fill(&f->naive);
    REFUSE("block: x", x = absent);
    REFUSE("block: x", x = zm_tensor_1d(x.buffer, ZM_F32, 16));
    REFUSE("block: nothing", b = (zm_block){0});
    REFUSE("self: out", b.self.out.weight = absent);
    REFUSE("self: in", b.self.in.weight = zm_tensor_rows(b.self.in.weight, 0, 40));
    REFUSE("self: in", b.self.in.weight.rank = 1);
    REFUSE("self: in", b.self.value.weight = zm_tensor_rows(b.self.in.weight, 0, 16));
    REFUSE("self: value", (b.self.in.weight = zm_tensor_rows(b.self.in.weight, 0, 32),
                           b.self.value.weight = zm_tensor_rows(b.self.in.weight, 0, 8)));
    REFUSE("self: in", b.self.heads = 4);
    REFUSE("self: out", b.self.out.weight.shape[1] = 8);
    REFUSE("self: the cache", b.self.cache.k = absent);
    REFUSE("self: the cache", b.self.cache = (zm_kv_cache){0});
    REFUSE("mlp: down", b.mlp.down.weight = absent);
    REFUSE("mlp: down", b.mlp.gated = true);
    REFUSE("mlp: up", (b.mlp.gated = true, b.mlp.up.weight.shape[0] = 23));
    REFUSE("mlp: up", b.mlp.up.weight.shape[1] = 15);
    REFUSE("parallel", (b.parallel = true, b.cross = b.self));
    REFUSE("norm", b.norm = (zm_block_norm)7);
    REFUSE("column sums", b.mlp.up.column_sums = b.self.out.bias);
    begin(f);
    expect_refusal(f, NULL, f->x, "block");
    begin(f);
    zm_graph_block_norm(f->graph, &f->block, NULL, f->x);
    assert_int_equal(zm_graph_status(f->graph), ZM_ERROR_INVALID_ARGUMENT);
    begin(f);
    zm_graph_linear(f->graph, NULL, NULL, ZM_ACTIVATION_NONE, f->x);
    assert_int_equal(zm_graph_status(f->graph), ZM_ERROR_INVALID_ARGUMENT);
    begin(f);
    zm_graph_cross_store(f->graph, NULL, &f->block.mlp.up, f->x);
    assert_int_equal(zm_graph_status(f->graph), ZM_ERROR_INVALID_ARGUMENT);
    begin(f);
    zm_graph_cross_store(f->graph, &f->block.self.cache, &f->block.mlp.down, f->x);
    assert_int_equal(zm_graph_status(f->graph), ZM_ERROR_INVALID_ARGUMENT);
    zm_graph_block(NULL, &f->block, f->x);
    zm_graph_block_norm(NULL, &f->block, &f->block.self.norm, f->x);
    zm_graph_linear(NULL, "y", &f->block.mlp.up, ZM_ACTIVATION_NONE, f->x);
    zm_graph_cross_store(NULL, &f->block.self.cache, &f->block.mlp.up, f->x);
}

/* What is wrong with sizes is said when the graph is compiled. */
static void test_misuse_of_sizes(void **state)
{
    fixture *f = *state;
    zm_executable *exe = NULL;
    f->naive = plain;
    naive_fill(&f->naive);
    for (int i = 0; i < 3; i++) {
        zm_tensor x = begin(f);
        zm_block b = f->block;
        if (i == 0)
            b.self.length = NAIVE_ROWS + 100;
        else if (i == 1)
            b.self.position = NAIVE_ROWS + 100;
        else
            b.eps = -1;
        zm_graph_block(f->graph, &b, x);
        assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe),
                         ZM_ERROR_INVALID_ARGUMENT);
        assert_int_equal(f->log.errors, 1);
    }
}

/* ---- OpenCL ---- */

#ifdef TEST_OPENCL
static void test_opencl(void **state)
{
    naive_block b = plain;
    b.norm = NAIVE_RMS;
    b.causal = b.rotary = b.gated = true;
    b.affine = false;
    b.heads = 4;
    b.layers = 2;
    b.activation = ZM_ACTIVATION_SILU;
    const zm_executable_info info = block_expect(*state, b);
    assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], 4);
    assert_int_equal(info.fired[ZM_PASS_WRITER_STATISTIC], 3);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, block_open_host, block_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_layer_norm),
        TEST(test_causal),
        TEST(test_deferred_layer_norm),
        TEST(test_layer_norm_without_sums_stays),
        TEST(test_rms_norm),
        TEST(test_deferred_rms_norm),
        TEST(test_value_apart),
        TEST(test_crms_norm),
        TEST(test_deferred_crms_norm),
        TEST(test_no_norm),
        TEST(test_gated_with_groups_and_rotary),
        TEST(test_gated_deferred),
        TEST(test_parallel_with_one_norm),
        TEST(test_parallel_with_two_norms),
        TEST(test_parallel_deferred),
        TEST(test_cross_attention),
        TEST(test_cross_attention_deferred),
        TEST(test_residual_norms),
        TEST(test_misuse),
        TEST(test_misuse_of_sizes),
#ifdef TEST_OPENCL
        cmocka_unit_test_setup_teardown(test_opencl, block_open_opencl, block_close),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What graphs do with their main branch, and tables of tensors that say something else. */
#include <zeromean/session.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model_private.h"
#include "model_files.h"
#include "scratch.h"
#include "support/folder.h"

enum { ROWS = 3, D = 8 };

static scratch_log test_log;

/* ---- graphs ---- */

typedef struct lab {
    zm_graph *graph;
    zm_tensor x; /* shown as "main" */
    char uses[256];
} lab;

static zm_tensor inner(lab *l)
{
    const zm_size shape[] = {ROWS, D};
    return zm_graph_tensor(l->graph, NULL, ZM_F32, 2, shape);
}

static zm_tensor outer(lab *l, const char *name, uint32_t rank)
{
    const zm_size shape[] = {D, D};
    return zm_graph_extern(l->graph, name, ZM_F32, rank, shape);
}

static lab start(void)
{
    lab l = {0};
    assert_int_equal(zm_graph_create(&test_log.log, &l.graph), ZM_OK);
    const zm_size shape[] = {ROWS, D};
    l.x = zm_graph_extern(l.graph, "x", ZM_F32, 2, shape);
    zm_graph_observe(l.graph, "main", 0, l.x);
    return l;
}

static zm_tensor add(lab *l, zm_tensor x, zm_tensor y)
{
    const zm_add_params params = {.x = x, .y = y, .dst = inner(l)};
    zm_graph_add(l->graph, &params);
    return params.dst;
}

static zm_tensor norm(lab *l, zm_tensor x)
{
    const zm_norm_params params = {
        .x = x, .weight = outer(l, "gamma", 1), .bias = outer(l, "beta", 1), .dst = inner(l)};
    zm_graph_layer_norm(l->graph, &params);
    return params.dst;
}

static zm_tensor matmul(lab *l, zm_tensor x, const char *name, zm_activation activation)
{
    const zm_matmul_params params = {
        .x = x, .weight = outer(l, name, 2), .dst = inner(l), .activation = activation};
    zm_graph_matmul(l->graph, &params);
    return params.dst;
}

static void activate(lab *l, zm_tensor x, zm_tensor dst)
{
    const zm_activate_params params = {.x = x, .dst = dst, .activation = ZM_ACTIVATION_RELU};
    zm_graph_activate(l->graph, &params);
}

static zm_status note(void *user, const zm_branch_use *use)
{
    static const char *const parts[] = {"norm", "reader", "writer"};
    lab *l = user;
    size_t used = strlen(l->uses);
    snprintf(l->uses + used, sizeof(l->uses) - used, "%s %s %s; ", parts[use->part],
             use->weight ? use->weight : "-", use->bias ? use->bias : "-");
    return use->weight && strcmp(use->weight, "stop") == 0 ? ZM_ERROR_CANCELLED : ZM_OK;
}

/* Its uses, or how it was refused. */
static const char *finish(lab *l, zm_status expected)
{
    test_log.error[0] = '\0';
    assert_int_equal(zm_graph_status(l->graph), ZM_OK);
    assert_int_equal(zm_graph_trace_branch(l->graph, "main", note, l), expected);
    zm_graph_destroy(&l->graph);
    return expected == ZM_OK ? l->uses : test_log.error;
}

static void test_uses(void **state)
{
    (void)state;
    lab l = start();
    zm_tensor n = norm(&l, l.x);
    zm_tensor x = add(&l, matmul(&l, n, "both", 0), l.x); /* read and written by one */
    zm_tensor hidden = matmul(&l, n, "up", ZM_ACTIVATION_GELU);
    activate(&l, hidden, hidden);
    x = add(&l, x, matmul(&l, hidden, "down", 0));
    const zm_add_params centre = {.x = x, .dst = inner(&l)};
    zm_graph_recentre(l.graph, &centre);
    add(&l, centre.dst, matmul(&l, hidden, "last", 0));
    assert_string_equal(finish(&l, ZM_OK), "norm gamma beta; reader both -; writer both -; "
                                           "reader up -; writer down -; writer last -; ");
}

static void test_refused_graphs(void **state)
{
    (void)state;
    lab l = start();
    activate(&l, l.x, inner(&l));
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "without a norm"));

    l = start();
    matmul(&l, l.x, "reader", 0);
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "without a norm"));

    l = start();
    add(&l, l.x, matmul(&l, norm(&l, l.x), "w", ZM_ACTIVATION_RELU));
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "more than a product"));

    l = start();
    zm_tensor product = matmul(&l, norm(&l, l.x), "w", 0);
    activate(&l, product, product); /* in its place */
    add(&l, l.x, product);
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "no matmul has written"));

    l = start();
    add(&l, l.x, norm(&l, l.x));
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "no matmul has written"));

    l = start();
    add(&l, l.x, l.x);
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "to itself"));

    l = start();
    activate(&l, matmul(&l, norm(&l, l.x), "w", 0), l.x);
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "writes over the main branch"));

    /* Post-LN: the norm's output is the branch from there on. */
    l = start();
    zm_tensor sum = add(&l, l.x, matmul(&l, norm(&l, l.x), "w", 0));
    const zm_norm_params behind = {.x = sum, .dst = sum};
    zm_graph_layer_norm(l.graph, &behind);
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "writes over the main branch"));

    l = start();
    const zm_norm_params fused = {
        .x = matmul(&l, norm(&l, l.x), "w", 0), .residual = l.x, .dst = inner(&l)};
    zm_graph_layer_norm(l.graph, &fused);
    assert_non_null(strstr(finish(&l, ZM_ERROR_UNSUPPORTED), "at once"));
}

static void test_arguments(void **state)
{
    (void)state;
    lab l = start();
    matmul(&l, norm(&l, l.x), "stop", 0);
    assert_int_equal(zm_graph_trace_branch(l.graph, "main", note, &l), ZM_ERROR_CANCELLED);
    assert_int_equal(zm_graph_trace_branch(l.graph, "other", note, &l), ZM_ERROR_NOT_FOUND);
    assert_int_equal(zm_graph_trace_branch(l.graph, NULL, note, &l), ZM_ERROR_INVALID_ARGUMENT);
    zm_graph_destroy(&l.graph);
}

/* ---- tables ---- */

/* Every role that a pattern could have by mistake, in each pattern of a main branch. */
static unsigned try_roles(zm_model *model, zm_tensor_pattern *patterns)
{
    unsigned tried = 0;
    for (size_t i = 0; i < model->pattern_count; i++) {
        zm_tensor_pattern *pattern = &patterns[i];
        const zm_tensor_role right = pattern->role;
        if (right < ZM_ROLE_NORM_WEIGHT || pattern->optional)
            continue;
        for (int role = ZM_ROLE_NONE; role < ZM_ROLE_COUNT; role++) {
            pattern->role = role;
            bool head = right == ZM_ROLE_READER_WEIGHT && role == ZM_ROLE_EMBEDDING;
            zm_status expected = role == (int)right || head ? ZM_OK : ZM_ERROR_UNSUPPORTED;
            if (zm_session_check_model(model, &test_log.log) != expected)
                fail_msg("%s as %d", pattern->name, role);
            tried += expected != ZM_OK;
        }
        pattern->role = right;
    }
    return tried;
}

/* Every reader that names another norm, or none where others name that one. Readers that name none,
 * as cross-attention's of the encoder, may name the norm that they read. */
static unsigned try_norms(zm_model *model, zm_tensor_pattern *patterns, const char *other)
{
    unsigned tried = 0;
    for (size_t i = 0; i < model->pattern_count; i++) {
        const char *right = patterns[i].norm;
        if (!right)
            continue;
        bool shared = false;
        for (size_t j = 0; j < model->pattern_count; j++)
            shared |= j != i && patterns[j].norm && strcmp(patterns[j].norm, right) == 0;
        const char *const wrong[] = {other, NULL};
        for (size_t j = 0; j < 2; j++) {
            patterns[i].norm = wrong[j];
            zm_status expected = wrong[j] || shared ? ZM_ERROR_UNSUPPORTED : ZM_OK;
            test_log.error[0] = '\0';
            if (zm_session_check_model(model, &test_log.log) != expected)
                fail_msg("%s of %s", patterns[i].name, wrong[j] ? wrong[j] : "no norm");
            assert_true(expected == ZM_OK || strstr(test_log.error, " reads the norm "));
            tried += expected != ZM_OK;
        }
        patterns[i].norm = right;
    }
    return tried;
}

static void test_text_table(void **state)
{
    (void)state;
    zm_model *model = NULL;
    assert_int_equal(zm_model_open(TEXT_MODEL, &test_log.log, &model), ZM_OK);
    assert_int_equal(zm_session_check_model(model, &test_log.log), ZM_OK);
    assert_true(try_roles(model, model->own_patterns) > 100);
    assert_int_equal(try_norms(model, model->own_patterns, "transformer.ln_f"), 2);
    /* The table, which the last norm's matmul reads, and positions, which nothing adds. */
    zm_tensor_pattern *table = model->own_patterns, *positions = table + 1;
    table->role = ZM_ROLE_TABLE;
    assert_int_equal(zm_session_check_model(model, &test_log.log), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(test_log.error, "wte.weight reads a norm of the main branch"));
    table->role = ZM_ROLE_EMBEDDING;
    positions->role = ZM_ROLE_WRITER_WEIGHT;
    assert_int_equal(zm_session_check_model(model, &test_log.log), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(test_log.error, "wpe.weight has no part in a main branch"));
    zm_model_close(&model);
    assert_int_equal(zm_session_check_model(NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
}

static void test_whisper_table(void **state)
{
    (void)state;
    zm_model *model = NULL;
    char *path = test_make_whisper(&(test_whisper){.seed = 3});
    assert_int_equal(zm_model_open(path, &test_log.log, &model), ZM_OK);
    size_t bytes = model->pattern_count * sizeof(*model->patterns);
    zm_tensor_pattern *patterns = malloc(bytes);
    memcpy(patterns, model->patterns, bytes);
    model->patterns = patterns;
    assert_int_equal(zm_session_check_model(model, &test_log.log), ZM_OK);
    assert_true(try_roles(model, patterns) > 300);
    assert_int_equal(try_norms(model, patterns, "model.encoder.layer_norm"), 9 + 6);
    zm_model_close(&model);
    free(patterns);
    test_folder_remove(path);
}

/* ---- models of images, which vision_models.py makes ---- */

/* Gains that are left out, or those of another writer. */
static unsigned try_gains(zm_model *model, zm_tensor_pattern *patterns)
{
    const char *gains[] = {NULL, NULL, NULL};
    unsigned tried = 0, found = 0;
    for (size_t i = 0; i < model->pattern_count; i++)
        if (patterns[i].role == ZM_ROLE_WRITER_GAIN && found < 2)
            gains[++found] = patterns[i].name;
    for (size_t i = 0; i < model->pattern_count; i++) {
        zm_tensor_pattern *pattern = &patterns[i];
        const char *right = pattern->gain;
        for (size_t j = 0; j < 3 && right; j++) {
            pattern->gain = gains[j];
            zm_status expected = gains[j] == right ? ZM_OK : ZM_ERROR_UNSUPPORTED;
            if (zm_session_check_model(model, &test_log.log) != expected)
                return 0;
            tried += expected != ZM_OK;
        }
        pattern->gain = right;
    }
    return tried;
}

/* How many tables were wrong, and were refused. */
static int try_model(const char *path)
{
    zm_model *model = NULL;
    if (zm_model_open(path, &test_log.log, &model) != ZM_OK ||
        zm_session_check_model(model, &test_log.log) != ZM_OK)
        return 1;
    unsigned roles = try_roles(model, model->own_patterns);
    printf("%u %u\n", roles, try_gains(model, model->own_patterns));
    zm_model_close(&model);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        scratch_log_init(&test_log);
        return try_model(argv[1]);
    }
    scratch_log_init(&test_log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uses),          cmocka_unit_test(test_refused_graphs),
        cmocka_unit_test(test_arguments),     cmocka_unit_test(test_text_table),
        cmocka_unit_test(test_whisper_table),
    };
    return cmocka_run_group_tests_name("structure", tests, NULL, NULL);
}

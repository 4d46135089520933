/* SPDX-License-Identifier: Apache-2.0 */
/* The networks of clbench: what their shapes say, that the forms of one compute the same, and that
 * it is noticed where one doesn't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_basis.h"
#include "net_measure.h"
#include "net_profile.h"
#include "net_run.h"
#include "scratch.h"
#include "support/random.h"

#define MAX_COUNT (8 * 64)

/* ---- shapes ---- */

/* What it prints is what it reads. */
static void test_presets(void **state)
{
    char text[SHAPE_TEXT], again[SHAPE_TEXT];
    shape_reason reason;
    const net *preset;
    net n;
    (void)state;
    for (size_t i = 0; (preset = net_preset(i)) != NULL; i++) {
        for (int named = 0; named < 2; named++) {
            n = *preset;
            n.name = named ? n.name : "";
            net_print(&n, text, sizeof(text));
            assert_int_equal(net_read(text, &n, &reason), ZM_OK);
            assert_string_equal(n.name, named ? preset->name : "");
            assert_true(net_flops(&n) == net_flops(preset));
            assert_true(n.rotary == preset->rotary && n.biases == preset->biases);
            net_print(&n, again, sizeof(again));
            assert_string_equal(text, again);
        }
    }
}

static void test_shapes(void **state)
{
    shape_reason reason;
    net n;
    (void)state;
    assert_int_equal(net_read("gpt2-small,tokens=64,layers=3", &n, &reason), ZM_OK);
    assert_int_equal(n.tokens, 64);
    assert_int_equal(n.layers, 3);
    assert_int_equal(n.d, 768);
    assert_int_equal(net_read("d=256,gated", &n, &reason), ZM_OK);
    assert_int_equal(n.heads, 4);
    assert_int_equal(n.kv_heads, 4);
    assert_int_equal(n.ff, 1024);
    assert_int_equal(n.activation, ZM_ACTIVATION_SILU);
    assert_int_equal(net_read("gpt2-small,batch=3", &n, &reason), ZM_OK);
    assert_int_equal(net_rows(&n), 3 * 128);
    static const char *const bad[] = {"gpt5",      "gpt2-small,x=1",      "gpt2-small,batch=131073",
                                      "d=0",       "d=10,heads=3",        "heads=4,kv=3",
                                      "d=64,d=64", "d=30,heads=2,rotary", "gpt2-small,gpt3-small"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(net_read(bad[i], &n, &reason), ZM_ERROR_INVALID_ARGUMENT);
        assert_true(reason.text[0]);
    }
}

static void test_work(void **state)
{
    const net n = {
        .name = "", .d = 8, .heads = 2, .kv_heads = 1, .ff = 5, .tokens = 3, .layers = 2};
    net causal = n, gated = n, decode = n;
    (void)state;
    /* q, out 8 x 8; k, v 4 x 8; up, down 5 x 8 */
    assert_true(net_layer_weights(&n) == 64 + 64 + 32 + 32 + 40 + 40);
    assert_true(net_flops(&n) == 2 * (2 * 3 * 272 + 4 * 3 * 3 * 8));
    causal.causal = true;
    assert_true(net_flops(&causal) == 2 * (2 * 3 * 272 + 4 * 3 * 2 * 8));
    gated.gated = true;
    assert_true(net_layer_weights(&gated) == 272 + 40);
    decode.tokens = 1;
    decode.past = 9;
    decode.causal = true;
    assert_true(net_flops(&decode) == 2 * (2 * 272 + 4 * 10 * 8));
    decode.batch = 7;
    assert_true(net_flops(&decode) == 7 * 2 * (2 * 272 + 4 * 10 * 8));
    assert_int_equal(net_rows(&decode), 7);
}

static void test_forms(void **state)
{
    const net_form *forms[NET_MAX_FORMS];
    (void)state;
    assert_int_equal(net_forms_read(NULL, forms), NET_MAX_FORMS);
    assert_int_equal(net_forms_read("rms-deferred,ln", forms), 2);
    assert_string_equal(forms[0]->name, "rms-deferred");
    assert_string_equal(forms[1]->name, "ln");
    assert_int_equal(net_forms_read("ln,ln", forms), 0);
    assert_int_equal(net_forms_read("ln,l", forms), 0);
    assert_int_equal(net_forms_read("", forms), 0);
}

/* ---- coordinates ---- */

static void test_rows_there_and_back(void **state)
{
    double row[9], plain[9];
    uint64_t random = 3;
    (void)state;
    for (int i = 0; i < 9; i++)
        plain[i] = test_random_between(&random, 0, 3);
    for (int basis = 0; basis < NET_BASIS_COUNT; basis++) {
        double power = 0, wanted = 0, mean = 0;
        memcpy(row, plain, sizeof(row));
        net_row_to((net_basis)basis, row, 9);
        for (int i = 0; i < 9; i++)
            power += row[i] * row[i];
        if (basis >= NET_COMPRESSED)
            assert_true(row[8] == 0);
        net_row_from((net_basis)basis, row, 9);
        for (int i = 0; i < 9; i++)
            mean += plain[i] / 9;
        for (int i = 0; i < 9; i++) {
            assert_true(fabs(row[i] - (plain[i] - mean)) < 1e-12);
            wanted += row[i] * row[i];
        }
        if (basis == NET_TURNED) /* the sum of squares is all that its norm needs */
            assert_true(fabs(power - wanted) < 1e-12);
    }
}

/* ---- the same function ---- */

typedef struct fixture {
    scratch_log log;
    zm_device *device;
    zm_stream *stream;
} fixture;

static int open_host(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = "host", .log = &f->log.log, .host_threads = 1};
    *state = f;
    return zm_device_open(&params, &f->device) || zm_stream_create(f->device, NULL, &f->stream);
}

static int close_host(void **state)
{
    fixture *f = *state;
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
    free(f);
    return 0;
}

static zm_executable_info output(fixture *f, net_weights *w, const net_form *form, double *out)
{
    net_run run;
    assert_int_equal(net_run_create(w, form, &f->log.log, &run), ZM_OK);
    assert_int_equal(net_run_output(&run, w->n->tokens, out), ZM_OK);
    const zm_executable_info info = zm_executable_get_info(run.exe);
    net_run_destroy(&run);
    return info;
}

/* The form but for one thing. */
static double error_of(fixture *f, net_weights *w, net_form form, const double *wanted)
{
    double got[MAX_COUNT];
    output(f, w, &form, got);
    return net_difference(got, wanted, (uint64_t)w->n->tokens * w->n->d);
}

static void compare_forms(fixture *f, const char *text)
{
    double wanted[MAX_COUNT], got[MAX_COUNT];
    const net_form *form;
    shape_reason reason;
    net_weights w;
    net n;
    assert_int_equal(net_read(text, &n, &reason), ZM_OK);
    assert_true(net_rows(&n) * n.d <= MAX_COUNT);
    assert_int_equal(net_weights_create(f->device, f->stream, &n, 0, 0, &w), ZM_OK);
    output(f, &w, net_form_at(0), wanted);
    for (size_t i = 0; (form = net_form_at(i)) != NULL; i++) {
        const zm_executable_info info = output(f, &w, form, got);
        double error = net_difference(got, wanted, (uint64_t)net_rows(&n) * n.d);
        assert_true(form->norm == ZM_BLOCK_NO_NORM ? error > 1e-2 : error < 1e-5);
        double most = net_state_bytes(&n, 4, 2) - net_state_bytes(&n, 4, 1);
        assert_true((double)info.memory_bytes <= 2 * most); /* which is rounded up to lines */
        bool deferred = strstr(form->name, "-deferred");
        assert_int_equal(info.fired[ZM_PASS_DEFERRED_NORM], deferred ? 2 * n.layers : 0);
        assert_int_equal(info.fired[ZM_PASS_WRITER_STATISTIC], deferred ? 2 * n.layers - 1 : 0);
        bool fused = strstr(form->name, "-fused");
        assert_int_equal(info.fired[ZM_PASS_EPILOGUE], fused ? 0 : 2 * n.layers);
        assert_int_equal(info.fired[ZM_PASS_RESIDUAL_NORM], fused ? 2 * n.layers - 1 : 0);
    }
    net_weights_destroy(&w);
}

static void test_forms_compute_the_same(void **state)
{
    compare_forms(*state, "d=16,heads=2,ff=24,tokens=5,layers=2,causal");
    compare_forms(*state, "d=15,heads=3,ff=20,tokens=4,layers=1");
    compare_forms(*state, "d=32,heads=4,kv=2,ff=24,tokens=5,layers=2,causal,gated,rotary,bare");
    compare_forms(*state, "d=16,heads=2,ff=24,tokens=1,past=6,layers=3,causal");
    compare_forms(*state, "d=16,heads=4,kv=2,ff=24,tokens=3,past=2,layers=2,batch=3,causal,rotary");
}

/* The first sequence of a batch is what it is alone, and the second one isn't. */
static void test_batch(void **state)
{
    static const char *const texts[] = {"d=16,heads=2,ff=24,tokens=3,past=4,layers=2,causal,rotary",
                                        "d=16,heads=2,ff=24,tokens=3,past=4,layers=2,batch=2,causal"
                                        ",rotary"};
    fixture *f = *state;
    double out[2][MAX_COUNT];
    shape_reason reason;
    for (int i = 0; i < 2; i++) {
        net_weights w;
        net n;
        assert_int_equal(net_read(texts[i], &n, &reason), ZM_OK);
        assert_int_equal(net_weights_create(f->device, f->stream, &n, 0, 0, &w), ZM_OK);
        output(f, &w, net_form_at(0), out[i]);
        int32_t places[6] = {0};
        uint64_t size = w.positions.shape[0] * sizeof(int32_t);
        assert_true(size <= sizeof(places));
        assert_int_equal(zm_buffer_read(f->stream, w.positions.buffer, 0, places, size), ZM_OK);
        for (uint32_t r = 0; r < w.positions.shape[0]; r++)
            assert_int_equal(places[r], 4 + r % 3);
        net_weights_destroy(&w);
    }
    assert_memory_equal(out[0], out[1], 3 * 16 * sizeof(double));
    assert_true(net_difference(out[1] + 3 * 16, out[0], 3 * 16) > 0.1);
}

/* What would be a conversion that forgot something. */
static void test_others_are_noticed(void **state)
{
    fixture *f = *state;
    double wanted[MAX_COUNT];
    const net n = {.name = "",
                   .d = 16,
                   .heads = 2,
                   .kv_heads = 2,
                   .ff = 24,
                   .tokens = 5,
                   .layers = 1,
                   .activation = ZM_ACTIVATION_GELU,
                   .biases = true};
    const net_form ln = *net_form_at(0), *forms[NET_MAX_FORMS];
    net_form other = ln;
    net_weights w;
    assert_int_equal(net_weights_create(f->device, f->stream, &n, 0, 0, &w), ZM_OK);
    output(f, &w, &ln, wanted);
    assert_true(error_of(f, &w, ln, wanted) == 0);
    other.norm = ZM_BLOCK_RMS_NORM; /* nothing was recentred */
    assert_true(error_of(f, &w, other, wanted) > 1e-2);
    other = ln;
    other.folded = true; /* twice, in a way: the norm's weight is in its readers only */
    other.basis = NET_COMPRESSED;
    assert_true(error_of(f, &w, other, wanted) > 1e-2);
    assert_int_equal(net_forms_read("crms", forms), 1);
    other = *forms[0];
    other.norm = ZM_BLOCK_RMS_NORM; /* without the square of the sum */
    assert_true(error_of(f, &w, other, wanted) > 1e-3);
    wanted[3] = NAN;
    assert_true(isnan(error_of(f, &w, ln, wanted)));
    net_weights_destroy(&w);
}

static void test_bytes(void **state)
{
    const net n = {.name = "", .d = 16, .heads = 2, .kv_heads = 2, .ff = 24, .layers = 3};
    const net_form *forms[NET_MAX_FORMS];
    (void)state;
    double one = 4 * 3 * net_layer_weights(&n), out = 4.0 * 3 * (16 * 16 + 24 * 16);
    assert_int_equal(net_forms_read("ln,ln-fused", forms), 2);
    assert_true(net_weights_bytes(&n, ZM_F32, forms, 2) == one);
    assert_int_equal(net_forms_read("ln,rms", forms), 2);
    assert_true(net_weights_bytes(&n, ZM_F32, forms, 2) == one + out);
    assert_int_equal(net_forms_read("ln-deferred,crms", forms), 2);
    assert_true(net_weights_bytes(&n, ZM_F16, forms, 2) == one);
    net many = {.d = 16, .heads = 2, .kv_heads = 1, .ff = 24, .layers = 3, .tokens = 5, .past = 2};
    /* caches of 7 x 8 for keys and for values in each layer; 2 outputs of float64 */
    double rest = 4 * 3 * 2 * 7 * 8 + 8 * 2 * 5 * 16, each = net_state_bytes(&many, 4, 1) - rest;
    assert_true(net_state_bytes(&many, 4, 3) > net_state_bytes(&many, 4, 1));
    assert_true(net_state_bytes(&many, 2, 1) == (each + 4 * 3 * 2 * 7 * 8) / 2 + 8 * 2 * 5 * 16);
    many.batch = 6;
    assert_true(net_state_bytes(&many, 4, 1) == 6 * (each + rest));
}

/* ---- the time of each kernel ---- */

static void put(zm_record *r, const char *op, const char *kernel, uint64_t ns)
{
    *r = (zm_record){.candidate = "cpu", .start_ns = 1000, .end_ns = 1000 + ns};
    snprintf(r->op, sizeof(r->op), "%s", op);
    snprintf(r->kernel, sizeof(r->kernel), "%s", kernel);
}

static void check_kernel(const row_profile *p, size_t i, const char *op, const char *kernel,
                         double launches, double ns, double percent)
{
    assert_string_equal(p->kernels[i].op, op);
    assert_string_equal(p->kernels[i].kernel, kernel);
    assert_true(p->kernels[i].launches == launches);
    assert_true(fabs(p->kernels[i].seconds - ns * 1e-9) < 1e-15);
    assert_true(fabs(row_kernel_percent(p, i) - percent) < 1e-9);
}

static void test_profile(void **state)
{
    zm_record launches[6];
    row_profile p;
    (void)state;
    for (size_t i = 0; i < 6; i += 3) { /* two runs */
        put(&launches[i], "add", "rows", i ? 120 : 80);
        put(&launches[i + 1], "matmul", "rows", 200 + 20 * i);
        put(&launches[i + 2], "matmul", "tiles", 670 - 20 * i);
    }
    strcpy(launches[3].candidate, "gpu"); /* which has a kernel of that name, too */
    net_profile_sum(&(zm_records){launches, 6, 0}, 2, &p);
    assert_int_equal(p.count, 4);
    assert_int_equal(p.runs, 2);
    check_kernel(&p, 0, "matmul", "tiles", 1, 640, 100 * 640 / 970.0);
    check_kernel(&p, 1, "matmul", "rows", 1, 230, 100 * 230 / 970.0);
    check_kernel(&p, 2, "add", "rows", .5, 60, 100 * 60 / 970.0);
    check_kernel(&p, 3, "add", "rows", .5, 40, 100 * 40 / 970.0);
    assert_string_equal(p.kernels[2].candidate, "gpu");
    assert_string_equal(p.kernels[3].candidate, "cpu");
}

/* Nothing is left out where there are more than have room. */
static void test_profile_of_many(void **state)
{
    zm_record launches[ROW_MOST_KERNELS + 2];
    char name[16];
    row_profile p;
    (void)state;
    for (size_t i = 0; i < ROW_MOST_KERNELS + 2; i++) {
        snprintf(name, sizeof(name), "k%zu", i);
        put(&launches[i], "op", name, 10);
    }
    net_profile_sum(&(zm_records){launches, ROW_MOST_KERNELS + 2, 0}, 1, &p);
    assert_int_equal(p.count, ROW_MOST_KERNELS);
    check_kernel(&p, 0, "others", "", 3, 30, 100 * 3.0 / (ROW_MOST_KERNELS + 2));
    assert_true(fabs(p.seconds - (ROW_MOST_KERNELS + 2) * 1e-8) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_work),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_rows_there_and_back),
        cmocka_unit_test_setup_teardown(test_forms_compute_the_same, open_host, close_host),
        cmocka_unit_test_setup_teardown(test_batch, open_host, close_host),
        cmocka_unit_test_setup_teardown(test_others_are_noticed, open_host, close_host),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_profile),
        cmocka_unit_test(test_profile_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

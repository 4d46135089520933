/* SPDX-License-Identifier: Apache-2.0 */
/* What clbench makes of timings: statistics, shapes, results, comparisons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/page.h"
#include "match.h"
#include "print.h"
#include "result.h"
#include "scratch.h"
#include "shape.h"
#include "stats.h"

#define SEED 7u

/* ---- statistics ---- */

static void close_to(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12 * fabs(expected)))
        fail_msg("%.17g, not %.17g", got, expected);
}

static void medians(void **state)
{
    double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2}, one[] = {7};
    (void)state;
    close_to(stats_summarize(odd, 3).median, 3);
    close_to(stats_summarize(even, 4).median, 2.5);
    stats_summary s = stats_summarize(one, 1);
    close_to(s.median, 7);
    close_to(s.low, 7);
    close_to(s.high, 7);
    assert_true(s.spread == 0);
    s = stats_summarize(NULL, 0);
    assert_int_equal(s.count, 0);
    assert_true(isnan(s.median) && isnan(s.low) && isnan(s.high));
}

static void quartiles_make_the_spread(void **state)
{
    double values[] = {9, 8, 10, 12, 11};
    (void)state;
    stats_summary s = stats_summarize(values, 5);
    close_to(s.spread, 0.2); /* (11 - 9) / 10 */
    close_to(s.least, 8);
}

/* The ranks of tables of the sign test (Conover 1999): under 6 values there is no such interval. */
static void ranks_of_the_interval(void **state)
{
    static const size_t expected[][2] = {{1, 1},  {5, 1},  {6, 1},  {8, 1},   {9, 2},  {11, 2},
                                         {12, 3}, {20, 6}, {25, 8}, {50, 18}, {70, 27}};
    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(stats_rank(expected[i][0]), expected[i][1]);
    assert_int_equal(stats_rank(2000), 956); /* no underflow */
}

static double uniform(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / 9007199254740992.0;
}

/* Of skewed values, as timings are. */
static void the_interval_holds_the_median_as_often_as_it_says(void **state)
{
    uint64_t random = SEED;
    (void)state;
    print_message("seed %u\n", SEED);
    for (size_t count = 6; count <= 30; count += 8) {
        int held = 0;
        for (int repeat = 0; repeat < 4000; repeat++) {
            double values[30];
            for (size_t i = 0; i < count; i++)
                values[i] = -log(1 - uniform(&random)); /* exponential: its median is ln 2 */
            stats_summary s = stats_summarize(values, count);
            held += s.low <= log(2) && log(2) <= s.high;
        }
        assert_true(held > 0.94 * 4000);
    }
}

static void ratios_are_of_pairs(void **state)
{
    double x[] = {2, 40, 600}, y[] = {1, 20, 200}, scratch[3];
    (void)state;
    stats_summary s = stats_ratio(x, y, 3, scratch);
    close_to(s.median, 2); /* 2, 2, 3: a slow moment hits both */
    close_to(s.high, 3);
}

static stats_summary summary(double low, double median, double high)
{
    return (stats_summary){.count = 9, .median = median, .low = low, .high = high};
}

static void changes_are_beyond_the_noise(void **state)
{
    const stats_summary a = summary(0.98, 1, 1.02);
    static const struct {
        double low, median, high, threshold;
        stats_change change;
    } cases[] = {
        {0.98, 1, 1.02, 0.05, STATS_SAME},      {1.01, 1.10, 1.12, 0.05, STATS_SAME}, /* overlap */
        {1.03, 1.04, 1.05, 0.05, STATS_SAME},   {1.03, 1.04, 1.05, 0.03, STATS_SLOWER},
        {1.05, 1.10, 1.12, 0.05, STATS_SLOWER}, {0.80, 0.90, 0.95, 0.05, STATS_FASTER},
        {0.80, 0.90, 0.99, 0.05, STATS_SAME},   {0.95, 0.96, 0.97, 0.05, STATS_SAME},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        stats_summary b = summary(cases[i].low, cases[i].median, cases[i].high);
        assert_int_equal(stats_compare(&a, &b, cases[i].threshold), cases[i].change);
        /* the other way round it is the opposite */
        static const stats_change opposite[] = {STATS_SAME, STATS_SLOWER, STATS_FASTER};
        assert_int_equal(stats_compare(&b, &a, cases[i].threshold), opposite[cases[i].change]);
    }
}

/* ---- shapes ---- */

static void shapes_make_cases(void **state)
{
    op_case c;
    shape_reason reason;
    (void)state;
    assert_int_equal(shape_to_case("matmul", "m=3,n=5,k=7,bias", 0, ZM_F16, &c, &reason), ZM_OK);
    assert_int_equal(op_rows(&c.params.matmul.x), 3);
    assert_int_equal(op_cols(&c.params.matmul.x), 7);
    assert_int_equal(op_rows(&c.params.matmul.weight), 5);
    assert_int_equal(c.params.matmul.weight.dtype, ZM_F16);
    assert_int_equal(op_cols(&c.params.matmul.bias), 5);
    assert_int_equal(c.params.matmul.residual.rank, 0);
    assert_int_equal(c.params.matmul.activation, ZM_ACTIVATION_NONE);
    assert_int_equal(shape_to_case("rms_norm", "rows=4,d=8", ZM_F16, 0, &c, &reason), ZM_OK);
    assert_int_equal(op_cols(&c.params.norm.x), 8);
    assert_int_equal(c.activation, ZM_F16);
}

static void wrong_shapes_are_refused(void **state)
{
    static const struct {
        const char *op, *text, *words;
    } cases[] = {
        {"matmul", "m=0", "'m=0' is no KEY=NUMBER"},
        {"matmul", "m=-3", "is no KEY=NUMBER"},
        {"matmul", "m=3x", "is no KEY=NUMBER"},
        {"matmul", "m=99999999999999999999", "is no KEY=NUMBER"},
        {"matmul", "m=16777217", "is no KEY=NUMBER"},
        {"matmul", "=3", "is no KEY=NUMBER"},
        {"matmul", "m=3,,k=3", "is no KEY=NUMBER"},
        {"matmul", "m=3,k=3,m=4", "'m' is there twice"},
        {"matmul", "m=3,rows=4", "matmul has no 'rows'; it has m, n, k"},
        {"attention", "rows=4,kv=2,causal", "don't fit together"},
        {"attention", "rows=4,heads=3,kv_heads=2", "don't fit together"},
        {"rope", "rows=4,head_dim=3", "don't fit together"},
    };
    op_case c;
    shape_reason reason;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(shape_to_case(cases[i].op, cases[i].text, 0, 0, &c, &reason),
                         ZM_ERROR_INVALID_ARGUMENT);
        if (!strstr(reason.text, cases[i].words))
            fail_msg("%s: '%s' is not in: %s", cases[i].text, cases[i].words, reason.text);
    }
    assert_int_equal(shape_to_case("no_such_op", "m=3", 0, 0, &c, &reason), ZM_ERROR_UNSUPPORTED);
}

/* Whoever adds an op gives it shapes, too. */
static void every_op_has_shapes_and_they_can_be_built(void **state)
{
    (void)state;
    for (size_t i = 0; i < op_description_count; i++) {
        const char *op = op_descriptions[i]->name;
        const char *const *texts;
        size_t count = shape_list(op, &texts);
        if (count == 0)
            fail_msg("%s has no shapes (bench/shape_matrix.c, bench/shape_rows.c)", op);
        for (size_t j = 0; j < count; j++) {
            op_case c;
            shape_reason reason;
            if (shape_to_case(op, texts[j], 0, 0, &c, &reason) != ZM_OK)
                fail_msg("%s %s: %s", op, texts[j], reason.text);
        }
    }
}

/* ---- results ---- */

static result_row row_of(const char *op, const char *text, const char *kernel, double seconds)
{
    result_row row = {.status = ROW_OK, .flops = 2e9, .bytes = 4e6};
    snprintf(row.op, sizeof(row.op), "%s", op);
    snprintf(row.shape, sizeof(row.shape), "%s", text);
    snprintf(row.kernel, sizeof(row.kernel), "%s", kernel);
    strcpy(row.type, "f32");
    strcpy(row.weight_type, "f16");
    row.time.seconds = summary(seconds * 0.99, seconds, seconds * 1.01);
    row.time.batch = 3;
    return row;
}

static void add_row(result *r, result_row row)
{
    result_row *place = result_add(r);
    assert_non_null(place);
    *place = row;
}

static const zm_device_info device = {.spec = "opencl:0", .name = "A <device> & \"more\""};

static void results_come_back_from_json(void **state)
{
    result r, again;
    scratch_log log;
    const char *path = scratch_path(state, "r.json");
    scratch_log_init(&log);
    result_init(&r, "op", &device);
    r.peak = (result_peak){.fma_count = 2,
                           .best_fma = 1,
                           .stream_count = 1,
                           .launch_seconds = 1e-6,
                           .wait_seconds = NAN};
    r.peak.fma[0] = (peak_fma){16, 8, 100, 0.1};
    r.peak.fma[1] = (peak_fma){16, 12, 200, 0.1};
    r.peak.streams[0] = (peak_stream){true, 65536, 33, 0.2};
    add_row(&r, row_of("matmul", "m=3", "cpu", 0.5));
    r.rows[0].ceiling = (row_ceiling){BOUND_FMA, 0.25, 8, 16, 50};
    r.rows[0].versus.there = true;
    r.rows[0].versus.ratio = summary(1.1, 1.2, 1.3);
    r.rows[0].versus.time = r.rows[0].time;
    add_row(&r, row_of("argmax", "n=3", "", 0));
    r.rows[1].status = ROW_UNSUPPORTED;
    strcpy(r.rows[1].reason, "because\xff");
    json_t *json = result_to_json(&r, NULL);
    assert_non_null(json);
    assert_int_equal(json_dump_file(json, path, 0), 0);
    json_decref(json);
    assert_int_equal(result_read(path, &log.log, &again), ZM_OK);
    assert_int_equal(again.row_count, 2);
    assert_string_equal(again.device_name, device.name);
    assert_int_equal(again.peak.best_fma, 1);
    close_to(again.peak.streams[0].gbps, 33);
    assert_true(isnan(again.peak.wait_seconds));
    close_to(again.rows[0].time.seconds.high, 0.505);
    assert_int_equal(again.rows[0].time.batch, 3);
    assert_int_equal(again.rows[0].ceiling.bound, BOUND_FMA);
    close_to(again.rows[0].ceiling.percent, 50);
    close_to(again.rows[0].versus.ratio.low, 1.1);
    close_to(row_gflops(&again.rows[0]), 4);
    assert_false(again.rows[1].versus.there);
    assert_int_equal(again.rows[1].status, ROW_UNSUPPORTED);
    assert_string_equal(again.rows[1].reason, "because\xef\xbf\xbd");
    assert_true(row_gflops(&again.rows[1]) == 0);
    result_finish(&r);
    result_finish(&again);
}

static void other_json_is_no_result(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"schema\": \"clbench.result/2\", \"rows\": []}",
        "{\"schema\": \"clbench.result/1\"}",
        "{\"schema\": \"clbench.result/1\", \"rows\": [3]}",
        "{\"schema\": \"clbench.result/1\", \"rows\": [{\"op\": \"a\", \"status\": \"fine\"}]}",
        "{\"schema\": \"clbench.result/1\", \"rows\": [{\"op\": \"a\", \"status\": \"ok\"}]}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        result r;
        scratch_log log;
        const char *path = scratch_path(state, "r.json");
        scratch_log_init(&log);
        scratch_write(path, texts[i], strlen(texts[i]));
        assert_int_equal(result_read(path, &log.log, &r), ZM_ERROR_BAD_FORMAT);
        assert_int_equal(log.errors, 1);
        assert_non_null(strstr(log.error, "r.json: "));
        result_finish(&r);
    }
}

static void rows_are_matched_and_judged(void **state)
{
    static const match_kind expected[] = {MATCH_SAME,   MATCH_SLOWER, MATCH_FASTER, MATCH_BROKEN,
                                          MATCH_MENDED, MATCH_GONE,   MATCH_SLOWER, MATCH_NEW};
    result a, b;
    match matches[16];
    (void)state;
    result_init(&a, "op", &device);
    result_init(&b, "op", &device);
    const char *const shapes[] = {"same", "slow", "fast", "broken", "mended", "gone", "kernel"};
    for (size_t i = 0; i < 7; i++)
        add_row(&a, row_of("matmul", shapes[i], "cpu", 1));
    a.rows[4].status = ROW_FAILED;
    add_row(&b, row_of("matmul", "kernel", "gpu", 2)); /* another one was chosen */
    add_row(&b, row_of("matmul", "mended", "cpu", 1));
    add_row(&b, row_of("matmul", "new", "cpu", 1));
    add_row(&b, row_of("matmul", "fast", "cpu", 0.5));
    add_row(&b, row_of("matmul", "slow", "cpu", 1.1));
    add_row(&b, row_of("matmul", "same", "cpu", 1.03));
    add_row(&b, row_of("matmul", "broken", "cpu", 1));
    b.rows[6].status = ROW_UNSUPPORTED;
    size_t count = match_rows(&a, &b, 0.05, matches);
    assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(matches[i].kind, expected[i]);
    close_to(matches[1].ratio, 1.1);
    assert_null(matches[7].a);
    /* with two kernels of one shape, each is compared with itself */
    add_row(&a, row_of("matmul", "kernel", "gpu", 4));
    count = match_rows(&a, &b, 0.05, matches);
    assert_int_equal(matches[6].kind, MATCH_GONE);
    assert_int_equal(matches[7].kind, MATCH_FASTER);
    result_finish(&a);
    result_finish(&b);
}

/* ---- output ---- */

static void durations_and_sizes_in_words(void **state)
{
    char out[PRINT_DURATION];
    (void)state;
    assert_string_equal(print_duration(1.5, out), "1.50 s");
    assert_string_equal(print_duration(0.0123, out), "12.3 ms");
    assert_string_equal(print_duration(0.9999, out), "1.00 s");
    assert_string_equal(print_duration(123.4e-6, out), "123 us");
    assert_string_equal(print_duration(5e-9, out), "5.00 ns");
    assert_string_equal(print_bytes(512, out), "512 B");
    assert_string_equal(print_bytes(16384, out), "16 KiB");
    assert_string_equal(print_bytes(1536, out), "1.5 KiB");
    assert_string_equal(print_bytes(5.0 * (1u << 30), out), "5 GiB");
}

static void text_of_others_is_escaped(void **state)
{
    page p = {0};
    (void)state;
    page_text(&p, "<b a=\"1\">x & 'y'</b>");
    page_format(&p, "<p>%d</p>", 3);
    assert_string_equal(p.text, "&lt;b a=&quot;1&quot;&gt;x &amp; &#39;y&#39;&lt;/b&gt;<p>3</p>");
    assert_false(p.failed);
    free(p.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians),
        cmocka_unit_test(quartiles_make_the_spread),
        cmocka_unit_test(ranks_of_the_interval),
        cmocka_unit_test(the_interval_holds_the_median_as_often_as_it_says),
        cmocka_unit_test(ratios_are_of_pairs),
        cmocka_unit_test(changes_are_beyond_the_noise),
        cmocka_unit_test(shapes_make_cases),
        cmocka_unit_test(wrong_shapes_are_refused),
        cmocka_unit_test(every_op_has_shapes_and_they_can_be_built),
        cmocka_unit_test_setup_teardown(results_come_back_from_json, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(other_json_is_no_result, scratch_setup, scratch_teardown),
        cmocka_unit_test(rows_are_matched_and_judged),
        cmocka_unit_test(durations_and_sizes_in_words),
        cmocka_unit_test(text_of_others_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

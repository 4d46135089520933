/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream keeps of its launches: whose they are and when they ran. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/graph.h>

#include "device/device.h"
#include "scratch.h"

#define ROWS 3
#define D 32
#define MOST 4 /* records */

typedef struct fixture {
    zm_device *device;
    zm_stream *stream;
    scratch_log log;
    zm_buffer *buffers[2];
    zm_tensor x, y;
} fixture;

static int open_device(void **state, const char *spec)
{
    fixture *f = calloc(1, sizeof(*f));
    *state = f;
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = spec, .log = &f->log.log, .host_threads = 1};
    const zm_stream_params recorded = {.records = MOST};
    const zm_buffer_params bytes = {.size = ROWS * D * sizeof(float)};
    if (zm_device_open(&params, &f->device) || zm_stream_create(f->device, &recorded, &f->stream))
        return 1;
    for (int i = 0; i < 2; i++)
        if (zm_buffer_create(f->device, &bytes, &f->buffers[i]) ||
            zm_buffer_fill(f->stream, f->buffers[i], 0, bytes.size, 0))
            return 1;
    f->x = zm_tensor_2d(f->buffers[0], ZM_F32, ROWS, D);
    f->y = zm_tensor_2d(f->buffers[1], ZM_F32, ROWS, D);
    return 0;
}

static int open_host(void **state)
{
    return open_device(state, "host");
}

#ifdef TEST_OPENCL
static int open_opencl(void **state)
{
    return open_device(state, "opencl");
}
#endif

static int close_device(void **state)
{
    fixture *f = *state;
    zm_stream_destroy(&f->stream);
    for (int i = 0; i < 2; i++)
        zm_buffer_destroy(&f->buffers[i]);
    zm_device_close(&f->device);
    free(f);
    return 0;
}

static void add(const fixture *f)
{
    const zm_add_params params = {.x = f->x, .y = f->y, .dst = f->y};
    assert_int_equal(zm_add(f->stream, &params), ZM_OK);
}

static void norm(const fixture *f)
{
    const zm_norm_params params = {.x = f->x, .dst = f->y, .eps = 1e-5f};
    assert_int_equal(zm_rms_norm(f->stream, &params), ZM_OK);
}

/* In order, one after the other; since is where the last list ended. */
static uint64_t assert_ordered(const zm_records *records, uint64_t since)
{
    for (size_t i = 0; i < records->count; i++) {
        const zm_record *r = &records->records[i];
        assert_true(r->queued_ns > 0 && r->queued_ns <= r->start_ns);
        assert_true(since <= r->start_ns && r->start_ns < r->end_ns);
        since = r->end_ns;
    }
    return since;
}

static void assert_is(const zm_record *record, const char *op, const char *node)
{
    assert_string_equal(record->op, op);
    assert_string_equal(record->kernel, op);
    assert_string_equal(record->node, node);
    assert_true(record->candidate[0]);
}

static void test_calls(void **state)
{
    const fixture *f = *state;
    zm_records records;
    assert_int_equal(zm_stream_take_records(f->stream, &records), ZM_OK);
    assert_int_equal(records.count, 0);
    add(f);
    norm(f);
    assert_int_equal(zm_stream_take_records(f->stream, &records), ZM_OK);
    assert_int_equal(records.count, 2);
    assert_int_equal(records.lost, 0);
    assert_is(&records.records[0], "add", "");
    assert_is(&records.records[1], "rms_norm", "");
    uint64_t since = assert_ordered(&records, 0);
    /* A new list; the same events mark other launches. */
    norm(f);
    assert_int_equal(zm_stream_take_records(f->stream, &records), ZM_OK);
    assert_int_equal(records.count, 1);
    assert_is(&records.records[0], "rms_norm", "");
    assert_ordered(&records, since);
    assert_int_equal(f->log.errors, 0);
}

static void test_too_many(void **state)
{
    const fixture *f = *state;
    zm_records records;
    for (int i = 0; i < MOST + 3; i++)
        i < MOST ? add(f) : norm(f);
    assert_int_equal(zm_stream_take_records(f->stream, &records), ZM_OK);
    assert_int_equal(records.count, MOST);
    assert_int_equal(records.lost, 3);
    for (int i = 0; i < MOST; i++)
        assert_is(&records.records[i], "add", "");
    assert_ordered(&records, 0);
    assert_int_equal(zm_stream_take_records(f->stream, &records), ZM_OK);
    assert_int_equal(records.count, 0);
    assert_int_equal(records.lost, 0);
}

static void test_graph(void **state)
{
    const fixture *f = *state;
    zm_records records;
    zm_graph *g = NULL;
    zm_executable *exe = NULL;
    const zm_size shape[] = {ROWS, D};
    assert_int_equal(zm_graph_create(&f->log.log, &g), ZM_OK);
    zm_tensor h = zm_graph_tensor(g, "hidden", ZM_F32, 2, shape);
    zm_tensor out = zm_graph_extern(g, "out", ZM_F32, 2, shape);
    zm_graph_rms_norm(g, &(zm_norm_params){.x = f->x, .dst = h, .eps = 1e-5f});
    zm_graph_add(g, &(zm_add_params){.x = h, .y = f->x, .dst = out});
    assert_int_equal(zm_graph_compile(g, f->device, NULL, &exe), ZM_OK);
    assert_int_equal(zm_executable_bind(exe, "out", &f->y), ZM_OK);
    for (int run = 0; run < 2; run++) {
        assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
        assert_int_equal(zm_stream_take_records(f->stream, &records), ZM_OK);
        assert_int_equal(records.count, 2);
        assert_is(&records.records[0], "rms_norm", "hidden");
        assert_is(&records.records[1], "add", "out");
        assert_ordered(&records, 0);
        add(f);
        assert_int_equal(zm_stream_take_records(f->stream, &records), ZM_OK);
        assert_is(&records.records[0], "add", ""); /* of no graph again */
    }
    zm_executable_destroy(&exe);
    zm_graph_destroy(&g);
}

static void test_refusals(void **state)
{
    fixture *f = *state;
    zm_records records;
    zm_stream *plain = NULL;
    assert_int_equal(zm_stream_create(f->device, NULL, &plain), ZM_OK);
    assert_int_equal(zm_stream_take_records(plain, &records), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(f->log.error, "keep no records"));
    zm_stream_destroy(&plain);
    assert_int_equal(zm_stream_take_records(f->stream, NULL), ZM_ERROR_INVALID_ARGUMENT);
    /* A device whose queues tell no times. */
    f->device->info.limits.timestamps = false;
    const zm_stream_params recorded = {.records = MOST};
    assert_int_equal(zm_stream_create(f->device, &recorded, &plain), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(f->log.error, "has no timestamps"));
    assert_null(plain);
}

#define WITH(name, open) cmocka_unit_test_setup_teardown(name, open, close_device)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_calls, open_host),   WITH(test_too_many, open_host),
        WITH(test_graph, open_host),   WITH(test_refusals, open_host),
#ifdef TEST_OPENCL
        WITH(test_calls, open_opencl), WITH(test_too_many, open_opencl),
        WITH(test_graph, open_opencl), WITH(test_refusals, open_opencl),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers, streams and events of devices. A run without an OpenCL device fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zeromean/ops.h>

#include "device/device.h"
#include "support/capture.h"

static capture messages = CAPTURE_INIT;
static zm_log messages_log;

/* The device that a test of a group runs on. */
typedef struct fixture {
    zm_device *device;
    zm_stream *stream;
} fixture;

static int fixture_make(void **state, const char *spec)
{
    static fixture f;
    capture_clear(&messages);
    zm_device_params params = {.spec = spec, .log = &messages_log};
    zm_stream_params timed = {.timestamps = true};
    f = (fixture){0};
    if (zm_device_open(&params, &f.device) != ZM_OK ||
        zm_stream_create(f.device, &timed, &f.stream) != ZM_OK) {
        fprintf(stderr, "%s does not open: %s\n", spec, messages.text);
        return -1;
    }
    *state = &f;
    return 0;
}

static int opencl_make(void **state)
{
    return fixture_make(state, "opencl:pocl");
}

static int host_make(void **state)
{
    return fixture_make(state, "host");
}

static int fixture_destroy(void **state)
{
    fixture *f = *state;
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
    assert_null(f->device);
    return 0;
}

/* ---- buffers ---- */

static zm_buffer *buffer_make(fixture *f, const zm_buffer_params *params)
{
    zm_buffer *buffer = NULL;
    assert_int_equal(zm_buffer_create(f->device, params, &buffer), ZM_OK);
    assert_int_equal(zm_buffer_size(buffer), params->size);
    return buffer;
}

static void fill_bytes(unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)((i * 31 + seed * 17) ^ (i >> 8));
}

/* Every size and odd offset comes back as written, and the bytes round it are untouched. */
static void round_trip(fixture *f, const zm_buffer_params *params)
{
    static const size_t sizes[] = {1, 2, 3, 5, 64, 127, 513};
    unsigned char whole[1024], part[1024], result[1024];
    zm_buffer *buffer = buffer_make(f, params);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t offset = 0; offset < 4; offset++) {
            fill_bytes(whole, sizeof(whole), (unsigned)s);
            fill_bytes(part, sizes[s], (unsigned)(s + offset + 100));
            assert_int_equal(zm_buffer_write(f->stream, buffer, 0, whole, params->size), ZM_OK);
            assert_int_equal(zm_buffer_write(f->stream, buffer, offset, part, sizes[s]), ZM_OK);
            memcpy(whole + offset, part, sizes[s]);
            assert_int_equal(zm_buffer_read(f->stream, buffer, 0, result, params->size), ZM_OK);
            assert_memory_equal(result, whole, params->size);
            assert_int_equal(zm_buffer_read(f->stream, buffer, offset, result, sizes[s]), ZM_OK);
            assert_memory_equal(result, part, sizes[s]);
        }
    }
    zm_buffer_destroy(&buffer);
    assert_null(buffer);
}

static void buffers_of_all_kinds_keep_bytes(void **state)
{
    fixture *f = *state;
    round_trip(f, &(zm_buffer_params){.size = 1024});
    round_trip(f, &(zm_buffer_params){.size = 1023, .host_visible = true});
    void *memory = aligned_alloc(4096, 4096);
    assert_non_null(memory);
    round_trip(f, &(zm_buffer_params){.size = 1021, .host_memory = memory});
    free(memory);
}

static void wrapped_memory_is_used_in_place(void **state)
{
    fixture *f = *state;
    unsigned char *memory = aligned_alloc(4096, 4096), result[4096];
    assert_non_null(memory);
    fill_bytes(memory, 4096, 7);
    zm_buffer *buffer = buffer_make(f, &(zm_buffer_params){.size = 4096, .host_memory = memory});
    assert_int_equal(zm_buffer_read(f->stream, buffer, 0, result, 4096), ZM_OK);
    assert_memory_equal(result, memory, 4096);
    void *mapped = NULL;
    assert_int_equal(zm_buffer_map(f->stream, buffer, 0, 4096, &mapped), ZM_OK);
    assert_true(zm_device_get_info(f->device)->limits.unified_memory);
    assert_ptr_equal(mapped, memory);
    assert_int_equal(zm_buffer_unmap(f->stream, buffer, mapped), ZM_OK);
    assert_int_equal(zm_buffer_fill(f->stream, buffer, 0, 4, 0x04030201), ZM_OK);
    assert_int_equal(zm_stream_wait(f->stream), ZM_OK);
    assert_int_equal(memory[0] | memory[3] << 8, 0x0401);
    zm_buffer_destroy(&buffer);
    free(memory);
}

/* Pages that cannot be written to, as those of a mapped file. */
static float *make_constants(size_t size)
{
    float *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    for (size_t i = 0; i < size / sizeof(float); i++)
        memory[i] = (float)i;
    assert_int_equal(mprotect(memory, size, PROT_READ), 0);
    return memory;
}

static void check_read_only(fixture *f, zm_buffer *constants, zm_buffer *other)
{
    const zm_status refused = ZM_ERROR_INVALID_ARGUMENT;
    void *pointer = NULL;
    float value = 1;
    capture_clear(&messages);
    assert_int_equal(zm_buffer_write(f->stream, constants, 0, &value, 4), refused);
    assert_true(capture_has(&messages, "zm_buffer_write: the buffer is read-only"));
    assert_int_equal(zm_buffer_fill(f->stream, constants, 0, 4, 0), refused);
    assert_int_equal(zm_buffer_copy(f->stream, constants, 0, other, 0, 4), refused);
    assert_int_equal(zm_buffer_map(f->stream, constants, 0, 4, &pointer), refused);
    assert_null(pointer);
    capture_clear(&messages);
    const zm_add_params add = {.x = zm_tensor_2d(other, ZM_F32, 1, 8),
                               .y = zm_tensor_2d(other, ZM_F32, 1, 8),
                               .dst = zm_tensor_2d(constants, ZM_F32, 1, 8)};
    assert_int_equal(zm_add(f->stream, &add), refused);
    assert_true(capture_has(&messages, "dst: its buffer is read-only"));
}

static void constants_are_read_in_place(void **state)
{
    enum { SIZE = 8192, COUNT = SIZE / 4, FIRST = 3, COLS = 100 };
    fixture *f = *state;
    float *memory = make_constants(SIZE), seen[COUNT], expected[COUNT] = {0};
    zm_buffer *constants = buffer_make(f, &(zm_buffer_params){.size = SIZE, .constants = memory});
    zm_buffer *other = buffer_make(f, &(zm_buffer_params){.size = SIZE});
    check_read_only(f, constants, other);

    /* An op reads a part of them, and nothing is written outside of its output. */
    assert_int_equal(zm_buffer_fill(f->stream, other, 0, SIZE, 0), ZM_OK);
    zm_tensor part = zm_tensor_2d(constants, ZM_F32, 2, COLS);
    part.offset = FIRST;
    zm_add_params add = {.x = part, .y = part, .dst = zm_tensor_2d(other, ZM_F32, 2, COLS)};
    add.dst.offset = FIRST;
    assert_int_equal(zm_add(f->stream, &add), ZM_OK);
    for (size_t i = FIRST; i < FIRST + 2 * COLS; i++)
        expected[i] = 2 * memory[i];
    assert_int_equal(zm_buffer_read(f->stream, other, 0, seen, SIZE), ZM_OK);
    assert_memory_equal(seen, expected, SIZE);

    /* Nobody has copied them. */
    assert_true(zm_device_get_info(f->device)->limits.unified_memory);
    assert_int_equal(mprotect(memory, SIZE, PROT_READ | PROT_WRITE), 0);
    memory[COUNT - 1] = -1;
    assert_int_equal(zm_buffer_copy(f->stream, other, 0, constants, 0, SIZE), ZM_OK);
    assert_int_equal(zm_buffer_read(f->stream, other, 0, seen, SIZE), ZM_OK);
    assert_memory_equal(seen, memory, SIZE);
    zm_buffer_destroy(&other);
    zm_buffer_destroy(&constants);
    assert_true(memory[5] == 5); /* it is not the buffer's */
    munmap(memory, SIZE);
}

static void bad_buffers_are_refused(void **state)
{
    fixture *f = *state;
    const zm_device_limits *limits = &zm_device_get_info(f->device)->limits;
    zm_buffer *buffer = NULL;
    zm_buffer_params params = {0};
    assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_ERROR_INVALID_ARGUMENT);
    params.size = limits->max_buffer_bytes + 1;
    assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_ERROR_LIMIT);
    assert_true(capture_has(&messages, "over the limit"));
    params.size = UINT64_MAX;
    assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_ERROR_LIMIT);
    assert_int_equal(zm_buffer_create(f->device, NULL, &buffer), ZM_ERROR_INVALID_ARGUMENT);
    static _Alignas(4096) char memory[4096];
    params = (zm_buffer_params){.size = 64, .host_memory = memory, .constants = memory};
    assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_ERROR_INVALID_ARGUMENT);
    assert_true(capture_has(&messages, "cannot be one buffer"));
    if (limits->wrap_alignment > 1) {
        params = (zm_buffer_params){.size = 64, .host_memory = memory + 1};
        assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_ERROR_INVALID_ARGUMENT);
        assert_true(capture_has(&messages, "must be aligned"));
        params = (zm_buffer_params){.size = 64, .constants = memory + 1};
        assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_ERROR_INVALID_ARGUMENT);
    }
    assert_null(buffer);
    zm_buffer_destroy(&buffer);
    zm_buffer_destroy(NULL);
}

static void ranges_outside_the_buffer_are_refused(void **state)
{
    fixture *f = *state;
    static const struct {
        uint64_t offset, size;
    } bad[] = {{0, 101}, {100, 1}, {101, 0}, {UINT64_MAX, 1}, {1, UINT64_MAX}, {50, 51}};
    unsigned char bytes[200] = {0};
    void *mapped = NULL;
    zm_buffer *a = buffer_make(f, &(zm_buffer_params){.size = 100});
    zm_buffer *b = buffer_make(f, &(zm_buffer_params){.size = 200});
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t offset = bad[i].offset, size = bad[i].size;
        const zm_status expected = ZM_ERROR_INVALID_ARGUMENT;
        assert_int_equal(zm_buffer_write(f->stream, a, offset, bytes, size), expected);
        assert_int_equal(zm_buffer_read(f->stream, a, offset, bytes, size), expected);
        assert_int_equal(zm_buffer_fill(f->stream, a, offset, size, 0), expected);
        assert_int_equal(zm_buffer_map(f->stream, a, offset, size, &mapped), expected);
        assert_int_equal(zm_buffer_copy(f->stream, a, offset, b, 0, size), expected);
        assert_int_equal(zm_buffer_copy(f->stream, b, 0, a, offset, size), expected);
    }
    assert_int_equal(zm_buffer_fill(f->stream, a, 2, 4, 0), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_buffer_fill(f->stream, a, 0, 6, 0), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_buffer_write(f->stream, a, 0, NULL, 1), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_buffer_read(f->stream, a, 0, NULL, 1), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_buffer_map(f->stream, a, 0, 0, &mapped), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_buffer_write(f->stream, a, 100, NULL, 0), ZM_OK);
    zm_buffer_destroy(&a);
    zm_buffer_destroy(&b);
}

static void copies_and_fills_reach_their_range_only(void **state)
{
    fixture *f = *state;
    unsigned char source[256], expected[256], result[256];
    const uint32_t pattern = 0xa1b2c3d4;
    fill_bytes(source, sizeof(source), 1);
    memset(expected, 0xee, sizeof(expected));
    zm_buffer *a = buffer_make(f, &(zm_buffer_params){.size = 256});
    zm_buffer *b = buffer_make(f, &(zm_buffer_params){.size = 256});
    assert_int_equal(zm_buffer_write(f->stream, a, 0, source, 256), ZM_OK);
    assert_int_equal(zm_buffer_write(f->stream, b, 0, expected, 256), ZM_OK);
    assert_int_equal(zm_buffer_copy(f->stream, b, 3, a, 7, 101), ZM_OK);
    assert_int_equal(zm_buffer_fill(f->stream, b, 200, 12, pattern), ZM_OK);
    memcpy(expected + 3, source + 7, 101);
    for (int i = 200; i < 212; i += 4)
        memcpy(expected + i, &pattern, 4);
    assert_int_equal(zm_buffer_read(f->stream, b, 0, result, 256), ZM_OK);
    assert_memory_equal(result, expected, 256);

    assert_int_equal(zm_buffer_copy(f->stream, a, 10, a, 0, 10), ZM_OK);
    assert_int_equal(zm_buffer_copy(f->stream, a, 9, a, 0, 10), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_buffer_copy(f->stream, a, 0, a, 0, 10), ZM_ERROR_INVALID_ARGUMENT);
    assert_true(capture_has(&messages, "overlap"));
    zm_buffer_destroy(&a);
    zm_buffer_destroy(&b);
}

static void maps_show_and_change_the_buffer(void **state)
{
    fixture *f = *state;
    unsigned char bytes[256], result[256];
    fill_bytes(bytes, sizeof(bytes), 3);
    zm_buffer *buffer = buffer_make(f, &(zm_buffer_params){.size = 256, .host_visible = true});
    assert_int_equal(zm_buffer_write(f->stream, buffer, 0, bytes, 256), ZM_OK);
    void *mapped = NULL, *second = NULL;
    assert_int_equal(zm_buffer_map(f->stream, buffer, 13, 100, &mapped), ZM_OK);
    assert_memory_equal(mapped, bytes + 13, 100);
    assert_int_equal(zm_buffer_map(f->stream, buffer, 0, 1, &second), ZM_ERROR_INVALID_ARGUMENT);
    assert_true(capture_has(&messages, "mapped already"));
    assert_int_equal(zm_buffer_unmap(f->stream, buffer, bytes), ZM_ERROR_INVALID_ARGUMENT);
    memset(mapped, 0x55, 100);
    assert_int_equal(zm_buffer_unmap(f->stream, buffer, mapped), ZM_OK);
    assert_int_equal(zm_buffer_unmap(f->stream, buffer, mapped), ZM_ERROR_INVALID_ARGUMENT);
    memset(bytes + 13, 0x55, 100);
    assert_int_equal(zm_buffer_read(f->stream, buffer, 0, result, 256), ZM_OK);
    assert_memory_equal(result, bytes, 256);
    zm_buffer_destroy(&buffer);
}

/* ---- streams and events ---- */

static void events_carry_times_in_order(void **state)
{
    fixture *f = *state;
    zm_event *first = NULL, *second = NULL;
    uint64_t start[2] = {0}, end[2] = {0};
    assert_int_equal(zm_event_create(f->device, &first), ZM_OK);
    assert_int_equal(zm_event_create(f->device, &second), ZM_OK);
    assert_int_equal(zm_event_wait(first), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_event_times(first, start, end), ZM_ERROR_INVALID_ARGUMENT);
    zm_buffer *buffer = buffer_make(f, &(zm_buffer_params){.size = 1 << 20});
    for (int round = 0; round < 3; round++) {
        assert_int_equal(zm_event_mark(first, f->stream), ZM_OK);
        assert_int_equal(zm_buffer_fill(f->stream, buffer, 0, 1 << 20, 5), ZM_OK);
        assert_int_equal(zm_event_mark(second, f->stream), ZM_OK);
        assert_int_equal(zm_stream_flush(f->stream), ZM_OK);
        assert_int_equal(zm_event_wait(second), ZM_OK);
        assert_int_equal(zm_event_times(first, &start[0], &end[0]), ZM_OK);
        assert_int_equal(zm_event_times(second, &start[1], &end[1]), ZM_OK);
        assert_true(start[0] > 0 && start[0] <= end[0]);
        assert_true(end[0] <= start[1] && start[1] <= end[1]);
        assert_true(end[1] > end[0]);
    }
    zm_buffer_destroy(&buffer);
    zm_event_destroy(&first);
    zm_event_destroy(&second);
    assert_null(first);
    zm_event_destroy(&first);
}

static void times_need_a_stream_with_timestamps(void **state)
{
    fixture *f = *state;
    zm_stream *plain = NULL;
    zm_event *event = NULL;
    uint64_t start, end;
    assert_int_equal(zm_stream_create(f->device, NULL, &plain), ZM_OK);
    assert_ptr_equal(zm_stream_get_device(plain), f->device);
    assert_int_equal(zm_event_create(f->device, &event), ZM_OK);
    assert_int_equal(zm_event_mark(event, plain), ZM_OK);
    assert_int_equal(zm_event_times(event, &start, &end), ZM_ERROR_UNSUPPORTED);
    assert_int_equal(zm_event_mark(event, f->stream), ZM_OK);
    assert_int_equal(zm_event_times(event, &start, &end), ZM_OK);
    /* An event may outlive the stream that it marks a point of. */
    assert_int_equal(zm_event_mark(event, plain), ZM_OK);
    zm_stream_destroy(&plain);
    assert_null(plain);
    assert_int_equal(zm_event_wait(event), ZM_OK);
    zm_event_destroy(&event);
}

/* ---- memory between launches ---- */

static void scratch_memory_is_kept_and_grows(void **state)
{
    fixture *f = *state;
    zm_stream *other = NULL;
    zm_buffer *first = NULL, *again = NULL, *larger = NULL, *others = NULL;
    assert_int_equal(zm_stream_scratch(f->stream, 100, &first), ZM_OK);
    assert_true(zm_buffer_size(first) >= 100);
    assert_int_equal(zm_buffer_fill(f->stream, first, 0, 100, 7), ZM_OK);
    assert_int_equal(zm_stream_scratch(f->stream, 60, &again), ZM_OK);
    assert_ptr_equal(again, first);
    uint64_t size = zm_buffer_size(first) + 1;
    assert_int_equal(zm_stream_scratch(f->stream, size, &larger), ZM_OK);
    assert_true(zm_buffer_size(larger) >= size);

    assert_int_equal(zm_stream_create(f->device, NULL, &other), ZM_OK);
    assert_int_equal(zm_stream_scratch(other, 1, &others), ZM_OK);
    assert_ptr_not_equal(others, larger);
    zm_stream_destroy(&other);

    /* A stream that is refused more goes on with what it gets next. */
    uint64_t most = zm_device_get_info(f->device)->limits.max_buffer_bytes;
    if (most < UINT64_MAX)
        assert_int_not_equal(zm_stream_scratch(f->stream, most + 1, &larger), ZM_OK);
    assert_int_equal(zm_stream_scratch(f->stream, 1, &again), ZM_OK);
    assert_true(zm_buffer_size(again) >= 1);
}

/* ---- more than one device ---- */

static void objects_of_two_devices_do_not_mix(void **state)
{
    fixture *f = *state;
    zm_device_params params = {.spec = "host", .log = &messages_log};
    zm_device *other = NULL;
    zm_buffer *foreign = NULL;
    zm_event *event = NULL;
    unsigned char bytes[16] = {0};
    assert_int_equal(zm_device_open(&params, &other), ZM_OK);
    assert_int_equal(zm_buffer_create(other, &(zm_buffer_params){.size = 16}, &foreign), ZM_OK);
    assert_int_equal(zm_event_create(other, &event), ZM_OK);
    assert_int_equal(zm_buffer_write(f->stream, foreign, 0, bytes, 16), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_event_mark(event, f->stream), ZM_ERROR_INVALID_ARGUMENT);
    assert_true(capture_has(&messages, "different devices"));
    zm_event_destroy(&event);
    zm_buffer_destroy(&foreign);
    zm_device_close(&other);
}

static void forced_kernels_are_kept_per_op(void **state)
{
    fixture *f = *state;
    zm_device *device = f->device;
    char name[32];
    assert_null(zm_device_forced_kernel(device, "matmul"));
    assert_int_equal(zm_device_force_kernel(device, "matmul", "cpu"), ZM_OK);
    assert_int_equal(zm_device_force_kernel(device, "add", "ref"), ZM_OK);
    assert_int_equal(zm_device_force_kernel(device, "matmul", "gpu"), ZM_OK);
    assert_string_equal(zm_device_forced_kernel(device, "matmul"), "gpu");
    assert_int_equal(zm_device_force_kernel(device, "matmul", NULL), ZM_OK);
    assert_null(zm_device_forced_kernel(device, "matmul"));
    assert_string_equal(zm_device_forced_kernel(device, "add"), "ref");
    assert_int_equal(zm_device_force_kernel(device, "never forced", NULL), ZM_OK);
    assert_int_equal(zm_device_force_kernel(device, "", "x"), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_device_force_kernel(device, "a name of more than thirty-one letters", "x"),
                     ZM_ERROR_INVALID_ARGUMENT);
    for (int i = 0; i < ZM_MAX_FORCED - 1; i++) {
        snprintf(name, sizeof(name), "op%d", i);
        assert_int_equal(zm_device_force_kernel(device, name, "x"), ZM_OK);
    }
    assert_int_equal(zm_device_force_kernel(device, "one more", "x"), ZM_ERROR_LIMIT);
}

#define ON(device, test)                                                 \
    {                                                                    \
#test " on " #device, test, device##_make, fixture_destroy, NULL \
    }
#define ON_BOTH(test) ON(opencl, test), ON(host, test)

int main(void)
{
    messages_log = capture_log(&messages, ZM_LOG_DEBUG);
    const struct CMUnitTest tests[] = {
        ON_BOTH(buffers_of_all_kinds_keep_bytes),
        ON_BOTH(wrapped_memory_is_used_in_place),
        ON_BOTH(constants_are_read_in_place),
        ON_BOTH(bad_buffers_are_refused),
        ON_BOTH(ranges_outside_the_buffer_are_refused),
        ON_BOTH(copies_and_fills_reach_their_range_only),
        ON_BOTH(maps_show_and_change_the_buffer),
        ON_BOTH(events_carry_times_in_order),
        ON_BOTH(times_need_a_stream_with_timestamps),
        ON_BOTH(scratch_memory_is_kept_and_grows),
        ON_BOTH(objects_of_two_devices_do_not_mix),
        ON_BOTH(forced_kernels_are_kept_per_op),
    };
    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}

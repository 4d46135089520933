/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a graph and enqueued at once, by the driver or as a chain: the same bits as calls
 * one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"
#include "graph_lab.h"

typedef struct replayer {
    fixture *f;
    zm_executable *exe;
    symbols s;
} replayer;

static replayer replayer_make(fixture *f, zm_replay replay)
{
    replayer r = {.f = f};
    zm_graph *g = block_graph(f, &r.s);
    r.exe = block_compile_with(f, g, replay);
    zm_graph_destroy(&g);
    return r;
}

/* One run and the same calls: the same bits. Returns how many launches were replayed. */
static uint32_t replayer_run(replayer *r, zm_stream *stream, uint32_t past, uint32_t tokens)
{
    fixture *f = r->f;
    assert_int_equal(zm_buffer_fill(stream, f->outputs[0].buffer, 0, 4 * LENGTH * D, 0), ZM_OK);
    assert_int_equal(zm_executable_set(r->exe, r->s.tokens, tokens), ZM_OK);
    assert_int_equal(zm_executable_set(r->exe, r->s.length, past + tokens), ZM_OK);
    assert_int_equal(zm_executable_run(r->exe, stream, NULL), ZM_OK);
    assert_int_equal(zm_stream_wait(stream), ZM_OK);
    run_directly(f, past, tokens);
    assert_outputs_equal(f, tokens);
    assert_int_equal(f->log.errors, 0);
    zm_executable_info info = zm_executable_get_info(r->exe);
    assert_true(info.launches >= 8 && info.replayed <= info.launches);
    return info.replayed;
}

static void test_replay(void **state)
{
    fixture *f = *state;
    replayer r = replayer_make(f, ZM_REPLAY_ALWAYS);
    for (int i = 0; i < 3; i++)
        assert_int_equal(replayer_run(&r, f->stream, 0, 3), 0);
    for (int i = 0; i < 3; i++)
        assert_in_range(replayer_run(&r, f->stream, 0, 3), 8, 100);
    /* A symbol changes all of it. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(replayer_run(&r, f->stream, 0, 5), 0);
    assert_in_range(replayer_run(&r, f->stream, 0, 5), 8, 100);
    /* Tokens one by one: what does not depend on the length is recorded alone. */
    for (uint32_t past = 5; past < 8; past++)
        assert_int_equal(replayer_run(&r, f->stream, past, 1), 0);
    for (uint32_t past = 8; past < LENGTH; past++)
        assert_in_range(replayer_run(&r, f->stream, past, 1), 3, 7);
    zm_executable_destroy(&r.exe);
}

/* Nothing that was recorded is used for other memory or in another stream. */
static void test_replay_elsewhere(void **state)
{
    fixture *f = *state;
    zm_stream *other = NULL;
    replayer r = replayer_make(f, ZM_REPLAY_ALWAYS);
    for (int i = 0; i < 4; i++)
        replayer_run(&r, f->stream, 0, 3);
    /* An output anew, which may well lie where the old one lay. */
    for (int i = 0; i < 2; i++) {
        const zm_buffer_params params = {.size = zm_buffer_size(f->outputs[0].buffer)};
        zm_buffer **buffer = f->buffers;
        while (*buffer != f->outputs[0].buffer)
            buffer++;
        zm_buffer_destroy(buffer);
        assert_int_equal(zm_buffer_create(f->device, &params, buffer), ZM_OK);
        f->outputs[0].buffer = *buffer;
        assert_int_equal(zm_executable_bind(r.exe, "out", &f->outputs[0]), ZM_OK);
        uint32_t replayed = replayer_run(&r, f->stream, 0, 3);
        assert_int_equal(replayed > 0, f->device->info.limits.launch_chains);
        for (int j = 0; j < 2; j++)
            replayer_run(&r, f->stream, 0, 3);
        assert_in_range(replayer_run(&r, f->stream, 0, 3), 8, 100);
    }
    assert_int_equal(zm_stream_create(f->device, NULL, &other), ZM_OK);
    assert_in_range(replayer_run(&r, other, 0, 3), 8, 100);
    zm_stream_destroy(&other);
    assert_in_range(replayer_run(&r, f->stream, 0, 3), 8, 100);
    /* One after the other without waiting: what is still on its way is not enqueued again. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(zm_executable_run(r.exe, f->stream, NULL), ZM_OK);
    assert_in_range(replayer_run(&r, f->stream, 0, 3), 0, 100);
    /* The stream goes first. */
    zm_stream_destroy(&f->stream);
    zm_executable_destroy(&r.exe);
    assert_int_equal(zm_stream_create(f->device, NULL, &f->stream), ZM_OK);
}

static void test_replay_choices(void **state)
{
    fixture *f = *state;
    replayer r = replayer_make(f, ZM_REPLAY_NEVER);
    for (int i = 0; i < 6; i++)
        assert_int_equal(replayer_run(&r, f->stream, 0, 3), 0);
    zm_executable_destroy(&r.exe);

    /* Sixteen runs in turns, then what is faster. */
    r = replayer_make(f, ZM_REPLAY_MEASURED);
    for (int i = 0; i < 19; i++) {
        assert_int_equal(zm_executable_get_info(r.exe).enqueue_ns, 0);
        uint32_t replayed = replayer_run(&r, f->stream, 0, 3);
        assert_true((replayed > 0) == (i > 3 && i % 2 == 0));
    }
    zm_executable_info info = zm_executable_get_info(r.exe);
    assert_true(info.enqueue_ns > 0 && info.replay_ns > 0);
    assert_int_equal(info.replay_pays, info.replay_ns < info.enqueue_ns - info.enqueue_ns / 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(replayer_run(&r, f->stream, 0, 3) > 0, info.replay_pays);
    zm_executable_destroy(&r.exe);

    /* A device without. */
    f->device->info.limits.command_buffer = false;
    r = replayer_make(f, ZM_REPLAY_ALWAYS);
    for (int i = 0; i < 6; i++)
        assert_int_equal(replayer_run(&r, f->stream, 0, 3), 0);
    zm_executable_destroy(&r.exe);
}

static int open_without_chains(void **state)
{
    int error = open_opencl(state);
    if (!error)
        ((fixture *)*state)->device->info.limits.launch_chains = false;
    return error;
}

/* ---- chains ---- */

static void test_chain(void **state)
{
    fixture *f = *state;
    replayer r = replayer_make(f, ZM_REPLAY_ALWAYS);
    for (int i = 0; i < 3; i++)
        assert_int_equal(replayer_run(&r, f->stream, 0, 3), 0);
    assert_in_range(replayer_run(&r, f->stream, 0, 3), 8, 100);
    uint32_t built = zm_device_built_kernels(f->device);
    /* A length is an argument, with whatever number of work-items. */
    for (uint32_t past = 1; past + 3 <= LENGTH; past++) {
        f->device->info.limits.compute_units = 1 + past % 5;
        assert_in_range(replayer_run(&r, f->stream, past, 3), 8, 100);
    }
    assert_int_equal(zm_device_built_kernels(f->device), built);
    /* One after the other without waiting, as long as nothing changes. */
    replayer_run(&r, f->stream, 0, 3);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(zm_executable_run(r.exe, f->stream, NULL), ZM_OK);
        assert_in_range(zm_executable_get_info(r.exe).replayed, 8, 100);
    }
    assert_outputs_equal(f, 3);
    /* One token takes other kernels, and a chain of those. */
    for (uint32_t past = 0; past < 3; past++)
        assert_int_equal(replayer_run(&r, f->stream, past, 1), 0);
    for (uint32_t past = 3; past < LENGTH; past++)
        assert_in_range(replayer_run(&r, f->stream, past, 1), 8, 100);
    zm_executable_destroy(&r.exe);
}

/* Nothing is compiled before that may pay, and what has been is used at once. */
static void test_chain_patience(void **state)
{
    fixture *f = *state;
    replayer r = replayer_make(f, ZM_REPLAY_MEASURED);
    uint32_t built = 0;
    for (int i = 0; i < 16; i++) {
        assert_int_equal(replayer_run(&r, f->stream, 0, 3), 0);
        built = i ? built : zm_device_built_kernels(f->device);
        assert_int_equal(zm_device_built_kernels(f->device), built);
    }
    for (int i = 0; i < 2; i++)
        assert_in_range(replayer_run(&r, f->stream, 0, 3), 8, 100);
    assert_int_equal(zm_device_built_kernels(f->device), built + 1);
    zm_executable_destroy(&r.exe);

    r = replayer_make(f, ZM_REPLAY_MEASURED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(replayer_run(&r, f->stream, 0, 3), 0);
    assert_in_range(replayer_run(&r, f->stream, 0, 3), 8, 100);
    assert_int_equal(zm_device_built_kernels(f->device), built + 1);
    zm_executable_destroy(&r.exe);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_opencl, close_device)
/* Whose driver keeps launches. */
#define TEST_LISTS(name) cmocka_unit_test_setup_teardown(name, open_without_chains, close_device)
/* Of both kinds. */
#define TESTS(name) TEST(name), TEST_LISTS(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_LISTS(test_replay), TESTS(test_replay_elsewhere), TEST_LISTS(test_replay_choices),
        TEST(test_chain),        TEST(test_chain_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

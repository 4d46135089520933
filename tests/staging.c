/* SPDX-License-Identifier: Apache-2.0 */
/* The output of a conversion is complete or absent: cancelled, out of space, killed, in the way of
 * an older one. */
#include <zeromean/convert.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "model_files.h"
#include "scratch.h"
#include "support/random.h"

#define SEED 20240612u
#define WRITER "model.encoder.layers.1.fc2.weight"
#define FILES 4 /* weights, two configurations, tokenizer */

static char *home, *input, *output;
static scratch_log remembered;

static int set_up(void **state)
{
    scratch_log_init(&remembered);
    int failed = scratch_setup(state);
    home = *state;
    input = test_format("%s/in", home);
    output = test_format("%s/out", home);
    return failed;
}

static int tear_down(void **state)
{
    free(input);
    free(output);
    return scratch_teardown(state);
}

static void test_overwrite(void **state)
{
    (void)state;
    test_write_whisper(input, &(test_whisper){.seed = SEED});
    zm_convert_params params = {
        .input = input, .output = output, .overwrite = true, .log = &remembered.log};
    assert_int_equal(zm_convert(&params, NULL), ZM_OK); /* nothing there: as without */
    test_write_text(output, "left.txt", "over\n");
    params.type = ZM_F16;
    assert_int_equal(zm_convert(&params, NULL), ZM_OK);
    assert_int_equal(scratch_count(output), FILES);
    assert_int_equal(scratch_count(home), 2);
    zm_model *model = NULL;
    assert_int_equal(zm_model_open(output, &remembered.log, &model), ZM_OK);
    assert_int_equal(zm_model_find_tensor(model, WRITER)->dtype, ZM_F16);
    zm_model_close(&model);

    /* What no conversion made is not for it to remove. */
    char *precious = test_format("%s/precious", home);
    test_write_whisper(precious, &(test_whisper){.seed = SEED + 1});
    params.output = precious;
    assert_int_equal(zm_convert(&params, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(scratch_count(precious), FILES);
    char *empty = test_format("%s/empty", home);
    assert_int_equal(mkdir(empty, 0777), 0);
    params.output = empty;
    assert_int_equal(zm_convert(&params, NULL), ZM_OK);
    assert_int_equal(scratch_count(empty), FILES);
    assert_int_equal(scratch_count(home), 4);
    free(precious);
    free(empty);
}

typedef struct canceller {
    unsigned calls, stop; /* stop at this call; 0 = never */
    uint64_t last;
    bool backwards;
} canceller;

static bool count_call(void *user, const char *stage, uint64_t done, uint64_t total)
{
    canceller *c = user;
    c->backwards = c->backwards || done > total || (done > 0 && done < c->last) || !stage;
    c->last = done;
    return ++c->calls != c->stop;
}

static void test_cancel(void **state)
{
    (void)state;
    test_write_whisper(input, &(test_whisper){.seed = SEED, .info.vocabulary = 20000});
    canceller counter = {0};
    zm_convert_params params = {.input = input,
                                .output = output,
                                .log = &remembered.log,
                                .progress = count_call,
                                .progress_user = &counter};
    assert_int_equal(zm_convert(&params, NULL), ZM_OK);
    assert_false(counter.backwards);
    unsigned calls = counter.calls;
    assert_true(calls >= 6);
    char *other = test_format("%s/other", home);
    params.output = other;
    for (unsigned stop = 1; stop <= calls; stop++) {
        counter = (canceller){.stop = stop};
        assert_int_equal(zm_convert(&params, NULL), ZM_ERROR_CANCELLED);
        assert_int_equal(counter.calls, stop);
        assert_int_equal(scratch_count(home), 2);
    }
    free(other);
}

/* A file size limit stands for a full disk. */
static void test_disk_full(void **state)
{
    (void)state;
    test_write_whisper(input, &(test_whisper){.seed = SEED, .info.vocabulary = 5000});
    static const rlim_t limits[] = {0, 100, 20000, 300000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            const struct rlimit limit = {limits[i], limits[i]};
            const zm_convert_params params = {
                .input = input, .output = output, .log = &remembered.log};
            signal(SIGXFSZ, SIG_IGN);
            bool right = setrlimit(RLIMIT_FSIZE, &limit) == 0 &&
                         zm_convert(&params, NULL) == ZM_ERROR_IO &&
                         strstr(remembered.error, "cannot write");
            _exit(right ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(scratch_count(home), 1);
    }
}

static void sleep_us(uint64_t us)
{
    const struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&time, NULL);
}

/* Converts in a child and kills it after a while; us == 0: lets it finish. */
static void convert_and_kill(bool overwrite, uint64_t us)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const zm_convert_params params = {.input = input, .output = output, .overwrite = overwrite};
        _exit(zm_convert(&params, NULL) == ZM_OK ? 0 : 1);
    }
    if (us > 0) {
        sleep_us(us);
        kill(child, SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

/* Absent, or exactly this many files with exactly these weights. */
static bool check_whole(const char *expected, size_t size)
{
    size_t got;
    if (access(output, F_OK) != 0)
        return false;
    assert_int_equal(scratch_count(output), FILES);
    char *bytes = test_read_file(output, "model.safetensors", &got);
    assert_non_null(bytes);
    assert_int_equal(got, size);
    assert_memory_equal(bytes, expected, size);
    free(bytes);
    return true;
}

/* Neither takes the other's work for a leftover. One at least gets through. */
static void test_two_at_once(void **state)
{
    (void)state;
    test_write_whisper(input, &(test_whisper){.seed = SEED, .info.vocabulary = 5000});
    for (unsigned round = 0; round < 10; round++) {
        unsigned done = 0;
        pid_t children[2];
        for (unsigned i = 0; i < 2; i++) {
            children[i] = fork();
            assert_true(children[i] >= 0);
            if (children[i] == 0) {
                const zm_convert_params params = {
                    .input = input, .output = output, .overwrite = round > 0};
                _exit(zm_convert(&params, NULL) == ZM_OK ? 0 : 1);
            }
        }
        for (unsigned i = 0; i < 2; i++) {
            int status = 0;
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_true(WIFEXITED(status));
            done += WEXITSTATUS(status) == 0;
        }
        assert_true(done >= 1);
        assert_int_equal(scratch_count(output), FILES);
        assert_int_equal(scratch_count(home), 2);
    }
}

static void test_kill(void **state)
{
    (void)state;
    enum { KILLS = 20 };
    uint64_t random = SEED;
    size_t size, finished = 0, left = 0;
    test_write_whisper(input, &(test_whisper){.seed = SEED, .info.vocabulary = 50000});
    uint64_t begin = zm_clock_ns();
    convert_and_kill(false, 0);
    uint64_t duration = (uint64_t)(zm_clock_since(begin) * 1e6);
    char *expected = test_read_file(output, "model.safetensors", &size);
    assert_true(check_whole(expected, size));
    for (unsigned i = 0; i < KILLS; i++) {
        char *old = test_format("rm -rf '%s'", output);
        bool overwrite = i % 4 == 3; /* the old output stays until the new one is there */
        if (!overwrite)
            assert_int_equal(system(old), 0);
        bool was_there = access(output, F_OK) == 0;
        free(old);
        convert_and_kill(overwrite, 1 + test_random_below(&random, duration + duration / 8));
        bool whole = check_whole(expected, size);
        assert_true(whole || !was_there);
        finished += whole && !was_there;
        left += scratch_count(home) > 1 + (size_t)whole;
    }
    print_message("killed within %.0f ms: %zu of %d left a temporary, %zu had finished\n",
                  (double)duration * 1e-3, left, KILLS, finished);
    assert_true(left > 0); /* or nothing was tested */
    convert_and_kill(true, 0);
    assert_true(check_whole(expected, size));
    assert_int_equal(scratch_count(home), 2);
    free(expected);
}

int main(void)
{
    print_message("seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_overwrite, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_disk_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

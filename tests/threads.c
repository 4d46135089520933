/* SPDX-License-Identifier: Apache-2.0 */
/* The promises about threads: the same work by several at once gives the bits that it gives to one
 * alone. Sessions on OpenCL take their time: they are run with the argument "sessions". */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/pipeline.h>
#include <zeromean/session.h>

#include "device/device.h"
#include "model_files.h"
#include "scratch.h"
#include "support/folder.h"
#include "support/random.h"

#define THREADS 4
#define DEVICES 2
#define ROWS 5
#define D 96
#define ROUNDS 40 /* more than it takes until launches are replayed */
#define RESULT (ROUNDS * ROWS * D)

/* Where a thread works. */
typedef struct place {
    zm_device *devices[DEVICES];
    uint32_t count;
    const char *cache; /* NULL = none */
} place;

typedef struct shared {
    place at;
    const char *specs; /* of devices that each thread opens for itself; NULL = those above */
    const zm_graph *graph;
    zm_size rows;
    zm_model *model;
    /* What is handed over from thread to thread. */
    pthread_mutex_t mutex;
    zm_session *session;
    zm_pipeline *pipeline;
    zm_stream *streams[DEVICES];
} shared;

typedef struct worker worker;
typedef zm_status (*work_fn)(worker *w);

struct worker {
    pthread_t thread;
    pthread_barrier_t *begin; /* NULL = it is alone */
    work_fn work;
    shared *all;
    uint32_t seed; /* of what it works on */
    zm_status status;
    float result[RESULT];
};

/* ---- threads ---- */

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static char said[400];

static void remember(void *user, zm_log_level level, const char *message)
{
    (void)user;
    (void)level;
    pthread_mutex_lock(&log_mutex);
    snprintf(said, sizeof(said), "%s", message);
    pthread_mutex_unlock(&log_mutex);
}

static const zm_log test_log = {remember, NULL, ZM_LOG_WARNING};

static void *worker_main(void *user)
{
    worker *w = user;
    if (w->begin)
        pthread_barrier_wait(w->begin);
    w->status = w->work(w);
    return NULL;
}

/* All at once, and then one after the other: what takes a first time takes it with all of them. */
static void expect_the_same(shared *all, work_fn work)
{
    static worker workers[THREADS], alone;
    pthread_barrier_t begin;
    assert_int_equal(pthread_barrier_init(&begin, NULL, THREADS), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){.begin = &begin, .work = work, .all = all, .seed = i + 1};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&begin);
    for (uint32_t i = 0; i < THREADS; i++) {
        if (workers[i].status != ZM_OK)
            fail_msg("thread %u: %s: %s", i, zm_status_message(workers[i].status), said);
        alone = (worker){.work = work, .all = all, .seed = i + 1};
        worker_main(&alone);
        assert_int_equal(alone.status, ZM_OK);
        assert_memory_equal(workers[i].result, alone.result, sizeof(alone.result));
        assert_true(alone.result[0] != 0);
        assert_true(i == 0 || memcmp(workers[i].result, workers[0].result, sizeof(alone.result)));
    }
}

/* ---- places ---- */

/* "A" or "A,B". */
static zm_status place_open(const char *specs, place *at)
{
    char text[64], *rest = NULL;
    zm_status status = ZM_OK;
    snprintf(text, sizeof(text), "%s", specs);
    for (char *spec = strtok_r(text, ",", &rest); status == ZM_OK && spec;
         spec = strtok_r(NULL, ",", &rest)) {
        const zm_device_params params = {
            .spec = spec, .log = &test_log, .cache_dir = at->cache, .host_threads = 3};
        status = zm_device_open(&params, &at->devices[at->count]);
        at->count += status == ZM_OK;
    }
    return status;
}

static void place_close(place *at)
{
    while (at->count)
        zm_device_close(&at->devices[--at->count]);
}

static zm_status streams_open(const place *at, zm_stream **streams)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; status == ZM_OK && i < at->count; i++)
        status = zm_stream_create(at->devices[i], NULL, &streams[i]);
    return status;
}

static void streams_close(zm_stream **streams)
{
    for (uint32_t i = 0; i < DEVICES; i++)
        zm_stream_destroy(&streams[i]);
}

/* ---- graphs ---- */

/* x -> rms_norm -> softmax, on the last device -> + x -> y. */
static void graph_make(shared *all, zm_graph **out)
{
    zm_graph *graph = NULL;
    assert_int_equal(zm_graph_create(&test_log, &graph), ZM_OK);
    const zm_size shape[] = {all->rows = zm_graph_symbol(graph, "rows", 1, ROWS), D};
    const zm_tensor x = zm_graph_extern(graph, "x", ZM_F32, 2, shape),
                    y = zm_graph_extern(graph, "y", ZM_F32, 2, shape),
                    a = zm_graph_tensor(graph, "a", ZM_DTYPE_NONE, 2, shape),
                    b = zm_graph_tensor(graph, "b", ZM_DTYPE_NONE, 2, shape);
    zm_graph_rms_norm(graph, &(zm_norm_params){.x = x, .dst = a, .eps = 1e-5f});
    zm_graph_device(graph, all->at.count ? all->at.count - 1 : 0);
    zm_graph_softmax(graph, &(zm_softmax_params){.x = a, .dst = b});
    zm_graph_device(graph, 0);
    zm_graph_add(graph, &(zm_add_params){.x = b, .y = x, .dst = y});
    assert_int_equal(zm_graph_status(graph), ZM_OK);
    all->graph = *out = graph;
}

/* Other numbers in each round, and another number of rows after a few of them. */
static zm_status rounds_run(worker *w, zm_pipeline *pipeline, zm_stream *const *streams,
                            zm_buffer *const *buffers, bool locks)
{
    float x[ROWS * D];
    uint64_t random = w->seed;
    zm_status status = ZM_OK;
    for (uint32_t round = 0; status == ZM_OK && round < ROUNDS; round++) {
        uint32_t rows = round % 16 < 12 ? ROWS : 1 + round % ROWS;
        for (uint32_t i = 0; i < ROWS * D; i++)
            x[i] = (float)test_random_between(&random, -1, 1);
        if (locks)
            pthread_mutex_lock(&w->all->mutex);
        status = zm_pipeline_set(pipeline, w->all->rows, rows);
        if (status == ZM_OK)
            status = zm_buffer_write(streams[0], buffers[0], 0, x, sizeof(x));
        if (status == ZM_OK)
            status = zm_pipeline_run(pipeline, streams, NULL);
        if (status == ZM_OK)
            status = zm_buffer_read(streams[0], buffers[1], 0, w->result + round * ROWS * D,
                                    rows * D * sizeof(float));
        if (locks)
            pthread_mutex_unlock(&w->all->mutex);
    }
    return status;
}

static zm_status pipeline_make(const shared *all, const place *at, zm_replay replay,
                               zm_buffer **buffers, zm_pipeline **out)
{
    const zm_compile_params params = {.replay = replay};
    const zm_buffer_params size = {.size = ROWS * D * sizeof(float)};
    zm_status status = zm_pipeline_compile(all->graph, at->devices, at->count, &params, out);
    for (int i = 0; status == ZM_OK && i < 2; i++) {
        status = zm_buffer_create(at->devices[0], &size, &buffers[i]);
        const zm_tensor tensor = zm_tensor_2d(buffers[i], ZM_F32, ROWS, D);
        if (status == ZM_OK)
            status = zm_pipeline_bind(*out, i ? "y" : "x", &tensor);
    }
    return status;
}

/* Everything but the graph is the thread's own, and where devices are named those, too. */
static zm_status graph_work(worker *w)
{
    const shared *all = w->all;
    place own = {.cache = all->at.cache};
    zm_stream *streams[DEVICES] = {NULL};
    zm_buffer *buffers[2] = {NULL};
    zm_pipeline *pipeline = NULL;
    zm_status status = all->specs ? place_open(all->specs, &own) : ZM_OK;
    const place *at = all->specs ? &own : &all->at;
    if (status == ZM_OK)
        status = streams_open(at, streams);
    if (status == ZM_OK)
        status = pipeline_make(all, at, w->seed % 2 ? ZM_REPLAY_ALWAYS : ZM_REPLAY_MEASURED,
                               buffers, &pipeline);
    if (status == ZM_OK)
        status = rounds_run(w, pipeline, streams, buffers, false);
    streams_close(streams);
    zm_pipeline_destroy(&pipeline);
    for (int i = 0; i < 2; i++)
        zm_buffer_destroy(&buffers[i]);
    place_close(&own);
    return status;
}

static void check_graphs(const char *specs)
{
    shared all = {.at = {.count = 0}};
    zm_graph *graph;
    if (place_open(specs, &all.at) != ZM_OK)
        fail_msg("%s: %s", specs, said);
    graph_make(&all, &graph);
    expect_the_same(&all, graph_work);
    zm_graph_destroy(&graph);
    place_close(&all.at);
}

/* Devices that are opened at once, whose kernels are built at once and kept in one folder. */
static void check_devices(const char *spec)
{
    shared all = {.specs = spec};
    zm_graph *graph;
    char *folder = test_folder_make(), programs[1100];
    place later = {.cache = all.at.cache = folder};
    assert_non_null(folder);
    graph_make(&all, &graph);
    expect_the_same(&all, graph_work);
    snprintf(programs, sizeof(programs), "%s/programs", folder);
    unsigned kept = strcmp(spec, "host") ? scratch_count(programs) : 0;
    expect_the_same(&all, graph_work);
    if (kept) { /* which are whole: nothing is built any more, and nothing was left lying about */
        assert_int_equal(scratch_count(programs), kept);
        assert_int_equal(place_open(spec, &later), ZM_OK);
        all.at = later;
        all.specs = NULL;
        worker alone = {.work = graph_work, .all = &all, .seed = 1};
        worker_main(&alone);
        assert_int_equal(alone.status, ZM_OK);
        assert_int_equal(zm_device_built_kernels(later.devices[0]), 0);
        assert_int_equal(zm_device_cached_kernels(later.devices[0]), kept);
        place_close(&later);
    }
    assert_true(kept || strcmp(spec, "host") == 0);
    zm_graph_destroy(&graph);
    test_folder_remove(folder);
}

/* ---- one for all ---- */

typedef struct handed {
    shared all;
    zm_buffer *buffers[2];
} handed;

static zm_status handed_pipeline_work(worker *w)
{
    handed *h = (handed *)w->all;
    return rounds_run(w, h->all.pipeline, h->all.streams, h->buffers, true);
}

/* A pipeline that goes from thread to thread, run by run. */
static void check_handing_over(const char *specs)
{
    handed h = {.all = {.at = {.count = 0}}};
    zm_graph *graph;
    assert_int_equal(place_open(specs, &h.all.at), ZM_OK);
    assert_int_equal(pthread_mutex_init(&h.all.mutex, NULL), 0);
    graph_make(&h.all, &graph);
    assert_int_equal(streams_open(&h.all.at, h.all.streams), ZM_OK);
    assert_int_equal(
        pipeline_make(&h.all, &h.all.at, ZM_REPLAY_MEASURED, h.buffers, &h.all.pipeline), ZM_OK);
    expect_the_same(&h.all, handed_pipeline_work);
    streams_close(h.all.streams);
    zm_pipeline_destroy(&h.all.pipeline);
    for (int i = 0; i < 2; i++)
        zm_buffer_destroy(&h.buffers[i]);
    zm_graph_destroy(&graph);
    pthread_mutex_destroy(&h.all.mutex);
    place_close(&h.all.at);
}

/* ---- sessions ---- */

/* A window: a prompt, two tokens, and two others in their place. */
static zm_status window_run(zm_session *session, const float *mel, uint32_t seed, float *logits)
{
    const int32_t prompt[] = {91, 94, (int32_t)seed}, tokens[] = {5, 63, 17, (int32_t)seed + 7};
    zm_status status = zm_session_encode(session, mel);
    if (status == ZM_OK)
        status = zm_session_decode(session, prompt, 3, logits);
    for (uint32_t i = 0; status == ZM_OK && i < 4; i++) {
        if (i == 2)
            status = zm_session_rewind(session, 0, 3);
        if (status == ZM_OK)
            status = zm_session_decode(session, &tokens[i], 1, logits + (i + 1) * TEST_VOCABULARY);
    }
    return status;
}

static zm_status windows_run(worker *w, zm_session *session, pthread_mutex_t *mutex)
{
    zm_status status = ZM_OK;
    float *mel = test_mel(w->seed);
    for (uint32_t i = 0; status == ZM_OK && i < 2; i++) {
        if (mutex)
            pthread_mutex_lock(mutex);
        status = window_run(session, mel, w->seed, w->result + 5 * i * TEST_VOCABULARY);
        if (mutex)
            pthread_mutex_unlock(mutex);
    }
    free(mel);
    return status;
}

static zm_status session_make(const shared *all, zm_session **out)
{
    const zm_session_params params = {
        .log = &test_log, .split = {.more = all->at.devices + 1, .count = all->at.count - 1}};
    return zm_session_create(all->at.devices[0], all->model, &params, out);
}

static zm_status session_work(worker *w)
{
    zm_session *session = NULL;
    zm_status status = session_make(w->all, &session);
    if (status == ZM_OK)
        status = windows_run(w, session, NULL);
    zm_session_destroy(&session);
    return status;
}

static zm_status handed_session_work(worker *w)
{
    return windows_run(w, w->all->session, &w->all->mutex);
}

/* Sessions of their own, then one that is handed over window by window. */
static void check_sessions(const char *specs)
{
    shared all = {.at = {.count = 0}};
    char *folder = test_make_whisper(&(test_whisper){.seed = 4});
    assert_int_equal(zm_model_open(folder, &test_log, &all.model), ZM_OK);
    if (place_open(specs, &all.at) != ZM_OK)
        fail_msg("%s: %s", specs, said);
    assert_int_equal(pthread_mutex_init(&all.mutex, NULL), 0);
    expect_the_same(&all, session_work);
    assert_int_equal(session_make(&all, &all.session), ZM_OK);
    expect_the_same(&all, handed_session_work);
    zm_session_destroy(&all.session);
    pthread_mutex_destroy(&all.mutex);
    place_close(&all.at);
    zm_model_close(&all.model);
    test_folder_remove(folder);
}

/* ---- where ---- */

static void test_graphs(void **state)
{
    check_graphs(*state);
}

static void test_devices(void **state)
{
    check_devices(*state);
}

static void test_handing_over(void **state)
{
    check_handing_over(*state);
}

static void test_sessions(void **state)
{
    check_sessions(*state);
}

#define ON(test, specs)                                     \
    {                                                       \
#test " on " specs, test, NULL, NULL, (void *)specs \
    }

int main(int argc, char **argv)
{
    const struct CMUnitTest quick[] = {
        ON(test_graphs, "host"),
        ON(test_graphs, "host,host:f64"),
        ON(test_handing_over, "host"),
        ON(test_handing_over, "host,host:f64"),
        ON(test_devices, "host"),
        ON(test_sessions, "host"),
        ON(test_sessions, "host,host:f64"),
    };
    const struct CMUnitTest opencl[] = {
        ON(test_devices, "opencl"),
        ON(test_graphs, "opencl"),
        ON(test_graphs, "opencl,host"),
        ON(test_handing_over, "opencl,host"),
    };
    const struct CMUnitTest slow[] = {
        ON(test_sessions, "opencl"),
        ON(test_sessions, "opencl,host"),
    };
    if (argc > 1 && strcmp(argv[1], "opencl") == 0)
        return cmocka_run_group_tests(opencl, NULL, NULL);
    if (argc > 1 && strcmp(argv[1], "sessions") == 0)
        return cmocka_run_group_tests(slow, NULL, NULL);
    return cmocka_run_group_tests(quick, NULL, NULL);
}

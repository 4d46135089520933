/* SPDX-License-Identifier: Apache-2.0 */
/* A few layers with caches, whose weights and memory are on any of up to three devices. */
#ifndef ZM_TESTS_PIPELINE_LAB_H
#define ZM_TESTS_PIPELINE_LAB_H

#include <zeromean/pipeline.h>

#include "scratch.h"

#define D 32
#define LENGTH 12 /* of the caches */
#define LAYERS 3
#define MAX_DEVICES 3
#define MAX_BUFFERS 128
#define LAB_MOST 2080
#define BUDGET 1e-5

typedef struct fixture {
    scratch_log log;
    zm_device *devices[MAX_DEVICES];
    zm_stream *streams[MAX_DEVICES];
    uint32_t count;
    zm_buffer *buffers[MAX_BUFFERS];
    size_t buffer_count;
    uint32_t layer_device[LAYERS];
    zm_graph *graph;
    zm_size tokens, length;
    zm_pipeline *pipeline;
    zm_tensor x, y; /* what is bound, on the device of the first and of the last layer */
} fixture;

/* What an observer has been shown. */
typedef struct seen {
    fixture *f;
    uint32_t count;
    double sum;
} seen;

#define STEPS 5
extern const uint32_t lab_steps[STEPS]; /* tokens of each */
#define OUTPUTS (11 * D)                /* of all steps */

/* Devices, and the layers in a graph. */
fixture *lab_open(const char *const *specs, uint32_t count, const uint32_t *layer_device);
/* x and y are bound. */
zm_status lab_compile(fixture *f);
void lab_close(fixture *f);

/* Memory on the d-th device, with numbers that follow from the seed, at most LAB_MOST; a cache has
 * zeros. */
zm_tensor lab_make(fixture *f, uint32_t d, uint32_t rows, uint32_t cols, uint64_t seed);
zm_tensor lab_cache(fixture *f, uint32_t d, const zm_kv_layout *layout);
zm_tensor lab_vector(fixture *f, uint32_t d, uint32_t n, uint64_t seed);
zm_tensor lab_weight(fixture *f, uint32_t d, uint32_t n, uint32_t k, uint64_t seed);
/* rows of D. */
void lab_read(fixture *f, const zm_tensor *tensor, uint32_t rows, double *out);

void lab_set(fixture *f, uint32_t past, uint32_t tokens);
/* The outputs of all steps, one behind the other. watch may be NULL. */
void lab_run(fixture *f, double *out, seen *watch);
/* What the layers give on one device of this kind, and the sum of what was observed. */
void lab_run_alone(const char *spec, double *out, double *observed);
/* |a - b| / |a| of OUTPUTS numbers. */
double lab_difference(const double *a, const double *b);

#endif

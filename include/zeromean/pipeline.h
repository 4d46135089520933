/* SPDX-License-Identifier: Apache-2.0 */
/* A graph on several devices, one part after the other.
 *
 * - zm_graph_device says which operations are for which device. What is consecutive on one device
 *   is a stage; tensors that a later stage on another device needs move there in between, through
 *   the host's memory and only as far as the symbols say that they are in use.
 * - An operation that its device can't do, or not with the kernel that is forced there, goes to
 *   the next one in the list that can, and the log says why (ZM_LOG_INFO for each, a warning for
 *   all). It may cost much time: its tensors move. The last resort is the host device, which a
 *   pipeline opens for itself where it is needed and not in the list (zm_compile_params.no_host: it
 *   does not), but not where the kernel is forced that can't do it. A tensor that is larger than
 *   limits.max_buffer_bytes is something that a device can't do as well.
 * - Weights and vectors that only such an operation needs elsewhere are copied once: those of a
 *   given buffer when the graph is compiled, those of an extern when it is bound. So what the graph
 *   was given must have its contents by then, and externs of this kind are bound anew when they
 *   change. Everything else moves in each run. A memory that is moved has one name in the graph.
 * - Where the real_types of devices differ, tensors of ZM_DTYPE_NONE have that of the device that
 *   they are on, and are converted when they move.
 * - With one device that can do everything a pipeline is an executable and nothing else.
 *
 * Thread-safety: as an executable. */
#ifndef ZEROMEAN_PIPELINE_H
#define ZEROMEAN_PIPELINE_H

#include <zeromean/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZM_PIPELINE_DEVICES 8 /* at most */

typedef struct zm_pipeline zm_pipeline;

/* devices: those that zm_graph_device counts; they must outlive the pipeline. params may be NULL.
 * ZM_ERROR_INVALID_ARGUMENT: an operation is for a device that is not there.
 * ZM_ERROR_UNSUPPORTED: no device can do one of them; the log has the reasons of each. */
ZM_API zm_status zm_pipeline_compile(const zm_graph *graph, zm_device *const *devices,
                                     uint32_t count, const zm_compile_params *params,
                                     zm_pipeline **out);
/* Its runs must have finished. */
ZM_API void zm_pipeline_destroy(zm_pipeline **pipeline);

/* As zm_executable_bind, on any of the devices: the buffer says which. On several of them where
 * they are to have the same contents before each run; what a run writes is then written to all. */
ZM_API zm_status zm_pipeline_bind(zm_pipeline *pipeline, const char *name, const zm_tensor *tensor);
/* As zm_executable_set. */
ZM_API zm_status zm_pipeline_set(zm_pipeline *pipeline, zm_size symbol, uint32_t value);

/* Makes room on these streams, one for each device as for a run, for what its runs need besides, so
 * that they allocate nothing; without it the first ones do. */
ZM_API zm_status zm_pipeline_reserve(zm_pipeline *pipeline, zm_stream *const *streams);

/* As zm_executable_run, with one stream for each device; those of devices without a stage may be
 * NULL. Waits for the stages before the last one that something moves out of. After a failure or a
 * cancellation the outputs of stages that were not done are as they were. */
ZM_API zm_status zm_pipeline_run(zm_pipeline *pipeline, zm_stream *const *streams,
                                 const zm_run_params *params);

typedef struct zm_pipeline_info {
    uint32_t stages;
    uint32_t fallen;         /* operations on another device than the one that they are for */
    uint32_t moves;          /* of tensors between devices in the last run */
    uint64_t moved_bytes;    /* by them */
    uint64_t copied_bytes;   /* of weights and vectors that are on another device as well */
    zm_executable_info work; /* of all stages together; its bytes also have what moves */
} zm_pipeline_info;

ZM_API zm_pipeline_info zm_pipeline_get_info(const zm_pipeline *pipeline);

/* One of its stages, to look at; device: its place in the list, may be NULL; behind the list is the
 * host device that was opened as the last resort. NULL = there is none of that index. */
ZM_API const zm_executable *zm_pipeline_stage(const zm_pipeline *pipeline, uint32_t index,
                                              uint32_t *device);

#ifdef __cplusplus
}
#endif
#endif

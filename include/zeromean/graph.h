/* SPDX-License-Identifier: Apache-2.0 */
/* Operations as a graph: described once, compiled for a device, run many times.
 *
 * - A graph takes the same parameters as ops.h and keeps them instead of running them. They run in
 *   the order in which they were added; reading what nothing has written yet is an error.
 * - A tensor of a graph is a zm_tensor without memory: an *extern* one is bound by name after
 *   compiling (weights, inputs, outputs, caches), an *inner* one gets its memory from the plan, in
 *   which tensors that are not needed at the same time lie in the same place. zm_tensor_rows and
 *   zm_tensor_cols work on both. A tensor with a buffer of a device is taken as it is, and needs no
 *   binding; the buffer must live as long as what was compiled.
 * - A size is a number below 2^31 or stands for one that is set before a run: a symbol, or the sum
 *   or difference of two sizes. Sizes go where ops.h has the extents of a tensor (not into strides:
 *   what has symbols in other than its first dimension has no parts), and into kv_length and
 *   position.
 * - Errors stick: after the first one (logged with its reason) a graph takes nothing more, and
 *   zm_graph_status and zm_graph_compile say what it was. So building needs no checks.
 *
 * Thread-safety: a graph belongs to one thread while it is built; then it may be compiled from
 * several. An executable belongs to one thread at a time; those of one device may run in parallel.
 */
#ifndef ZEROMEAN_GRAPH_H
#define ZEROMEAN_GRAPH_H

#include <zeromean/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_graph zm_graph;
typedef struct zm_executable zm_executable;
typedef uint32_t zm_size; /* 0 = none, after an error */

/* ---- building ---- */

/* log may be NULL. */
ZM_API zm_status zm_graph_create(const zm_log *log, zm_graph **out);
/* What was compiled from it stays. */
ZM_API void zm_graph_destroy(zm_graph **graph);
/* The first error. */
ZM_API zm_status zm_graph_status(const zm_graph *graph);

/* At most 64 symbols. least <= most. */
ZM_API zm_size zm_graph_symbol(zm_graph *graph, const char *name, uint32_t least, uint32_t most);
ZM_API zm_size zm_graph_sum(zm_graph *graph, zm_size a, zm_size b);
/* a - b; a run in which that is negative is refused. */
ZM_API zm_size zm_graph_difference(zm_graph *graph, zm_size a, zm_size b);

/* dtype ZM_DTYPE_NONE = the device's real_type. Packed; the panels of a weight are those of the
 * tensor that is bound. Names of externs are unique. */
ZM_API zm_tensor zm_graph_extern(zm_graph *graph, const char *name, zm_dtype dtype, uint32_t rank,
                                 const zm_size *shape);
/* Takes up memory from the first operation that uses it to the last one: a new tensor for each
 * purpose costs nothing. The name is for messages and prints; NULL = a number. */
ZM_API zm_tensor zm_graph_tensor(zm_graph *graph, const char *name, zm_dtype dtype, uint32_t rank,
                                 const zm_size *shape);
/* Rows first .. first + count - 1 of any tensor, like zm_tensor_rows, with sizes. */
ZM_API zm_tensor zm_graph_rows(zm_graph *graph, zm_tensor matrix, zm_size first, zm_size count);

/* The operations of ops.h. What zm_kv_store writes to cannot be an inner tensor: it keeps what was
 * there. */
ZM_API void zm_graph_layer_norm(zm_graph *graph, const zm_norm_params *params);
ZM_API void zm_graph_rms_norm(zm_graph *graph, const zm_norm_params *params);
ZM_API void zm_graph_crms_norm(zm_graph *graph, const zm_norm_params *params);
ZM_API void zm_graph_row_statistics(zm_graph *graph, const zm_row_statistics_params *params);
ZM_API void zm_graph_add(zm_graph *graph, const zm_add_params *params);
ZM_API void zm_graph_recentre(zm_graph *graph, const zm_add_params *params);
ZM_API void zm_graph_activate(zm_graph *graph, const zm_activate_params *params);
/* scale.column_sums may be given without a kind of scale: then a LayerNorm whose output is x can be
 * deferred (zm_row_scale). sums[i] = sum over j of weight[i][j], or of weight[i][j] * g[j] where
 * that norm has a weight g, of the weight as it is stored; of a gated one as zm_gated_bias_pack has
 * it. */
ZM_API void zm_graph_matmul(zm_graph *graph, const zm_matmul_params *params);
ZM_API void zm_graph_conv1d(zm_graph *graph, const zm_conv1d_params *params);
ZM_API void zm_graph_patch_embedding(zm_graph *graph, const zm_patch_embedding_params *params);
ZM_API void zm_graph_embedding(zm_graph *graph, const zm_embedding_params *params);
ZM_API void zm_graph_kv_store(zm_graph *graph, const zm_kv_store_params *params);
ZM_API void zm_graph_attention(zm_graph *graph, const zm_attention_params *params);
ZM_API void zm_graph_rope(zm_graph *graph, const zm_rope_params *params);
ZM_API void zm_graph_softmax(zm_graph *graph, const zm_softmax_params *params);
ZM_API void zm_graph_copy(zm_graph *graph, const zm_copy_params *params);
ZM_API void zm_graph_top_k(zm_graph *graph, const zm_top_k_params *params);
ZM_API void zm_graph_argmax(zm_graph *graph, const zm_argmax_params *params);

/* Operations added from here on are for the index-th of the devices that a pipeline is compiled for
 * (pipeline.h); 0 before. zm_graph_compile takes no notice. */
ZM_API void zm_graph_device(zm_graph *graph, uint32_t index);

/* Shows the tensor, as it is at this point, to the observer of a run that has one. */
ZM_API void zm_graph_observe(zm_graph *graph, const char *what, uint32_t index, zm_tensor tensor);

/* ---- the main branch ---- */

/* How an operation takes part in the main branch of a transformer, to which sums add. */
typedef enum zm_branch_part {
    ZM_BRANCH_NORM = 0, /* a norm reads it */
    ZM_BRANCH_READER,   /* a matmul reads such a norm */
    ZM_BRANCH_WRITER,   /* a matmul's product is added to it */
    ZM_BRANCH_ENTRY     /* it begins with this: its mean is not taken out at run time */
} zm_branch_part;

typedef struct zm_branch_use {
    zm_branch_part part;
    const char *weight, *bias; /* names of externs; NULL = absent, or no extern */
    const char *norm;          /* ZM_BRANCH_READER: the weight of the norm that it reads */
} zm_branch_use;

typedef zm_status (*zm_branch_fn)(void *user, const zm_branch_use *use);

/* Follows the main branch from where it is shown (zm_graph_observe) as start, through a graph as it
 * was built, and tells of every use in order, until fn fails. What wrote it up to there is told of
 * first, unless it took the mean of its rows out. ZM_ERROR_UNSUPPORTED, logged: what is
 * neither a norm nor a sum reads it, or what is more than a product is added to it. That no norm
 * writes over it and that everything added to it is a product makes its mean free.
 * ZM_ERROR_NOT_FOUND: nothing is shown as start. */
ZM_API zm_status zm_graph_trace_branch(const zm_graph *graph, const char *start, zm_branch_fn fn,
                                       void *user);

/* ---- compiling ---- */

/* What is done to a graph to make it cheaper, in this order. Each fires only where the results are
 * the same (up to rounding: sums in another order, fewer roundings to a 16-bit type in between) for
 * all that may be bound and set. A deferred layer_norm rounds more the larger the mean of a row is
 * beside its standard deviation, since both the variance and the product lose what cancels: the
 * relative error in float32 is about 1e-5 at 17 times, 1e-3 at 170 times. So it is deferred only
 * where the application asks for it, by column sums; rows without a mean lose nothing. */
typedef enum zm_pass {
    ZM_PASS_DEAD_CODE = 0,    /* what nothing reads is left out */
    ZM_PASS_VIEW,             /* what is copied is read where it is */
    ZM_PASS_ACTIVATION,       /* an activate of a matmul's output becomes its bias, activation and
                                 factor */
    ZM_PASS_MERGE,            /* matmuls of one input and adjacent weights become one: q, k, v */
    ZM_PASS_EPILOGUE,         /* a sum with a matmul's output becomes its residual */
    ZM_PASS_RESIDUAL_NORM,    /* a sum and its norm become one operation */
    ZM_PASS_DEFERRED_NORM,    /* a norm without bias goes into the epilogue of the matmuls that
                                 read it, its weight (not for F16 rows) into what they read; of
                                 a layer_norm, where they have column sums */
    ZM_PASS_SHARED_STATISTIC, /* deferred norms of one tensor read the same statistics */
    ZM_PASS_WRITER_STATISTIC, /* which come out of the epilogue of the matmul that writes it, as
                                 does what a norm's weight makes of it */
    ZM_PASS_IN_PLACE,         /* an output takes the memory of an input that is needed no more */
    ZM_PASS_COUNT
} zm_pass;

/* "dead-code", ... Static storage; NULL = there is no such pass. */
ZM_API const char *zm_pass_name(zm_pass pass);

/* Launches of operations that have not changed for some runs can be enqueued at once: kept by the
 * driver (limits.command_buffer), or run in one (limits.launch_chains), where sizes and bindings
 * may go on changing. The latter is compiled first, in one of the runs, if it isn't in the cache.
 */
typedef enum zm_replay {
    ZM_REPLAY_MEASURED = 0, /* run in one; what the driver keeps, if a few runs in turns take the
                               host a quarter less time so */
    ZM_REPLAY_NEVER,
    ZM_REPLAY_ALWAYS
} zm_replay;

typedef struct zm_compile_params {
    bool off[ZM_PASS_COUNT]; /* passes that are left out */
    zm_replay replay;
    bool no_host; /* of a pipeline: what none of its devices can do is refused */
} zm_compile_params;

/* Checks every operation with all symbols at their most, which must be possible together, and
 * plans the memory. params may be NULL. Symbols are at their most until they are set. */
ZM_API zm_status zm_graph_compile(const zm_graph *graph, zm_device *device,
                                  const zm_compile_params *params, zm_executable **out);
/* Its runs must have finished (zm_stream_wait). */
ZM_API void zm_executable_destroy(zm_executable **executable);

/* ---- running ---- */

/* A packed tensor for the extern of that name, of its type and shape; where the shape has symbols,
 * at least their most. May be done again between runs. Externs may share memory where the
 * operations allow it, but none that is written shares that of a weight or of column sums.
 * ZM_ERROR_NOT_FOUND: there is no such extern. */
ZM_API zm_status zm_executable_bind(zm_executable *executable, const char *name,
                                    const zm_tensor *tensor);
/* The value of a symbol in the runs to come. */
ZM_API zm_status zm_executable_set(zm_executable *executable, zm_size symbol, uint32_t value);

typedef struct zm_run_params {
    /* Asked before each operation, and for those that are replayed together before all of them;
     * false: the rest is left out and the run gives ZM_ERROR_CANCELLED. NULL = true. */
    bool (*go_on)(void *user);
    /* Called for each zm_graph_observe when everything before it is enqueued, with the tensor's
     * place; anything but ZM_OK ends the run. NULL = none. */
    zm_status (*observe)(void *user, const char *what, uint32_t index, const zm_tensor *tensor);
    void *user;
} zm_run_params;

/* Enqueues all of it and does not wait. Nothing is enqueued where an extern is not bound or an
 * operation can't be done with these sizes. The first run with new sizes or bindings chooses
 * kernels for the operations that they are for (and builds those that are new to the device); the
 * others only enqueue. Runs of one executable in several streams must not overlap: they share the
 * inner tensors' memory. The records of a stream that
 * keeps them name the operation as it is after the passes, and what it writes. params may be NULL.
 */
ZM_API zm_status zm_executable_run(zm_executable *executable, zm_stream *stream,
                                   const zm_run_params *params);

typedef struct zm_executable_info {
    uint32_t operations;           /* without those that only observe */
    uint32_t launches;             /* of the last run */
    uint32_t replayed;             /* of those, that the driver had kept */
    uint32_t planned;              /* operations that the last run had to plan */
    uint32_t submits;              /* of the last run: handed over early, before too much work had
                                      come together for a driver that limits its time */
    bool replay_pays;              /* was measured; false also where it has not been yet */
    uint64_t enqueue_ns;           /* which the host took for what is replayed, one by one; 0 = it
                                      was not measured */
    uint64_t replay_ns;            /* and at once */
    uint32_t fired[ZM_PASS_COUNT]; /* how often each pass changed something */
    uint64_t memory_bytes;         /* of all inner tensors, as they are laid out */
    uint64_t least_bytes;          /* of those that are needed at the same time, at most: no
                                      layout takes less */
} zm_executable_info;

ZM_API zm_executable_info zm_executable_get_info(const zm_executable *executable);

/* ---- printing ---- */

typedef enum zm_graph_format { ZM_GRAPH_TEXT = 0, ZM_GRAPH_DOT } zm_graph_format;

/* Called with one piece of text after the other. */
typedef void (*zm_write_fn)(void *user, const char *text);

ZM_API void zm_graph_print(const zm_graph *graph, zm_graph_format format, zm_write_fn write,
                           void *user);
/* As it is after the passes. */
ZM_API void zm_executable_print(const zm_executable *executable, zm_graph_format format,
                                zm_write_fn write, void *user);

#ifdef __cplusplus
}
#endif
#endif

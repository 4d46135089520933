/* SPDX-License-Identifier: Apache-2.0 */
/* What an architecture implements. The public functions of session.h check what they can and
 * dispatch; the struct of an architecture begins with a zm_network. */
#ifndef ZM_SRC_SESSION_NETWORK_H
#define ZM_SRC_SESSION_NETWORK_H

#include <zeromean/block.h>
#include <zeromean/session.h>

#include "convert/plan.h"
#include "session/decoding.h"
#include "session/storage.h"

typedef struct zm_network_fns {
    zm_architecture architecture;
    size_t size; /* of the struct that begins with the base */
    /* The base is ready. On failure destroy is called. */
    zm_status (*create)(zm_network *network, const zm_model *model,
                        const zm_session_params *params);
    /* Frees what create made outside the base. NULL = nothing. */
    void (*destroy)(zm_network *network);
    /* NULL where there is no encoder */
    zm_status (*encode)(zm_network *network, const float *mel);
    /* Is what decoding needs there? NULL = it needs nothing. */
    zm_status (*can_decode)(const zm_network *network);
    /* NULL where it makes no embeddings; a network that does decodes no steps. */
    zm_status (*embed_image)(zm_network *network, const float *pixels, float *embedding,
                             float *logits);
    zm_status (*embed_text)(zm_network *network, const int32_t *tokens, uint32_t count,
                            float *embedding);
} zm_network_fns;

struct zm_network {
    const zm_network_fns *fns;
    zm_log log;
    zm_norm norm;         /* of the weights, as they are in the file or as the plan makes them */
    const zm_plan *plan;  /* of a conversion on the way, during create; NULL = none */
    zm_session_info info; /* create says */
    zm_pipeline *encoder; /* NULL = there is none */
    zm_decoding decoding;
    zm_device *devices[ZM_PIPELINE_DEVICES];
    zm_stream *streams[ZM_PIPELINE_DEVICES]; /* one per device, as the storages */
    zm_storage storages[ZM_PIPELINE_DEVICES];
    uint32_t shares[ZM_PIPELINE_DEVICES];
    uint32_t device_count;
    /* Of a main branch of one element less than d, whose last one is zero here: from d elements of
     * mean zero on the first device, and back on the last one. */
    zm_linear narrow, widen;
    zm_model *model;       /* kept where weights are read in place; NULL = not needed any more */
    zm_observe_fn observe; /* NULL = none */
    void *observe_user;
    bool (*go_on)(void *user); /* NULL = always */
    void *go_on_user;
    /* Real numbers on their way between the device and the caller. */
    void *staging;
    double *observed;
    uint64_t staging_count;
};

extern const zm_network_fns zm_network_whisper;
extern const zm_network_fns zm_network_text;
extern const zm_network_fns zm_network_vision;

/* Room for the largest tensor that is written, read or observed, in elements. */
zm_status zm_network_reserve_staging(zm_network *network, uint64_t elements);

/* Fails where there are fewer layers than devices. what: whose they are. */
zm_status zm_network_check_layers(const zm_network *network, const char *what, uint32_t layers);
/* The device of a layer: as the shares say, but at least one for each device. */
uint32_t zm_network_device(const zm_network *network, uint32_t layer, uint32_t layers);

/* Compiles what build puts into a graph, whose errors stick, for the network's devices. */
zm_status zm_network_compile(zm_network *network,
                             void (*build)(zm_network *network, zm_graph *graph),
                             const zm_compile_params *params, zm_pipeline **out);
/* Runs it for the caller of the session: asks whether to go on, shows what is observed. */
zm_status zm_network_run(zm_network *network, zm_pipeline *pipeline);
/* Starts, or waits for, the work on all devices. */
zm_status zm_network_flush(zm_network *network);
zm_status zm_network_wait(zm_network *network);

/* What norms a model's blocks have, on rows of d elements. */
zm_block_norm zm_network_block_norm(zm_norm norm);
/* The first values of the main branch, of mean zero where it is a converted one: as its layers have
 * them. */
zm_tensor zm_network_enter(const zm_network *network, zm_graph *graph, zm_tensor x);
/* The norm behind the last layer; one that has its weights is of d elements. */
zm_tensor zm_network_leave(const zm_network *network, zm_graph *graph, const zm_block *block,
                           const zm_norm_weights *norm, zm_tensor x);

/* Packed tensors only. From float32 to the real type and back. write may return before the device
 * is done; read waits. */
zm_status zm_network_write(zm_network *network, const zm_tensor *dst, const float *values);
zm_status zm_network_read(zm_network *network, const zm_tensor *src, float *values);

#endif

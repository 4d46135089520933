/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/session.h>

#include <stdlib.h>

#include "common/alloc.h"
#include "model/pages.h"
#include "session/network.h"

struct zm_session {
    zm_network *network;
};

static const zm_network_fns *const networks[] = {&zm_network_whisper, &zm_network_text,
                                                 &zm_network_vision};

static const zm_network_fns *find_network(zm_architecture architecture)
{
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        if (networks[i]->architecture == architecture)
            return networks[i];
    }
    return NULL;
}

static void network_destroy(zm_network *network)
{
    if (!network)
        return;
    for (uint32_t i = 0; i < network->device_count; i++)
        zm_stream_destroy(&network->streams[i]); /* waits for the work on the buffers */
    zm_pipeline_destroy(&network->encoder);
    zm_pipeline_destroy(&network->decoding.pipeline);
    zm_decoding_finish(&network->decoding);
    if (network->fns->destroy)
        network->fns->destroy(network);
    for (uint32_t i = 0; i < network->device_count; i++)
        zm_storage_finish(&network->storages[i]);
    zm_model_close(&network->model);
    free(network->staging);
    free(network->observed);
    free(network);
}

static zm_status device_add(zm_network *network, zm_device *device, uint32_t share,
                            const zm_session_params *params)
{
    const zm_stream_params stream = {.records = params->records};
    uint32_t place = network->device_count;
    for (uint32_t i = 0; i < place; i++)
        if (network->devices[i] == device)
            return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                           "session: device %s is in the split twice",
                           zm_device_get_info(device)->spec);
    if (!device || share == 0)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "session: device %u of the split is %s", place + 1,
                       device ? "to have a share of 0" : "missing");
    network->devices[place] = device;
    network->shares[place] = share;
    zm_storage_init(&network->storages[place], device, &network->log);
    network->device_count++;
    return zm_stream_create(device, &stream, &network->streams[place]);
}

static zm_status devices_take(zm_network *network, zm_device *device,
                              const zm_session_params *params)
{
    const zm_split *split = &params->split;
    if (split->count >= ZM_PIPELINE_DEVICES || (split->count && !split->more))
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "session: a split is over at most %d devices", ZM_PIPELINE_DEVICES);
    zm_status status = device_add(network, device, split->shares ? split->shares[0] : 1, params);
    for (uint32_t i = 0; status == ZM_OK && i < split->count; i++)
        status =
            device_add(network, split->more[i], split->shares ? split->shares[i + 1] : 1, params);
    return status;
}

/* The files stay mapped where a device reads weights in place. */
static void keep_model(zm_network *network, const zm_model *model)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < network->device_count; i++)
        bytes += network->storages[i].wrapped_bytes;
    if (bytes == 0)
        return;
    network->model = zm_model_retain(model);
    zm_logf(&network->log, ZM_LOG_INFO, "%s: %llu bytes of weights are used in place",
            zm_model_get_info(model)->path, (unsigned long long)bytes);
}

/* What the weights have to become for the norm that is asked for. */
static zm_status settle_norm(zm_network *network, const zm_model *model,
                             const zm_session_params *params, zm_plan *plan)
{
    const zm_model_info *info = zm_model_get_info(model);
    network->norm = info->norm;
    if (params->norm == ZM_NORM_DEFAULT || params->norm == info->norm)
        return ZM_OK;
    if (params->norm != ZM_NORM_RMS || info->norm != ZM_NORM_LAYER)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: its norm is %s; it can't be run with %s", info->path,
                       zm_norm_name(info->norm), zm_norm_name(params->norm));
    const zm_plan_params wanted = {.norm = ZM_NORM_RMS, .log = &network->log};
    zm_status status = zm_session_check_model(model, &network->log);
    if (status == ZM_OK)
        status = zm_plan_make(model, &wanted, plan);
    network->norm = ZM_NORM_RMS;
    network->plan = plan;
    return status;
}

static zm_status network_create(zm_device *device, const zm_model *model,
                                const zm_session_params *params, zm_network **out)
{
    const zm_model_info *info = zm_model_get_info(model);
    const zm_network_fns *fns = find_network(info->architecture);
    if (!fns)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "%s: models of type %s cannot be run%s%s",
                       info->path, info->architecture_name, info->refused ? ": " : "",
                       info->refused ? info->refused : "");
    zm_plan plan = {0};
    zm_network *network = zm_calloc(1, fns->size);
    if (!network)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    network->fns = fns;
    network->log = zm_log_copy(params->log);
    network->observe = params->observe;
    network->observe_user = params->observe_user;
    network->go_on = params->go_on;
    network->go_on_user = params->go_on_user;
    zm_status status = devices_take(network, device, params);
    if (status == ZM_OK)
        status = settle_norm(network, model, params, &plan);
    if (status == ZM_OK)
        status = fns->create(network, model, params);
    network->plan = NULL;
    zm_plan_finish(&plan);
    if (status == ZM_OK) {
        keep_model(network, model);
        *out = network;
    } else {
        network_destroy(network);
    }
    return status;
}

zm_status zm_session_create(zm_device *device, const zm_model *model,
                            const zm_session_params *params, zm_session **out)
{
    static const zm_session_params defaults;
    if (!params)
        params = &defaults;
    if (!device || !model || !out)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "session: needs a device, a model and a place for the session");
    zm_session *session = zm_calloc(1, sizeof(*session));
    if (!session)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    zm_status status = network_create(device, model, params, &session->network);
    if (status == ZM_OK)
        *out = session;
    else
        zm_session_destroy(&session);
    return status;
}

void zm_session_destroy(zm_session **session)
{
    if (!session || !*session)
        return;
    network_destroy((*session)->network);
    free(*session);
    *session = NULL;
}

zm_session_info zm_session_get_info(const zm_session *session)
{
    return session ? session->network->info : (zm_session_info){0};
}

zm_status zm_session_encode(zm_session *session, const float *mel)
{
    if (!session)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_network *network = session->network;
    if (!mel)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT, "encode: no input");
    if (!network->fns->encode)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED, "encode: the model has no encoder");
    return network->fns->encode(network, mel);
}

zm_status zm_session_embed_image(zm_session *session, const float *pixels, float *embedding,
                                 float *logits)
{
    if (!session)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_network *network = session->network;
    if (!pixels)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT, "embed: no image");
    if (!network->fns->embed_image)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED, "embed: the model reads no images");
    return network->fns->embed_image(network, pixels, embedding, logits);
}

zm_status zm_session_embed_text(zm_session *session, const int32_t *tokens, uint32_t count,
                                float *embedding)
{
    if (!session)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_network *network = session->network;
    if (!tokens || count == 0)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT, "embed: no tokens");
    if (!network->fns->embed_text)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED,
                       "embed: the model makes no embeddings of texts");
    return network->fns->embed_text(network, tokens, count, embedding);
}

zm_status zm_session_step(zm_session *session, const zm_step *steps, uint32_t count)
{
    if (!session)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_network *network = session->network;
    if (!steps || count == 0)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT, "decode: no sequence is given");
    if (network->fns->embed_image)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED, "decode: the model has no decoder");
    zm_status status = network->fns->can_decode ? network->fns->can_decode(network) : ZM_OK;
    return status == ZM_OK ? zm_decoding_run(network, steps, count) : status;
}

zm_status zm_session_decode(zm_session *session, const int32_t *tokens, uint32_t count,
                            float *logits)
{
    const zm_step step = {.tokens = tokens, .count = count, .logits = logits};
    return zm_session_step(session, &step, 1);
}

zm_status zm_session_rewind(zm_session *session, uint32_t sequence, uint32_t position)
{
    if (!session || session->network->fns->embed_image)
        return ZM_ERROR_INVALID_ARGUMENT;
    return zm_decoding_rewind(session->network, sequence, position);
}

zm_status zm_session_take_records(zm_session *session, uint32_t device, zm_records *out)
{
    if (!session || device >= session->network->device_count)
        return ZM_ERROR_INVALID_ARGUMENT;
    return zm_stream_take_records(session->network->streams[device], out);
}

const zm_pipeline *zm_session_pipeline(const zm_session *session, zm_part part)
{
    if (!session)
        return NULL;
    switch (part) {
    case ZM_PART_ENCODER: return session->network->encoder;
    case ZM_PART_DECODER: return session->network->decoding.pipeline;
    default: return NULL;
    }
}

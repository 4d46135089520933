/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/session.h>

#include <stdlib.h>

#include "common/alloc.h"
#include "session/network.h"

struct zm_session {
    zm_network *network;
};

static const zm_network_fns *const networks[] = {&zm_network_whisper};

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
    zm_stream_destroy(&network->stream); /* waits for the work on the buffers */
    if (network->fns->destroy)
        network->fns->destroy(network);
    zm_storage_finish(&network->storage);
    free(network->staging);
    free(network->observed);
    free(network);
}

static zm_status network_create(zm_device *device, const zm_model *model,
                                const zm_session_params *params, zm_network **out)
{
    const zm_model_info *info = zm_model_get_info(model);
    const zm_network_fns *fns = find_network(info->architecture);
    if (!fns)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "%s: models of type %s cannot be run",
                       info->path, info->architecture_name);
    zm_network *network = zm_calloc(1, fns->size);
    if (!network)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    network->fns = fns;
    network->log = zm_log_copy(params->log);
    network->observe = params->observe;
    network->observe_user = params->observe_user;
    network->go_on = params->go_on;
    network->go_on_user = params->go_on_user;
    zm_storage_init(&network->storage, device, params->log);
    const zm_stream_params stream = {.records = params->records};
    zm_status status = zm_stream_create(device, &stream, &network->stream);
    if (status == ZM_OK)
        status = fns->create(network, model, params);
    if (status == ZM_OK)
        *out = network;
    else
        network_destroy(network);
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

zm_status zm_session_decode(zm_session *session, const int32_t *tokens, uint32_t count,
                            float *logits)
{
    if (!session)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_network *network = session->network;
    if (!tokens || count == 0 || !logits)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "decode: needs at least one token and a place for the logits");
    return network->fns->decode(network, tokens, count, logits);
}

zm_status zm_session_rewind(zm_session *session, uint32_t position)
{
    if (!session)
        return ZM_ERROR_INVALID_ARGUMENT;
    return session->network->fns->rewind(session->network, position);
}

zm_status zm_session_take_records(zm_session *session, zm_records *out)
{
    return session ? zm_stream_take_records(session->network->stream, out)
                   : ZM_ERROR_INVALID_ARGUMENT;
}

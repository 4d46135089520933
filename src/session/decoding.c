/* SPDX-License-Identifier: Apache-2.0 */
#include "session/decoding.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "session/network.h"

/* ---- what is kept ---- */

/* The next part of the buffer. */
static zm_tensor part(zm_decoding *decoding, uint32_t *used, uint32_t count)
{
    zm_tensor tensor = zm_tensor_1d(decoding->numbers.buffer, ZM_I32, count);
    tensor.offset = *used;
    *used += count;
    return tensor;
}

static zm_status numbers_create(zm_network *network)
{
    zm_decoding *decoding = &network->decoding;
    const zm_session_info *info = &network->info;
    uint32_t used = 0, all = 2 * decoding->batch + 3 * info->sequences + 1 + info->logits;
    zm_buffer *buffer = NULL;
    zm_status status = zm_storage_buffer(&network->storages[0], all, ZM_I32, &buffer);
    if (status != ZM_OK)
        return status;
    decoding->numbers = zm_tensor_1d(buffer, ZM_I32, all);
    decoding->tokens = part(decoding, &used, decoding->batch);
    decoding->places = part(decoding, &used, decoding->batch);
    decoding->starts = part(decoding, &used, info->sequences + 1);
    decoding->firsts = part(decoding, &used, info->sequences);
    decoding->lengths = part(decoding, &used, info->sequences);
    decoding->asked = part(decoding, &used, info->logits);
    decoding->values = zm_calloc(all, sizeof(*decoding->values));
    decoding->positions = zm_calloc(info->sequences, sizeof(*decoding->positions));
    if (!decoding->values || !decoding->positions)
        return zm_fail(&network->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    return ZM_OK;
}

/* Rows of so many numbers in a buffer of the device, at least one and at most so many. */
static uint32_t fitting_rows(const zm_storage *storage, uint64_t width, uint32_t most)
{
    uint64_t limit = zm_device_get_info(storage->device)->limits.max_buffer_bytes;
    uint64_t fit = limit / (width * zm_dtype_size(storage->real_type));
    return fit == 0 ? 1 : fit < most ? (uint32_t)fit : most;
}

zm_status zm_decoding_create(zm_network *network, uint32_t most, uint64_t width)
{
    zm_decoding *decoding = &network->decoding;
    zm_storage *last = &network->storages[network->device_count - 1];
    zm_session_info *info = &network->info;
    decoding->batch = most;
    for (uint32_t i = 0; i < network->device_count; i++)
        decoding->batch = fitting_rows(&network->storages[i], width, decoding->batch);
    info->logits = fitting_rows(last, info->vocabulary, info->logits);
    zm_status status = numbers_create(network);
    if (status == ZM_OK)
        status = zm_storage_matrix(last, info->logits, info->vocabulary, &decoding->logits);
    return status;
}

void zm_decoding_finish(zm_decoding *decoding)
{
    free(decoding->values);
    free(decoding->positions);
}

/* ---- the graph ---- */

void zm_decoding_begin(zm_network *network, zm_graph *graph)
{
    zm_decoding *decoding = &network->decoding;
    const zm_session_info *info = &network->info;
    uint32_t rows = decoding->batch < info->positions ? decoding->batch : info->positions;
    decoding->count = zm_graph_symbol(graph, "tokens", 1, decoding->batch);
    decoding->length = zm_graph_symbol(graph, "length", 1, info->positions);
    decoding->rows = zm_graph_symbol(graph, "rows", 1, rows);
    decoding->answers = zm_graph_symbol(graph, "logits", 1, info->logits);
}

/* Lookups by number: the rows need not be neighbours. */
static zm_tensor take_rows(zm_graph *graph, const char *name, zm_tensor from, zm_tensor numbers,
                           zm_size count, uint32_t d)
{
    const zm_size shape[] = {count, d};
    const zm_embedding_params params = {.tokens = zm_graph_rows(graph, numbers, 0, count),
                                        .table = from,
                                        .dst =
                                            zm_graph_tensor(graph, name, ZM_DTYPE_NONE, 2, shape)};
    zm_graph_embedding(graph, &params);
    return params.dst;
}

zm_tensor zm_decoding_positions(const zm_network *network, zm_graph *graph, zm_tensor table,
                                uint32_t d)
{
    const zm_decoding *decoding = &network->decoding;
    return take_rows(graph, "positions", table, decoding->places, decoding->count, d);
}

void zm_decoding_attend(const zm_network *network, zm_block_attention *attention)
{
    const zm_decoding *decoding = &network->decoding;
    attention->length = decoding->length;
    attention->rows = decoding->rows;
    attention->positions = decoding->firsts;
    attention->lengths = decoding->lengths;
    attention->starts = decoding->starts;
}

void zm_decoding_end(zm_network *network, zm_graph *graph, const zm_block *block,
                     const zm_norm_weights *norm, const zm_linear *head, zm_tensor x)
{
    const zm_decoding *decoding = &network->decoding;
    zm_tensor rows = take_rows(graph, "last", x, decoding->asked, decoding->answers, x.shape[1]);
    const zm_matmul_params params = {
        .x = zm_network_leave(network, graph, block, norm, rows),
        .weight = head->weight,
        .bias = head->bias,
        .scale = {.column_sums = head->column_sums},
        .dst = zm_graph_rows(graph, decoding->logits, 0, decoding->answers)};
    zm_graph_matmul(graph, &params);
    zm_graph_observe(graph, "logits", 0, params.dst);
}

/* ---- what may be run ---- */

/* Steps by sequence; NULL = not in this call. */
typedef struct work {
    const zm_step *of[ZM_MAX_SEQUENCES];
    uint32_t sequence, token;                       /* the next one */
    uint32_t rows, most_rows, most_length, answers; /* of a run */
} work;

static zm_status check_step(const zm_network *network, const zm_step *step)
{
    const zm_session_info *info = &network->info;
    uint32_t position = network->decoding.positions[step->sequence];
    if (!step->tokens || step->count == 0 || step->rows > step->count)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "decode: sequence %u needs tokens, at least one and as many as there are "
                       "logits wanted",
                       step->sequence);
    if (step->count > info->positions - position)
        return zm_fail(&network->log, ZM_ERROR_LIMIT,
                       "decode: %u tokens behind position %u of sequence %u; there is room for %u",
                       step->count, position, step->sequence, info->positions);
    for (uint32_t i = 0; i < step->count; i++)
        if (step->tokens[i] < 0 || (uint32_t)step->tokens[i] >= info->vocabulary)
            return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                           "decode: token %d is outside the vocabulary of %u", step->tokens[i],
                           info->vocabulary);
    return ZM_OK;
}

static zm_status take_steps(const zm_network *network, const zm_step *steps, uint32_t count,
                            work *w)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sequence = steps[i].sequence;
        if (sequence >= network->info.sequences)
            return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                           "decode: there is no sequence %u; the session has %u", sequence,
                           network->info.sequences);
        if (w->of[sequence])
            return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                           "decode: sequence %u is in a step twice", sequence);
        w->of[sequence] = &steps[i];
        zm_status status = check_step(network, &steps[i]);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

/* ---- runs ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Tokens in front of those whose logits are wanted, from the token-th on. */
static uint32_t silent_tokens(const zm_step *step, uint32_t token)
{
    uint32_t rows = !step->logits ? 0 : step->rows ? step->rows : 1, silent = step->count - rows;
    return silent > token ? silent - token : 0;
}

/* Puts tokens of the next sequence into the run. False: not all of them have room there. */
static bool take_tokens(zm_network *network, work *w)
{
    zm_decoding *decoding = &network->decoding;
    const zm_step *step = w->of[w->sequence];
    uint32_t silent = silent_tokens(step, w->token), rest = step->count - w->token;
    uint32_t count = least(rest, decoding->batch - w->rows);
    count = least(count, silent + network->info.logits - w->answers);
    uint32_t first = decoding->positions[w->sequence] + w->token;
    for (uint32_t i = 0; i < count; i++, w->rows++) {
        decoding->values[decoding->tokens.offset + w->rows] = step->tokens[w->token + i];
        decoding->values[decoding->places.offset + w->rows] = (int32_t)(first + i);
        if (i >= silent)
            decoding->values[decoding->asked.offset + w->answers++] = (int32_t)w->rows;
    }
    decoding->values[decoding->firsts.offset + w->sequence] = (int32_t)first;
    decoding->values[decoding->lengths.offset + w->sequence] = (int32_t)(first + count);
    w->most_rows = count > w->most_rows ? count : w->most_rows;
    if (count && first + count > w->most_length)
        w->most_length = first + count;
    w->token = count < rest ? w->token + count : 0;
    return count == rest;
}

/* As much as goes into one run; the sequences behind that have no rows in it. */
static void fill_run(zm_network *network, work *w)
{
    zm_decoding *decoding = &network->decoding;
    int32_t *starts = decoding->values + decoding->starts.offset;
    bool more = true;
    w->rows = w->most_rows = w->most_length = w->answers = 0;
    for (uint32_t s = 0; s < network->info.sequences; s++) {
        starts[s] = (int32_t)w->rows;
        if (s != w->sequence || !more)
            continue;
        more = !w->of[s] || take_tokens(network, w);
        w->sequence += more;
    }
    starts[network->info.sequences] = (int32_t)w->rows;
    if (w->answers == 0) /* the graph has one row at least */
        decoding->values[decoding->asked.offset] = (int32_t)w->rows - 1;
}

static zm_status run(zm_network *network, const work *w)
{
    const zm_decoding *decoding = &network->decoding;
    zm_pipeline *pipeline = decoding->pipeline;
    zm_status status =
        zm_buffer_write(network->streams[0], decoding->numbers.buffer, 0, decoding->values,
                        decoding->numbers.shape[0] * sizeof(*decoding->values));
    if (status == ZM_OK)
        status = zm_pipeline_set(pipeline, decoding->count, w->rows);
    if (status == ZM_OK)
        status = zm_pipeline_set(pipeline, decoding->rows, w->most_rows);
    if (status == ZM_OK)
        status = zm_pipeline_set(pipeline, decoding->length, w->most_length);
    if (status == ZM_OK)
        status = zm_pipeline_set(pipeline, decoding->answers, w->answers ? w->answers : 1);
    return status == ZM_OK ? zm_network_run(network, pipeline) : status;
}

/* Hands out the logits of a run. */
static zm_status read_logits(zm_network *network, const work *w)
{
    const zm_decoding *decoding = &network->decoding;
    const int32_t *starts = decoding->values + decoding->starts.offset;
    const int32_t *firsts = decoding->values + decoding->firsts.offset;
    uint32_t answer = 0;
    zm_status status = ZM_OK;
    for (uint32_t s = 0; status == ZM_OK && answer < w->answers; s++) {
        uint32_t rows = (uint32_t)(starts[s + 1] - starts[s]);
        if (rows == 0)
            continue;
        const zm_step *step = w->of[s];
        uint32_t token = (uint32_t)firsts[s] - decoding->positions[s];
        uint32_t silent = silent_tokens(step, token);
        if (silent >= rows)
            continue;
        const zm_tensor from = zm_tensor_rows(decoding->logits, answer, rows - silent);
        size_t row = token + silent - silent_tokens(step, 0);
        status = zm_network_read(network, &from, step->logits + row * network->info.vocabulary);
        answer += rows - silent;
    }
    return status;
}

zm_status zm_decoding_run(zm_network *network, const zm_step *steps, uint32_t count)
{
    work w = {.sequence = 0};
    zm_status status = take_steps(network, steps, count, &w);
    while (status == ZM_OK) {
        fill_run(network, &w);
        if (w.rows == 0)
            break;
        status = run(network, &w);
        if (status == ZM_OK)
            status = read_logits(network, &w);
    }
    for (uint32_t i = 0; status == ZM_OK && i < count; i++)
        network->decoding.positions[steps[i].sequence] += steps[i].count;
    return status;
}

zm_status zm_decoding_rewind(zm_network *network, uint32_t sequence, uint32_t position)
{
    zm_decoding *decoding = &network->decoding;
    if (sequence >= network->info.sequences)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "rewind: there is no sequence %u; the session has %u", sequence,
                       network->info.sequences);
    if (position > decoding->positions[sequence])
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "rewind: position %u is behind the decoder's %u tokens", position,
                       decoding->positions[sequence]);
    decoding->positions[sequence] = position;
    return ZM_OK;
}

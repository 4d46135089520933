/* SPDX-License-Identifier: Apache-2.0 */
/* How well a model predicts a text. */
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "generate/run.h"

enum { WINDOW = 512 };

typedef struct measure {
    const zm_language_model *model;
    const zm_perplexity_params *params;
    float *logits; /* of as many tokens as a step is given */
    uint64_t count;
    double sum, squares; /* of -log p */
} measure;

static zm_status check_params(const measure *m, uint32_t *window)
{
    const zm_perplexity_params *params = m->params;
    const zm_session_info *info = &m->model->info;
    if (info->vocabulary == 0 || info->positions < 2)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "the model has no decoder of text");
    if (!params->tokens || params->token_count < 2)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "perplexity: a text of at least two tokens is needed");
    for (size_t i = 0; i < params->token_count; i++)
        if (params->tokens[i] < 0 || (uint32_t)params->tokens[i] >= info->vocabulary)
            return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                           "perplexity: the text has the token %d, the model has %u",
                           (int)params->tokens[i], (unsigned)info->vocabulary);
    *window = params->window ? params->window : info->positions < WINDOW ? info->positions : WINDOW;
    if (*window < 2 || *window > info->positions)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "perplexity: a window of %u tokens; the context has room for 2 to %u",
                       (unsigned)*window, (unsigned)info->positions);
    return ZM_OK;
}

/* Of finite numbers only; NAN of others. Comparisons and no calls: there are many of them. */
static float largest_of(const float *logits, uint32_t count)
{
    float largest = -INFINITY, zero = 0;
    for (uint32_t i = 0; i < count; i++) {
        largest = logits[i] > largest ? logits[i] : largest;
        zero += logits[i] * 0;
    }
    return zero == 0 ? largest : NAN;
}

/* -log softmax(logits)[token] */
static zm_status add_token(measure *m, const float *logits, int32_t token)
{
    const uint32_t count = m->model->info.vocabulary;
    const double largest = (double)largest_of(logits, count);
    double sum = 0;
    if (isnan(largest))
        return zm_fail(m->params->log, ZM_ERROR_DEVICE,
                       "the logits are not finite numbers; try another device");
    for (uint32_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - largest);
    const double loss = log(sum) + largest - (double)logits[token];
    m->sum += loss;
    m->squares += loss * loss;
    m->count++;
    return ZM_OK;
}

static zm_status measure_step(measure *m, size_t begin, uint32_t count)
{
    const int32_t *tokens = m->params->tokens + begin;
    const zm_step step = {.tokens = tokens, .count = count, .rows = count, .logits = m->logits};
    zm_status status = m->model->step(m->model->user, &step, 1);
    for (uint32_t i = 0; status == ZM_OK && i < count; i++)
        status = add_token(m, m->logits + (size_t)i * m->model->info.vocabulary, tokens[i + 1]);
    return status;
}

static zm_status measure_window(measure *m, size_t begin, size_t end)
{
    const zm_perplexity_params *params = m->params;
    const size_t most = m->model->info.logits;
    zm_status status = m->model->rewind(m->model->user, 0, 0);
    for (size_t i = begin; status == ZM_OK && i + 1 < end; i += most) {
        const size_t rest = end - 1 - i;
        if (params->progress &&
            !params->progress(params->progress_user, "perplexity", i, params->token_count))
            return ZM_ERROR_CANCELLED;
        status = measure_step(m, i, (uint32_t)(rest < most ? rest : most));
    }
    return status;
}

static void give_result(const measure *m, zm_perplexity_result *out)
{
    const double count = (double)m->count, mean = m->sum / count;
    const double variance = m->count > 1 ? (m->squares - m->sum * mean) / (count - 1) : 0;
    out->mean = mean;
    out->perplexity = exp(mean);
    out->deviation = variance > 0 ? sqrt(variance / count) : 0;
    out->token_count = m->count;
}

zm_status zm_perplexity_with(const zm_language_model *model, const zm_perplexity_params *params,
                             zm_perplexity_result *out)
{
    measure m = {.model = model, .params = params};
    zm_perplexity_result result = {0};
    const uint64_t clock = zm_clock_ns();
    zm_status status = check_params(&m, &result.window);
    if (status != ZM_OK)
        return status;
    m.logits = zm_calloc((size_t)model->info.logits * model->info.vocabulary, sizeof(float));
    if (!m.logits)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "perplexity: out of memory");
    for (size_t begin = 0; status == ZM_OK && begin + 1 < params->token_count;) {
        const size_t rest = params->token_count - begin;
        const size_t size = rest < result.window ? rest : result.window;
        status = measure_window(&m, begin, begin + size);
        result.window_count++;
        begin += size;
    }
    if (status == ZM_OK) {
        give_result(&m, &result);
        result.seconds = zm_clock_since(clock);
        *out = result;
    }
    free(m.logits);
    return status;
}

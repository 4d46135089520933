/* SPDX-License-Identifier: Apache-2.0 */
#include "transcribe/rules.h"

#include <math.h>

#include "common/log.h"

zm_status zm_token_rules_init(zm_token_rules *rules, const zm_whisper_info *info, bool timestamps,
                              const zm_log *log)
{
    const int64_t vocabulary = info->vocabulary;
    bool ordered = info->end_token >= 1 && info->start_token > info->end_token &&
                   info->no_timestamps_token > info->start_token &&
                   info->first_timestamp_token > info->no_timestamps_token &&
                   info->first_timestamp_token + (int64_t)ZM_TIMESTAMPS <= vocabulary;
    for (size_t i = 0; i < info->suppress_count; i++)
        ordered = ordered && info->suppress[i] >= 0 && info->suppress[i] < vocabulary;
    for (size_t i = 0; i < info->begin_suppress_count; i++)
        ordered = ordered && info->begin_suppress[i] >= 0 && info->begin_suppress[i] < vocabulary;
    if (!ordered)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "the model's special tokens are not those of Whisper: end %d, start %d, "
                       "first timestamp %d of %u tokens",
                       (int)info->end_token, (int)info->start_token,
                       (int)info->first_timestamp_token, (unsigned)info->vocabulary);
    *rules = (zm_token_rules){
        .vocabulary = info->vocabulary,
        .end = info->end_token,
        .first_timestamp = info->first_timestamp_token,
        .timestamps = timestamps,
        .suppress = info->suppress,
        .suppress_count = info->suppress_count,
        .begin_suppress = info->begin_suppress,
        .begin_suppress_count = info->begin_suppress_count,
    };
    return ZM_OK;
}

static void forbid(float *logits, int32_t begin, int32_t end)
{
    for (int32_t i = begin; i < end; i++)
        logits[i] = -INFINITY;
}

/* Timestamps come in pairs, never decrease, and no segment is empty. */
static void apply_timestamp_order(const zm_token_rules *rules, const int32_t *tokens, size_t count,
                                  float *logits)
{
    const int32_t first = rules->first_timestamp;
    const bool last_is_time = tokens[count - 1] >= first;
    const bool previous_is_time = count < 2 || tokens[count - 2] >= first;
    if (last_is_time && previous_is_time)
        forbid(logits, first, (int32_t)rules->vocabulary);
    else if (last_is_time)
        forbid(logits, 0, rules->end);
    for (size_t i = count; i-- > 0;) {
        if (tokens[i] < first)
            continue;
        /* The second one of a pair may repeat the first; otherwise time has to pass. */
        bool opens_segment = last_is_time && !previous_is_time;
        forbid(logits, first, opens_segment ? tokens[i] : tokens[i] + 1);
        break;
    }
}

/* Whether all timestamps together are more probable than any single text token. */
static bool time_is_due(const zm_token_rules *rules, const float *logits)
{
    const int32_t first = rules->first_timestamp, end = first + ZM_TIMESTAMPS;
    float best_text = -INFINITY, best_time = -INFINITY;
    for (int32_t i = 0; i < first; i++)
        best_text = logits[i] > best_text ? logits[i] : best_text;
    for (int32_t i = first; i < end; i++)
        best_time = logits[i] > best_time ? logits[i] : best_time;
    if (best_time == -INFINITY)
        return false;
    double sum = 0;
    for (int32_t i = first; i < end; i++)
        sum += exp((double)logits[i] - best_time);
    return best_time + log(sum) > best_text;
}

static void apply_timestamps(const zm_token_rules *rules, const int32_t *tokens, size_t count,
                             float *logits)
{
    const int32_t first = rules->first_timestamp;
    forbid(logits, first + ZM_TIMESTAMPS, (int32_t)rules->vocabulary);
    if (count > 0) {
        apply_timestamp_order(rules, tokens, count, logits);
    } else {
        forbid(logits, 0, first);
        forbid(logits, first + ZM_TIMESTAMP_FIRST_MAX + 1, (int32_t)rules->vocabulary);
    }
    if (time_is_due(rules, logits))
        forbid(logits, 0, first);
}

void zm_token_rules_apply(const zm_token_rules *rules, const int32_t *tokens, size_t count,
                          float *logits)
{
    for (size_t i = 0; i < rules->suppress_count; i++)
        logits[rules->suppress[i]] = -INFINITY;
    for (size_t i = 0; count == 0 && i < rules->begin_suppress_count; i++)
        logits[rules->begin_suppress[i]] = -INFINITY;
    forbid(logits, rules->end + 1, rules->first_timestamp);
    if (rules->timestamps)
        apply_timestamps(rules, tokens, count, logits);
    else
        forbid(logits, rules->first_timestamp, (int32_t)rules->vocabulary);
}

int32_t zm_token_best(const float *logits, uint32_t count)
{
    int32_t best = -1;
    float most = -INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        if (logits[i] > most) {
            most = logits[i];
            best = (int32_t)i;
        }
    }
    return best;
}

double zm_token_log_probability(const float *logits, uint32_t count, int32_t token)
{
    float most = -INFINITY;
    for (uint32_t i = 0; i < count; i++)
        most = logits[i] > most ? logits[i] : most;
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - most);
    return (double)logits[token] - most - log(sum);
}

bool zm_tokens_loop(const int32_t *text, size_t count)
{
    enum { PERIOD_MAX = 40, REPEATS = 5, TOKENS_MIN = 24 };
    for (size_t period = 1; period <= PERIOD_MAX && period < count; period++) {
        size_t length = period;
        while (length < count && text[count - 1 - length] == text[count - 1 - length + period])
            length++;
        if (length >= TOKENS_MIN && length >= period * REPEATS)
            return true;
    }
    return false;
}

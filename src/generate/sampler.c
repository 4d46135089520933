/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"

enum { REPEAT_LAST = 64 };

/* The C library's may differ in the last bit from platform to platform. x = n log 2 + r with
 * |r| <= log 2 / 2, Taylor's series of exp(r / 16), squared four times. */
double zm_exp_same(double x)
{
    if (x < -700)
        return 0;
    const double n = floor(x * 1.4426950408889634 + 0.5);
    const double r = ((x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10) / 16;
    double less_one = 0; /* exp(r / 16) - 1: squared so, it loses no digits */
    for (int i = 10; i >= 1; i--)
        less_one = (1 + less_one) * r / i;
    for (int i = 0; i < 4; i++)
        less_one = less_one * (2 + less_one);
    return ldexp(1 + less_one, (int)n);
}

static zm_status check_rules(const zm_sampling *rules, const zm_log *log)
{
    const char *what = NULL;
    if (!isfinite(rules->temperature) || rules->temperature < 0)
        what = "temperature is a number from 0";
    else if (!(rules->top_p >= 0 && rules->top_p <= 1))
        what = "top-p is a number from 0 to 1";
    else if (!(rules->min_p >= 0 && rules->min_p <= 1))
        what = "min-p is a number from 0 to 1";
    else if (!isfinite(rules->repeat_penalty) || rules->repeat_penalty < 0)
        what = "repetition penalty is a number above 0";
    if (what)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "sampling: a %s", what);
    return ZM_OK;
}

zm_status zm_sampler_init(zm_sampler *sampler, const zm_sampling *rules, uint32_t vocabulary,
                          const zm_log *log)
{
    *sampler = (zm_sampler){.rules = *rules, .vocabulary = vocabulary};
    zm_status status = check_rules(rules, log);
    if (status != ZM_OK)
        return status;
    zm_sampling *own = &sampler->rules;
    if (own->top_k == 0 || own->top_k > vocabulary)
        own->top_k = vocabulary;
    if (own->top_p == 0)
        own->top_p = 1;
    if (own->repeat_penalty == 0)
        own->repeat_penalty = 1;
    if (own->repeat_last == 0)
        own->repeat_last = REPEAT_LAST;
    zm_random_init(&sampler->random, own->seed);
    sampler->logits = zm_calloc(vocabulary, sizeof(float));
    if (own->temperature > 0)
        sampler->candidates = zm_calloc(vocabulary, sizeof(zm_candidate));
    if (!sampler->logits || (own->temperature > 0 && !sampler->candidates))
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "sampling: out of memory");
    return ZM_OK;
}

void zm_sampler_finish(zm_sampler *sampler)
{
    free(sampler->logits);
    free(sampler->candidates);
    *sampler = (zm_sampler){0};
}

static float punished(float logit, float penalty)
{
    const float value = logit > 0 ? logit / penalty : logit * penalty;
    return fmaxf(-FLT_MAX, fminf(value, FLT_MAX));
}

/* From the logits as given, so that a token that is there twice is not punished twice. */
static void punish(zm_sampler *sampler, const float *logits, const int32_t *tokens, size_t count)
{
    const float penalty = sampler->rules.repeat_penalty;
    const size_t last = sampler->rules.repeat_last < count ? sampler->rules.repeat_last : count;
    memcpy(sampler->logits, logits, sampler->vocabulary * sizeof(*logits));
    if (penalty == 1)
        return;
    for (size_t i = count - last; i < count; i++) {
        const uint32_t id = (uint32_t)tokens[i];
        if (id < sampler->vocabulary)
            sampler->logits[id] = punished(logits[id], penalty);
    }
}

static int32_t best(const zm_sampler *sampler)
{
    uint32_t found = 0;
    for (uint32_t i = 1; i < sampler->vocabulary; i++)
        if (sampler->logits[i] > sampler->logits[found])
            found = i;
    return (int32_t)found;
}

static bool comes_first(const zm_candidate *a, const zm_candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

/* Moves the root of a heap, whose first is the root, to where it belongs. */
static void sink(zm_candidate *heap, size_t count, size_t at)
{
    const zm_candidate moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && comes_first(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_first(&heap[child], &moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static void swap(zm_candidate *a, zm_candidate *b)
{
    const zm_candidate other = *a;
    *a = *b;
    *b = other;
}

static double weigh(zm_sampler *sampler)
{
    const double largest = (double)sampler->logits[best(sampler)];
    const double temperature = (double)sampler->rules.temperature;
    double sum = 0;
    for (uint32_t i = 0; i < sampler->vocabulary; i++) {
        zm_candidate *candidate = &sampler->candidates[i];
        candidate->id = (int32_t)i;
        candidate->logit = sampler->logits[i];
        candidate->weight = zm_exp_same(((double)candidate->logit - largest) / temperature);
        sum += candidate->weight;
    }
    return sum;
}

/* The best `wanted` of them, in order, to the front: what leaves a heap makes room at its end, and
 * then all are turned around. */
static void take_best(zm_candidate *all, size_t count, size_t wanted)
{
    for (size_t i = count / 2; i-- > 0;)
        sink(all, count, i);
    for (size_t taken = 0; taken < wanted; taken++) {
        swap(&all[0], &all[count - 1 - taken]);
        sink(all, count - 1 - taken, 0);
    }
    for (size_t i = 0, k = count - 1; i < k; i++, k--)
        swap(&all[i], &all[k]);
}

/* How many of the best have a chance of at least min_p of the best one's. */
static size_t count_probable(const zm_sampler *sampler)
{
    size_t count = 0;
    for (uint32_t i = 0; i < sampler->vocabulary; i++)
        count += sampler->candidates[i].weight >= (double)sampler->rules.min_p;
    return count;
}

/* How many of the best, in no order yet, reach top_p of sum: found by their weights, without a
 * sort of all. */
static size_t count_top_p(zm_candidate *all, size_t sorted, double least)
{
    double sum = 0;
    for (size_t i = 0; i < sorted; i++) {
        sum += all[i].weight;
        if (sum >= least)
            return i + 1;
    }
    return 0;
}

size_t zm_sampler_keep(zm_sampler *sampler)
{
    const zm_sampling *rules = &sampler->rules;
    const size_t all = sampler->vocabulary;
    double sum = weigh(sampler);
    if (rules->top_k == all && rules->top_p == 1 && rules->min_p == 0)
        return all;
    const size_t probable = count_probable(sampler); /* the best one weighs 1 */
    size_t kept = rules->top_k < probable ? rules->top_k : probable;
    if (rules->top_p == 1) {
        take_best(sampler->candidates, all, kept);
        return kept;
    }
    if (rules->top_k < all) {
        take_best(sampler->candidates, all, rules->top_k);
        sum = 0;
        for (size_t i = 0; i < rules->top_k; i++)
            sum += sampler->candidates[i].weight;
        const size_t enough =
            count_top_p(sampler->candidates, rules->top_k, sum * (double)rules->top_p);
        return enough && enough < kept ? enough : kept;
    }
    /* Most of the sum is in few tokens: sort more only while that is not so. */
    for (size_t sorted = 64;; sorted *= 8) {
        sorted = sorted < kept ? sorted : kept;
        take_best(sampler->candidates, all, sorted);
        const size_t enough = count_top_p(sampler->candidates, sorted, sum * (double)rules->top_p);
        if (enough || sorted == kept)
            return enough ? enough : kept;
    }
}

static int32_t draw(zm_sampler *sampler)
{
    const size_t kept = zm_sampler_keep(sampler);
    double sum = 0, reached = 0;
    for (size_t i = 0; i < kept; i++)
        sum += sampler->candidates[i].weight;
    const double wanted = zm_random_unit(&sampler->random) * sum;
    size_t last = 0; /* with a weight: rounding may leave wanted at the sum */
    for (size_t i = 0; i < kept; i++) {
        if (sampler->candidates[i].weight == 0)
            continue;
        last = i;
        reached += sampler->candidates[i].weight;
        if (wanted < reached)
            break;
    }
    return sampler->candidates[last].id;
}

zm_status zm_sampler_choose(zm_sampler *sampler, const float *logits, const int32_t *tokens,
                            size_t count, const zm_log *log, int32_t *out)
{
    for (uint32_t i = 0; i < sampler->vocabulary; i++)
        if (!isfinite(logits[i]))
            return zm_fail(log, ZM_ERROR_DEVICE,
                           "the logits are not finite numbers; try another device");
    punish(sampler, logits, tokens, count);
    *out = sampler->rules.temperature > 0 ? draw(sampler) : best(sampler);
    return ZM_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which token comes next: zm_sampling, done. */
#ifndef ZM_SRC_GENERATE_SAMPLER_H
#define ZM_SRC_GENERATE_SAMPLER_H

#include <zeromean/generate.h>

#include "generate/random.h"

typedef struct zm_candidate {
    int32_t id;
    float logit;
    double weight; /* exp of the logit's distance to the largest one, over the temperature */
} zm_candidate;

typedef struct zm_sampler {
    zm_sampling rules; /* defaults resolved */
    zm_random random;
    uint32_t vocabulary;
    float *logits;            /* [vocabulary], with the penalty */
    zm_candidate *candidates; /* [vocabulary] */
} zm_sampler;

/* ZM_ERROR_INVALID_ARGUMENT: a rule is out of range. Finish it also after a failure. */
zm_status zm_sampler_init(zm_sampler *sampler, const zm_sampling *rules, uint32_t vocabulary,
                          const zm_log *log);
void zm_sampler_finish(zm_sampler *sampler);

/* Behind tokens[count]. ZM_ERROR_DEVICE: not all of logits[vocabulary] are finite. */
zm_status zm_sampler_choose(zm_sampler *sampler, const float *logits, const int32_t *tokens,
                            size_t count, const zm_log *log, int32_t *out);

/* What can be drawn: the first *out of candidates, the most probable first where anything but the
 * temperature is set, else all in order of id. For a temperature over 0. */
size_t zm_sampler_keep(zm_sampler *sampler);

/* exp(x) of basic arithmetic only, for x <= 0; to about 1e-15 of it. */
double zm_exp_same(double x);

#endif

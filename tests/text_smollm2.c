/* SPDX-License-Identifier: Apache-2.0 */
/* A real model of text, SmolLM2-135M in Q4_1, which scripts/fetch-model fetched, against what exact
 * mathematics on its decoded weights gives. */
#include <zeromean/session.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scratch.h"

/* "The capital of France is", and what greedy decoding makes of it. */
static const int32_t prompt[] = {504, 3575, 282, 4649, 314};
static const int32_t expected[] = {7042, 30, 198, 198, 504, 2988, 314, 42, 216, 34, 32,
                                   33,   40, 29,  32,  33,  29,   34,  34, 216, 33, 34,
                                   42,   33, 34,  42,  37,  35,   30,  2,  198, 1};
static const struct {
    int32_t token;
    double logit;
} first[] = {{7042, 17.3713}, {260, 14.8886}, {4528, 13.2450}, {2250, 13.0095}, {1315, 12.9515}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *spec;
static scratch_log test_log;

static int32_t largest(const float *logits, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        best = logits[i] > logits[best] ? i : best;
    return (int32_t)best;
}

static zm_model *open_model(void)
{
    const char *models = getenv("ZEROMEAN_MODELS_DIR");
    char path[1024];
    zm_model *model = NULL;
    snprintf(path, sizeof(path), "%s/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
             models ? models : MODELS_DIR);
    if (zm_model_open(path, &test_log.log, &model) != ZM_OK)
        fail_msg("%s cannot be opened: run scripts/fetch-model smollm2", path);
    return model;
}

static void test_greedy(void **state)
{
    const zm_device_params device_params = {.spec = spec, .log = &test_log.log};
    const zm_session_params params = {.log = &test_log.log, .positions = 64};
    zm_device *device = NULL;
    zm_session *session = NULL;
    (void)state;
    scratch_log_init(&test_log);
    zm_model *model = open_model();
    uint32_t vocabulary = zm_model_get_info(model)->text.vocabulary;
    float *logits = malloc(vocabulary * sizeof(*logits));
    assert_non_null(logits);
    if (zm_device_open(&device_params, &device) != ZM_OK ||
        zm_session_create(device, model, &params, &session) != ZM_OK)
        fail_msg("%s", test_log.error);
    zm_model_close(&model);

    assert_int_equal(zm_session_decode(session, prompt, COUNT(prompt), logits), ZM_OK);
    for (size_t i = 0; i < COUNT(first); i++)
        if (!(fabs((double)logits[first[i].token] - first[i].logit) < 1e-3))
            fail_msg("logit of %d is %g, expected %g", first[i].token,
                     (double)logits[first[i].token], first[i].logit);
    for (size_t i = 0; i < COUNT(expected); i++) {
        int32_t token = largest(logits, vocabulary);
        assert_int_equal(token, expected[i]);
        assert_int_equal(zm_session_decode(session, &token, 1, logits), ZM_OK);
    }
    zm_session_destroy(&session);
    zm_device_close(&device);
    free(logits);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),
    };
    spec = argc > 1 ? argv[1] : "host";
    return cmocka_run_group_tests(tests, NULL, NULL);
}

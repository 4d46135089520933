/* SPDX-License-Identifier: Apache-2.0 */
/* The node tests of the onnx package on our public ops.
 *
 * usage: test-onnx DEVICE...
 *
 * ZEROMEAN_TEST_ONNX is the folder that scripts/onnx-vectors made. On each device every case runs
 * that our ops express, those that they don't are listed with the reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "onnx/lab.h"

/* How many cases of the package our ops express: fewer mean that cases were lost. */
static const struct operator_of_onnx {
    const char *name;
    onnx_express express;
    unsigned least;
} operators[] = {
    {"LayerNormalization", onnx_layer_normalization, 19},
    {"RMSNormalization", onnx_rms_normalization, 19},
    {"MatMul", onnx_matmul, 7},
    {"Gemm", onnx_gemm, 8},
    {"Softmax", onnx_softmax, 7},
    {"Gelu", onnx_gelu, 4},
    {"Relu", onnx_relu, 1},
    {"Swish", onnx_swish, 1},
    {"Attention", onnx_attention, 41},
    {"RotaryEmbedding", onnx_rotary_embedding, 8},
};

typedef struct tally {
    unsigned number; /* of the line of output */
    unsigned run, failed, listed;
} tally;

static void report(tally *t, bool good, const char *device, const char *what)
{
    t->failed += !good;
    printf("%sok %u - %s on %s\n", good ? "" : "not ", ++t->number, what, device);
}

/* Why a case that ran did not pass; NULL if it did. */
static const char *failure(const onnx_lab *lab, const onnx_case *c)
{
    if (lab->status != ZM_OK) {
        return lab->log.error[0] ? lab->log.error : zm_status_message(lab->status);
    }
    if (lab->difference[0]) {
        return lab->difference;
    }
    return lab->compared == c->out[0].tensor->elements ? NULL : "not all of it was compared";
}

static bool run_case(onnx_lab *lab, onnx_express express, const onnx_case *c, tally *t)
{
    onnx_lab_reset(lab);
    express(lab, c);
    if (lab->unlike[0]) {
        ++t->listed;
        printf("# not expressed: %s: %s\n", c->name, lab->unlike);
        return false;
    }
    const char *why = failure(lab, c);
    report(t, !why, lab->info->spec, c->name);
    if (why) {
        printf("# %s\n", why);
    } else if (lab->partly[0]) {
        printf("# but for %s\n", lab->partly);
    }
    ++t->run;
    return true;
}

static void run_operator(onnx_lab *lab, const struct operator_of_onnx *o,
                         const onnx_vectors *vectors, tally *t)
{
    unsigned run = 0;
    char what[128];
    for (size_t i = 0; i < vectors->count; ++i) {
        if (strcmp(vectors->cases[i].op, o->name) == 0) {
            run += run_case(lab, o->express, &vectors->cases[i], t);
        }
    }
    snprintf(what, sizeof(what), "%s: %u cases, at least %u expected,", o->name, run, o->least);
    report(t, run >= o->least, lab->info->spec, what);
}

static void run_device(const char *spec, const onnx_vectors *vectors, tally *t)
{
    onnx_lab lab;
    tally here = {.number = t->number};
    if (onnx_lab_open(&lab, spec) != ZM_OK) {
        report(t, false, spec, "opening the device");
        printf("# %s\n", lab.log.error);
    } else {
        printf("# %s: %s\n", lab.info->spec, lab.info->name);
        for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); ++i) {
            run_operator(&lab, &operators[i], vectors, &here);
        }
        printf("# %s: %u cases run, worst error %.2f of the tolerance; %u not expressed\n",
               lab.info->spec, here.run, lab.worst, here.listed);
        t->number = here.number;
        t->failed += here.failed;
    }
    onnx_lab_close(&lab);
}

int main(int argc, char **argv)
{
    const char *folder = getenv("ZEROMEAN_TEST_ONNX");
    scratch_log log;
    onnx_vectors vectors = {0};
    tally t = {0};
    scratch_log_init(&log);
    if (!folder || argc < 2) {
        fputs("usage: test-onnx DEVICE..., with ZEROMEAN_TEST_ONNX as the folder that "
              "scripts/onnx-vectors makes\n",
              stderr);
        return 1;
    }
    if (onnx_vectors_open(folder, &log.log, &vectors) != ZM_OK) {
        fprintf(stderr, "test-onnx: %s\n", log.error);
        t.failed = 1;
    }
    for (int i = 1; i < argc && t.failed == 0; ++i) {
        run_device(argv[i], &vectors, &t);
    }
    printf("1..%u\n", t.number);
    onnx_vectors_close(&vectors);
    return t.failed ? 1 : 0;
}

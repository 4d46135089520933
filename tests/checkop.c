/* SPDX-License-Identifier: Apache-2.0 */
/* Checks every kernel candidate of every op on a device against the reference. */
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/op_run.h"

#define MAX_CANDIDATES 16
#define MAX_REPORTS 5 /* failures of a candidate that are described */

static const char usage[] =
    "usage: checkop [--device D] [--op GLOB] [--kernel GLOB] [--seed S] [--case N] [--list]\n"
    "\n"
    "Runs the cases of the ops on a device, with each kernel candidate that takes them, and\n"
    "compares with the plain-C reference in float64.\n"
    "  --device D     as for zeromean; default: ZEROMEAN_DEVICE, else the best one\n"
    "  --op GLOB      only these ops\n"
    "  --kernel GLOB  only these candidates\n"
    "  --seed S       of the inputs; default 1\n"
    "  --case N       only this case of each op, and what it is\n"
    "  --list         the ops, their candidates and the number of cases; runs nothing\n"
    "exit code: 0 all passed, 1 something failed, 2 usage\n";

typedef struct options {
    const char *device, *op, *kernel;
    uint64_t seed;
    long only; /* -1 = all cases */
    bool list;
} options;

/* What one candidate did. */
typedef struct tally {
    const char *name;
    size_t ran, refused, failed;
    double worst;
    char refusal[256];
} tally;

typedef struct session {
    const options *opt;
    zm_device *device;
    zm_stream *stream;
    const zm_device_info *info;
    char message[256]; /* the last error of the library */
    size_t passed, failed;
} session;

static void keep_message(void *user, zm_log_level level, const char *message)
{
    session *s = user;
    if (level == ZM_LOG_ERROR) {
        snprintf(s->message, sizeof(s->message), "%s", message);
    }
}

/* A case gives the same inputs whether it runs alone or among the others. */
static uint64_t case_seed(uint64_t seed, const char *op, size_t index)
{
    uint64_t hash = seed * UINT64_C(0x9e3779b97f4a7c15) + index;
    for (; *op; ++op) {
        hash = (hash ^ (unsigned char)*op) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void report_failure(const session *s, const op_run *run, size_t index, const char *kernel,
                           const char *reason)
{
    char text[300];
    op_case_describe(run->op, &run->c, text, sizeof(text));
    printf("  %s case %zu: %s\n    %s\n", kernel, index, text, reason);
    printf("    again: checkop --device %s --op %s --kernel %s --seed %" PRIu64 " --case %zu\n",
           s->info->spec, run->op->name, kernel, s->opt->seed, index);
}

/* Why the library refused, without the words that the table has already. */
static const char *reason_of(const session *s, zm_status status)
{
    const char *reason = strstr(s->message, "can't do it: ");
    if (s->message[0] == '\0') {
        return zm_status_message(status);
    }
    return reason ? strchr(reason, ':') + 2 : s->message;
}

static void verify(session *s, op_run *run, size_t index, tally *t)
{
    op_verdict verdict = {.ok = false};
    s->message[0] = '\0';
    zm_status status = zm_device_force_kernel(s->device, run->op->name, t->name);
    if (status == ZM_OK) {
        status = op_run_verify(run, s->stream, s->info->real_type, &verdict);
    }
    if (status == ZM_ERROR_UNSUPPORTED) {
        ++t->refused;
        snprintf(t->refusal, sizeof(t->refusal), "%s", reason_of(s, status));
        return;
    }
    ++t->ran;
    t->worst = fmax(t->worst, verdict.error);
    if (status || !verdict.ok) {
        ++t->failed;
        if (t->failed <= MAX_REPORTS) {
            report_failure(s, run, index, t->name, status ? reason_of(s, status) : verdict.reason);
        }
    }
}

static void report_orphan(const session *s, const op_description *op, const op_case *c,
                          size_t index, zm_status status)
{
    char text[300];
    op_case_describe(op, c, text, sizeof(text));
    printf("  case %zu: %s\n    %s: %s\n", index, text,
           status ? "cannot be set up" : "no kernel takes it", reason_of(s, status));
}

/* An orphan is a case that cannot be set up, or that no candidate takes. */
static void run_case(session *s, const op_description *op, const op_case *c, size_t index,
                     tally *tallies, size_t count, size_t *orphans)
{
    op_run *run = NULL;
    bool taken = false;
    s->message[0] = '\0';
    zm_status status =
        op_run_create(s->device, op, c, case_seed(s->opt->seed, op->name, index), &run);
    if (status == ZM_OK) {
        op_run_reference(run);
        for (size_t i = 0; i < count; ++i) {
            size_t refused = tallies[i].refused;
            verify(s, run, index, &tallies[i]);
            taken = taken || tallies[i].refused == refused;
        }
    }
    if (!taken && ++*orphans <= MAX_REPORTS) {
        report_orphan(s, op, c, index, status);
    }
    op_run_destroy(&run);
}

static void report(session *s, const op_description *op, const tally *t)
{
    double tolerance = s->info->real_type == ZM_F64 ? op->tolerance_f64 : op->tolerance_f32;
    if (t->ran == 0 && t->refused == 0) {
        return;
    }
    if (t->ran == 0) {
        printf("%-12s %-12s refused: %s\n", op->name, t->name, t->refusal);
        return;
    }
    printf("%-12s %-12s %4zu cases, worst error %.2e of %.0e, %s", op->name, t->name, t->ran,
           t->worst, tolerance, t->failed ? "FAILED" : "ok");
    if (t->refused) {
        printf(" (%zu refused: %s)", t->refused, t->refusal);
    }
    putchar('\n');
    if (t->failed) {
        ++s->failed;
    } else {
        ++s->passed;
    }
}

static size_t find_candidates(const options *opt, const char *op, tally *tallies)
{
    size_t op_count, count = 0;
    const zm_op_info *infos = zm_op_list(&op_count);
    for (size_t i = 0; i < op_count; ++i) {
        for (size_t j = 0; j < infos[i].candidate_count && strcmp(infos[i].name, op) == 0; ++j) {
            const char *name = infos[i].candidates[j];
            if (fnmatch(opt->kernel, name, 0) == 0 && count < MAX_CANDIDATES) {
                tallies[count++] = (tally){.name = name};
            }
        }
    }
    return count;
}

static void check_op(session *s, const op_description *op, const op_list *list)
{
    tally tallies[MAX_CANDIDATES];
    size_t count = find_candidates(s->opt, op->name, tallies), orphans = 0;
    bool all_candidates = strcmp(s->opt->kernel, "*") == 0;
    for (size_t i = 0; i < list->count; ++i) {
        if (s->opt->only < 0 || (size_t)s->opt->only == i) {
            run_case(s, op, &list->cases[i], i, tallies, count, &orphans);
        }
    }
    for (size_t i = 0; i < count; ++i) {
        report(s, op, &tallies[i]);
    }
    if (orphans && all_candidates) {
        printf("%-12s %zu cases that no kernel takes: FAILED\n", op->name, orphans);
        ++s->failed;
    }
    fflush(stdout);
}

static void list_op(const session *s, const op_description *op, const op_list *list)
{
    tally tallies[MAX_CANDIDATES];
    size_t count = find_candidates(s->opt, op->name, tallies);
    printf("%-12s %4zu cases;", op->name, list->count);
    for (size_t i = 0; i < count; ++i) {
        printf(" %s", tallies[i].name);
    }
    putchar('\n');
}

static bool do_op(session *s, const op_description *op)
{
    op_list list = {0};
    bool ok = op->cases(&list);
    if (!ok) {
        fprintf(stderr, "checkop: out of memory\n");
    } else if (s->opt->list) {
        list_op(s, op, &list);
    } else {
        check_op(s, op, &list);
    }
    op_list_finish(&list);
    return ok;
}

static bool open_device(session *s, const zm_environment *environment)
{
    zm_log log = {keep_message, s, ZM_LOG_ERROR};
    const char *spec = s->opt->device ? s->opt->device : environment->device;
    zm_device_params params = {.spec = spec, .log = &log, .cache_dir = environment->cache_dir};
    if (zm_device_open(&params, &s->device) || zm_stream_create(s->device, NULL, &s->stream)) {
        fprintf(stderr, "checkop: %s\n", s->message);
        return false;
    }
    s->info = zm_device_get_info(s->device);
    printf("device %s: %s, %s; seed %" PRIu64 "\n", s->info->spec, s->info->name, s->info->platform,
           s->opt->seed);
    return true;
}

static int run(const options *opt)
{
    session s = {.opt = opt};
    zm_environment environment;
    bool ok = true;
    size_t matched = 0;
    zm_environment_read(&environment);
    if (!opt->list) {
        ok = open_device(&s, &environment);
    }
    for (size_t i = 0; i < op_description_count && ok; ++i) {
        if (fnmatch(opt->op, op_descriptions[i]->name, 0) == 0) {
            ++matched;
            ok = do_op(&s, op_descriptions[i]);
        }
    }
    if (ok && !opt->list) {
        printf("%zu passed, %zu failed\n", s.passed, s.failed);
    }
    zm_stream_destroy(&s.stream);
    zm_device_close(&s.device);
    if (ok && (matched == 0 || (!opt->list && s.passed + s.failed == 0))) {
        fprintf(stderr,
                "checkop: nothing matches --op %s --kernel %s; --list shows what there is\n",
                opt->op, opt->kernel);
        return 2;
    }
    return ok && s.failed == 0 ? 0 : 1;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 0);
    *out = value;
    return *text >= '0' && *text <= '9' && *end == '\0';
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"device", required_argument, NULL, 'd'}, {"op", required_argument, NULL, 'o'},
        {"kernel", required_argument, NULL, 'k'}, {"seed", required_argument, NULL, 's'},
        {"case", required_argument, NULL, 'c'},   {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    options opt = {.op = "*", .kernel = "*", .seed = 1, .only = -1};
    uint64_t number;
    int option;
    while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        switch (option) {
        case 'd': opt.device = optarg; break;
        case 'o': opt.op = optarg; break;
        case 'k': opt.kernel = optarg; break;
        case 'l': opt.list = true; break;
        case 'h': fputs(usage, stdout); return 0;
        case 's':
        case 'c':
            if (!parse_number(optarg, &number) || (option == 'c' && number > LONG_MAX)) {
                fprintf(stderr, "checkop: '%s' is not a number\n", optarg);
                return 2;
            }
            opt.seed = option == 's' ? number : opt.seed;
            opt.only = option == 'c' ? (long)number : opt.only;
            break;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    return run(&opt);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Checks every kernel candidate of every op on a device against the reference. */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/kernels.h"
#include "coverage.h"
#include "device/device.h"
#include "ops/op.h"
#include "ops/op_run.h"

#define MAX_CANDIDATES 16
#define MAX_REPORTS 5 /* failures of a candidate that are described */

static const char usage[] =
    "usage: checkop [--device D] [--op GLOB] [--kernel [OP=]GLOB] [--small] [--repeat N]\n"
    "               [--shaders DIR] [--seed S] [--case N] [--units N] [--work-group N]\n"
    "               [--bits FILE] [--cover GLOB] [--list]\n"
    "\n"
    "Runs the cases of the ops on a device, with each kernel candidate that takes them, and\n"
    "compares with the plain-C reference in float64.\n"
    "  --device D          as for zeromean; default: ZEROMEAN_DEVICE, else the best one\n"
    "  --op GLOB           only these ops\n"
    "  --kernel [OP=]GLOB  only these candidates; of weights and caches, the layout that they ask\n"
    "                      for is used\n"
    "  --small             only the few small cases that slow devices manage\n"
    "  --shaders DIR       the kernels from files in DIR, not those that are built in\n"
    "  --repeat N          runs each case N times and asks for the same bits; default 2. The last\n"
    "                      time weights are in parts, if they have rows for several\n"
    "  --seed S            of the inputs; default 1\n"
    "  --case N            only this case of each op, and what it is\n"
    "  --units N           runs the repeats as if the device had N compute units\n"
    "  --work-group N      as if the device allowed work-groups of N items at most\n"
    "  --bits FILE         writes a hash of the results of each op, candidate and case\n"
    "  --cover GLOB        fails unless each kernel file that matches, as gpu/a*, was built, in "
    "all\n"
    "                      its variants\n"
    "  --list              the ops, their candidates and the number of cases; runs nothing\n"
    "A candidate may refuse cases, and the reason of the last refusal is shown. It fails if it "
    "ran\n"
    "none of them, unless it cannot run on this kind of device, or is a library that is not "
    "there,\n"
    "and --kernel does not name it. With --case it may, but an op of which nothing ran fails.\n"
    "exit code: 0 all passed, 1 something failed, 2 usage\n";

typedef struct options {
    const char *device, *op, *kernel, *shaders, *bits, *cover;
    uint64_t seed, repeat;
    uint64_t units, work_group; /* 0 = the device's own */
    long only;                  /* -1 = all cases */
    bool list, small;
} options;

/* What one candidate did. */
typedef struct tally {
    const char *name;
    zm_kernel_family family;
    size_t ran, refused, failed;
    double worst;
    char refusal[256];
} tally;

typedef struct session {
    const options *opt;
    zm_device *device;
    zm_stream *stream;
    const zm_device_info *info;
    FILE *bits;
    char message[256];             /* the last error of the library */
    size_t ops, candidates, cases; /* that there are for the options */
    size_t passed, failed, skipped;
} session;

/* The first error of a case is the reason for those that follow. */
static void keep_message(void *user, zm_log_level level, const char *message)
{
    session *s = user;
    if (level == ZM_LOG_ERROR && s->message[0] == '\0') {
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

static const char *op_of(const op_description *op)
{
    return op->op ? op->op : op->name;
}

static void report_failure(const session *s, const op_run *run, size_t index, const char *kernel,
                           const char *reason)
{
    char text[500];
    op_case_describe(run->op, &run->c, text, sizeof(text));
    printf("  %s case %zu: %s\n    %s\n", kernel, index, text, reason);
    printf("    again: checkop --device %s --op %s --kernel %s --seed %" PRIu64 " --case %zu"
           " --repeat %" PRIu64,
           s->info->spec, run->op->name, kernel, s->opt->seed, index, s->opt->repeat);
    if (s->opt->units) {
        printf(" --units %" PRIu64, s->opt->units);
    }
    if (s->opt->work_group) {
        printf(" --work-group %" PRIu64, s->opt->work_group);
    }
    if (s->opt->shaders) {
        printf(" --shaders '%s'", s->opt->shaders);
    }
    putchar('\n');
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

/* The layouts of weights and caches follow the forced kernels of matmul and attention: the first
 * ones of the family that "gpu", or "gpu_direct", says. */
static void force_layout(session *s, const char *op, const char *kernel)
{
    size_t family = strcspn(kernel, "_");
    const zm_op *found = zm_op_find(op);
    for (size_t i = 0; i < found->candidate_count; ++i) {
        const char *name = found->candidates[i].name;
        if (strncmp(name, kernel, family) == 0 && strcspn(name, "_") == family) {
            zm_device_force_kernel(s->device, op, name);
            return;
        }
    }
    zm_device_force_kernel(s->device, op, NULL);
}

static zm_status force(session *s, const char *op, const char *kernel)
{
    force_layout(s, "matmul", kernel);
    force_layout(s, "attention", kernel);
    return zm_device_force_kernel(s->device, op, kernel);
}

static void unforce(session *s, const char *op)
{
    zm_device_force_kernel(s->device, "matmul", NULL);
    zm_device_force_kernel(s->device, "attention", NULL);
    zm_device_force_kernel(s->device, op, NULL);
}

/* A case that is checked: its run is kept as long as the candidates ask for the same layouts. */
typedef struct checked_case {
    const op_description *op;
    const op_case *c;
    size_t index;
    op_run *run;
} checked_case;

static zm_status set_up(session *s, checked_case *c)
{
    if (c->run && op_run_fits(c->run, s->device)) {
        return ZM_OK;
    }
    op_run_destroy(&c->run);
    zm_status status = op_run_create(s->device, c->op, c->c,
                                     case_seed(s->opt->seed, c->op->name, c->index), &c->run);
    if (status == ZM_OK) {
        c->run->repeats = s->opt->repeat;
        c->run->repeat_units = (uint32_t)s->opt->units;
        op_run_reference(c->run);
    }
    return status;
}

static void write_bits(const session *s, const checked_case *c, const char *kernel)
{
    char hash[65];
    if (s->bits) {
        op_run_hash(c->run, hash);
        fprintf(s->bits, "%s %s %zu %s\n", c->op->name, kernel, c->index, hash);
    }
}

static void verify(session *s, checked_case *c, tally *t)
{
    op_verdict verdict = {.ok = false};
    s->message[0] = '\0';
    zm_status status = force(s, op_of(c->op), t->name);
    if (status == ZM_OK) {
        status = set_up(s, c);
    }
    if (status == ZM_OK) {
        status = op_run_verify(c->run, s->stream, s->info->real_type, &verdict);
    }
    if (status == ZM_ERROR_UNSUPPORTED || status == ZM_ERROR_LIMIT) {
        ++t->refused;
        snprintf(t->refusal, sizeof(t->refusal), "%s", reason_of(s, status));
        return;
    }
    ++t->ran;
    t->worst = fmax(t->worst, verdict.error);
    if (status == ZM_OK) {
        write_bits(s, c, t->name);
    }
    if (status || !verdict.ok) {
        ++t->failed;
        if (t->failed <= MAX_REPORTS && c->run) {
            report_failure(s, c->run, c->index, t->name,
                           status ? reason_of(s, status) : verdict.reason);
        }
    }
}

/* Does --kernel leave out none? */
static bool all_kernels(const session *s)
{
    return strcmp(s->opt->kernel, "*") == 0;
}

/* An orphan is a case that no candidate takes, where all are asked. */
static void run_case(session *s, checked_case *c, tally *tallies, size_t count, size_t *orphans)
{
    char text[500];
    bool taken = false;
    op_case_describe(c->op, c->c, text, sizeof(text));
    if (s->opt->only >= 0) {
        printf("%s case %zu: %s\n", c->op->name, c->index, text);
    }
    for (size_t i = 0; i < count; ++i) {
        size_t refused = tallies[i].refused;
        verify(s, c, &tallies[i]);
        taken = taken || tallies[i].refused == refused;
    }
    if (!taken && all_kernels(s) && ++*orphans <= MAX_REPORTS) {
        printf("  case %zu: %s\n    no kernel takes it: %s\n", c->index, text,
               reason_of(s, ZM_ERROR_UNSUPPORTED));
    }
    op_run_destroy(&c->run);
}

/* Whether it can on this kind of device. That its family suits the device is not asked. */
static bool may_run(const session *s, zm_kernel_family family)
{
    bool on_host = s->info->backend == ZM_BACKEND_HOST;
    return on_host ? family == ZM_FAMILY_REF : family == ZM_FAMILY_CPU || family == ZM_FAMILY_GPU;
}

/* Green must not mean that nothing ran. */
static bool has_to_run(const session *s, const tally *t)
{
    return s->opt->only < 0 && (!all_kernels(s) || may_run(s, t->family));
}

static void report(session *s, const op_description *op, const tally *t)
{
    double tolerance = s->info->real_type == ZM_F64 ? op->tolerance_f64 : op->tolerance_f32;
    bool failed = t->failed || (t->ran == 0 && has_to_run(s, t));
    printf("%-15s %-12s ", op->name, t->name);
    if (t->ran == 0) {
        printf("refused: %s%s\n", t->refusal, failed ? "; it ran nothing, FAILED" : "");
    } else {
        printf("%4zu cases, worst error %.2e of %.0e, %s", t->ran, t->worst, tolerance,
               t->failed ? "FAILED" : "ok");
        if (t->refused) {
            printf(" (%zu refused: %s)", t->refused, t->refusal);
        }
        putchar('\n');
    }
    s->failed += failed;
    s->passed += t->ran && !failed;
    s->skipped += t->ran == 0 && !failed;
}

static void report_op(session *s, const op_description *op, const tally *tallies, size_t count,
                      size_t orphans)
{
    size_t failed = s->failed, ran = 0;
    for (size_t i = 0; i < count; ++i) {
        report(s, op, &tallies[i]);
        ran += tallies[i].ran;
    }
    if (ran == 0 && s->failed == failed) {
        printf("%-15s nothing ran: FAILED\n", op->name);
        ++s->failed;
    }
    if (orphans) {
        printf("%-15s %zu cases that no kernel takes: FAILED\n", op->name, orphans);
        ++s->failed;
    }
    fflush(stdout);
}

static size_t find_candidates(const options *opt, const char *op, tally *tallies)
{
    size_t count = 0;
    const zm_op *found = zm_op_find(op);
    const zm_cli_kernels wanted = zm_cli_kernels_read(opt->kernel);
    for (size_t i = 0; i < found->candidate_count && count < MAX_CANDIDATES; ++i) {
        const zm_candidate *candidate = &found->candidates[i];
        if (zm_cli_kernels_have(&wanted, op, candidate->name)) {
            tallies[count++] = (tally){.name = candidate->name, .family = candidate->family};
        }
    }
    return count;
}

static bool is_wanted(const options *opt, const op_list *list, size_t index)
{
    return opt->only < 0 ? !opt->small || list->cases[index].small : (size_t)opt->only == index;
}

static void check_op(session *s, const op_description *op, const op_list *list)
{
    tally tallies[MAX_CANDIDATES];
    size_t count = find_candidates(s->opt, op_of(op), tallies), cases = 0, orphans = 0;
    for (size_t i = 0; i < list->count && count; ++i) {
        checked_case c = {op, &list->cases[i], i, NULL};
        if (is_wanted(s->opt, list, i)) {
            ++cases;
            run_case(s, &c, tallies, count, &orphans);
        }
    }
    unforce(s, op_of(op));
    s->candidates += count;
    s->cases += cases;
    if (cases) {
        report_op(s, op, tallies, count, orphans);
    }
}

static void list_op(const session *s, const op_description *op, const op_list *list)
{
    tally tallies[MAX_CANDIDATES];
    size_t count = find_candidates(s->opt, op_of(op), tallies), small = 0;
    for (size_t i = 0; i < list->count; ++i) {
        small += list->cases[i].small;
    }
    printf("%-15s %4zu cases, %zu small;", op->name, list->count, small);
    for (size_t i = 0; i < count; ++i) {
        printf(" %s", tallies[i].name);
    }
    putchar('\n');
}

static bool do_op(session *s, const op_description *op)
{
    op_list list = {0};
    bool ok = op->cases(&list);
    ++s->ops;
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
    if (zm_device_open(&params, &s->device) || zm_stream_create(s->device, NULL, &s->stream) ||
        (s->opt->shaders && zm_device_set_shader_dir(s->device, s->opt->shaders))) {
        fprintf(stderr, "checkop: %s\n", s->message);
        return false;
    }
    s->info = zm_device_get_info(s->device);
    if (s->opt->work_group && s->opt->work_group < s->info->limits.max_work_group) {
        s->device->info.limits.max_work_group = (uint32_t)s->opt->work_group;
    }
    printf("device %s: %s, %s; seed %" PRIu64 "\n", s->info->spec, s->info->name, s->info->platform,
           s->opt->seed);
    return true;
}

static bool open_bits(session *s)
{
    s->bits = s->opt->bits ? fopen(s->opt->bits, "w") : NULL;
    if (s->opt->bits && !s->bits) {
        fprintf(stderr, "checkop: cannot write %s: %s\n", s->opt->bits, strerror(errno));
    }
    return s->bits || !s->opt->bits;
}

static bool close_bits(session *s)
{
    bool ok = !s->bits || !ferror(s->bits);
    if (s->bits && fclose(s->bits) != 0) {
        ok = false;
    }
    if (!ok) {
        fprintf(stderr, "checkop: cannot write %s\n", s->opt->bits);
    }
    return ok;
}

static void check_coverage(session *s)
{
    coverage got = coverage_get(s->device, s->opt->cover);
    bool ok = got.files && !got.missing;
    printf("%zu kernel files match %s, %zu gaps: %s\n", got.files, s->opt->cover, got.missing,
           ok ? "ok" : "FAILED");
    s->passed += ok;
    s->failed += !ok;
}

/* Did the options leave nothing to do? */
static bool was_in_vain(const session *s)
{
    const options *opt = s->opt;
    if (s->ops == 0) {
        fprintf(stderr, "checkop: no op matches --op %s", opt->op);
    } else if (opt->list) {
        return false;
    } else if (s->candidates == 0) {
        fprintf(stderr, "checkop: no candidate of these ops matches --kernel %s", opt->kernel);
    } else if (s->cases == 0) {
        fprintf(stderr, "checkop: none of these ops has a case %ld", opt->only);
    } else {
        return false;
    }
    fputs("; --list shows what there is\n", stderr);
    return true;
}

static bool run_ops(session *s)
{
    bool ok = true;
    for (size_t i = 0; i < op_description_count && ok; ++i) {
        if (fnmatch(s->opt->op, op_descriptions[i]->name, 0) == 0) {
            ok = do_op(s, op_descriptions[i]);
        }
    }
    if (ok && s->cases && s->opt->cover) {
        check_coverage(s);
    }
    return ok;
}

static int run(const options *opt)
{
    session s = {.opt = opt};
    zm_environment environment;
    zm_environment_read(&environment);
    bool ok = opt->list || (open_device(&s, &environment) && open_bits(&s));
    bool ran = ok && run_ops(&s), in_vain = ran && was_in_vain(&s);
    ok = close_bits(&s) && ran;
    if (s.skipped) {
        printf("%zu candidates ran nothing, for the reasons above\n", s.skipped);
    }
    if (ran && s.cases) {
        printf("%zu passed, %zu failed\n", s.passed, s.failed);
    }
    zm_stream_destroy(&s.stream);
    zm_device_close(&s.device);
    return in_vain ? 2 : !ok || s.failed;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    *out = value;
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static bool parse_option(int option, options *opt)
{
    uint64_t number = 0;
    switch (option) {
    case 'd': opt->device = optarg; return true;
    case 'o': opt->op = optarg; return true;
    case 'k': opt->kernel = optarg; return true;
    case 'l': opt->list = true; return true;
    case 'f': opt->shaders = optarg; return true;
    case 'm': opt->small = true; return true;
    case 'b': opt->bits = optarg; return true;
    case 'v': opt->cover = optarg; return true;
    case 's':
    case 'c':
    case 'u':
    case 'w':
    case 'r': break;
    default: return false;
    }
    if (!parse_number(optarg, &number) || (option == 'c' && number > LONG_MAX) ||
        (strchr("ruw", option) && number == 0) || (option == 'u' && number > UINT32_MAX)) {
        fprintf(stderr, "checkop: '%s' is not a number that will do\n", optarg);
        return false;
    }
    opt->seed = option == 's' ? number : opt->seed;
    opt->repeat = option == 'r' ? number : opt->repeat;
    opt->units = option == 'u' ? number : opt->units;
    opt->work_group = option == 'w' ? number : opt->work_group;
    opt->only = option == 'c' ? (long)number : opt->only;
    return true;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"device", required_argument, NULL, 'd'},
                                          {"op", required_argument, NULL, 'o'},
                                          {"kernel", required_argument, NULL, 'k'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"case", required_argument, NULL, 'c'},
                                          {"repeat", required_argument, NULL, 'r'},
                                          {"units", required_argument, NULL, 'u'},
                                          {"work-group", required_argument, NULL, 'w'},
                                          {"shaders", required_argument, NULL, 'f'},
                                          {"bits", required_argument, NULL, 'b'},
                                          {"cover", required_argument, NULL, 'v'},
                                          {"small", no_argument, NULL, 'm'},
                                          {"list", no_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    options opt = {.op = "*", .kernel = "*", .seed = 1, .repeat = 2, .only = -1};
    int option;
    while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (!parse_option(option, &opt)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    return run(&opt);
}

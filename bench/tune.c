/* SPDX-License-Identifier: Apache-2.0 */
/* clbench tune: better numbers for this device, in a file that the library reads. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clbench.h"
#include "cli/device.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "tuner.h"

#define TUNE_SCHEMA "clbench.tune/1"
#define DEFAULT_SECONDS 30.0
#define MAX_OPS 8

typedef struct options {
    const char *glob, *shape, *kernel, *device;
    double seconds;
    bool json, dry_run;
} options;

typedef struct tuning {
    size_t count;
    tuner_outcome outcomes[MAX_OPS];
    bool written[MAX_OPS];
    char cache_dir[1024];
} tuning;

/* The ops that have parameters; returns how many fit the glob. */
static size_t find_ops(const char *glob, const char *ops[MAX_OPS])
{
    size_t parameter_count, count = 0;
    const zm_parameter *list = zm_parameter_list(&parameter_count);
    for (size_t i = 0; i < parameter_count; i++) {
        size_t j = 0;
        while (j < count && strcmp(ops[j], list[i].op) != 0)
            j++;
        if (j == count && count < MAX_OPS && fnmatch(glob, list[i].op, 0) == 0)
            ops[count++] = list[i].op;
    }
    return count;
}

/* ---- the file ---- */

/* Can the outcome be written? Better asked before the search than after it. */
static zm_cli_exit check_place(const char *cache_dir)
{
    if (!cache_dir[0]) {
        zm_cli_error("tune: there is no cache folder to write to; set ZEROMEAN_CACHE_DIR, or use "
                     "--dry-run");
        return ZM_CLI_FAILED;
    }
    return zm_cli_result(zm_tuning_file_try(cache_dir, zm_cli_log()));
}

/* Replaces what the file has for this op, family of kernels and device; when nothing better was
 * found, only removes it. */
static zm_status write_entry(const char *cache_dir, const tuner_outcome *outcome)
{
    zm_tuning_list list;
    const zm_log *log = zm_cli_log();
    zm_status status = zm_tuning_file_read(cache_dir, log, &list);
    size_t kept = 0, before = list.count;
    for (size_t i = 0; i < list.count; i++)
        if (!zm_tuning_entry_is_at(&list.entries[i], &outcome->entry, outcome->family))
            list.entries[kept++] = list.entries[i];
    list.count = kept;
    if (status == ZM_OK && outcome->better)
        status = zm_tuning_list_add(&list, &outcome->entry);
    if (status == ZM_OK && (outcome->better || kept != before))
        status = zm_tuning_file_write(cache_dir, log, &list);
    zm_tuning_list_finish(&list);
    return status;
}

/* ---- output ---- */

static void print_outcome(const tuner_outcome *o, bool written)
{
    printf("%-10s %zu samples", o->op, o->samples);
    if (o->refused)
        printf(", %zu refused (%s)", o->refused, o->refusal);
    if (o->tried < o->tunable)
        printf(", no time for %zu of %zu numbers", o->tunable - o->tried, o->tunable);
    if (!o->better) {
        printf("; %s\n", o->samples + o->refused ? "what was in use is as good"
                                                 : "setting up and checks took all of it");
        return;
    }
    printf("; %.3fx as fast [%.3f, %.3f] with", o->ratio.median, o->ratio.low, o->ratio.high);
    for (size_t i = 0; i < o->entry.count; i++)
        printf(" %s=%u", o->entry.values[i].name, o->entry.values[i].value);
    printf("%s\n", written ? "; written" : "");
}

static json_t *outcome_json(const tuner_outcome *o, bool written)
{
    json_t *parameters = json_object();
    for (size_t i = 0; i < o->entry.count; i++)
        json_object_set_new(parameters, o->entry.values[i].name,
                            json_integer(o->entry.values[i].value));
    return json_pack(
        "{ss ss sI sI sI sI so sb sb so so so so}", "op", o->op, "family",
        o->family == ZM_FAMILY_CPU ? "cpu" : "gpu", "tunable", (json_int_t)o->tunable, "tried",
        (json_int_t)o->tried, "samples", (json_int_t)o->samples, "refused", (json_int_t)o->refused,
        "refusal", zm_cli_json_text(o->refusal), "better", o->better, "written", written, "ratio",
        o->entry.count ? zm_cli_json_real(o->ratio.median) : json_null(), "ratio_low",
        o->entry.count ? zm_cli_json_real(o->ratio.low) : json_null(), "ratio_high",
        o->entry.count ? zm_cli_json_real(o->ratio.high) : json_null(), "parameters", parameters);
}

static zm_cli_exit print_json(const session *s, const tuning *t)
{
    json_t *ops = json_array();
    for (size_t i = 0; i < t->count; i++)
        json_array_append_new(ops, outcome_json(&t->outcomes[i], t->written[i]));
    return zm_cli_json_print(json_pack("{ss ss so so so}", "schema", TUNE_SCHEMA, "version",
                                       zm_version(), "device", zm_cli_device_json(s->info),
                                       "cache_dir", zm_cli_json_text(t->cache_dir), "ops", ops));
}

static const char *reason_of(const session *s, zm_status status)
{
    switch (status) {
    case ZM_ERROR_UNSUPPORTED: return "nothing of it can be tuned on this device";
    case ZM_ERROR_INVALID_ARGUMENT: return "these kernels are of several families; tune one";
    default: return session_reason(s, status);
    }
}

static zm_cli_exit tune_op(const options *o, session *s, const char *op, const plan *p, tuning *t)
{
    tuner_outcome *outcome = &t->outcomes[t->count];
    bool *written = &t->written[t->count];
    zm_status status = tuner_run(s, op, p, o->seconds, outcome);
    if (status == ZM_OK && !o->dry_run) {
        status = write_entry(t->cache_dir, outcome);
        if (status != ZM_OK)
            return zm_cli_result(status);
        *written = outcome->better;
    }
    if (status == ZM_ERROR_CANCELLED) {
        zm_cli_error("interrupted; nothing was written for %s", op);
        return ZM_CLI_FAILED;
    }
    if (status != ZM_OK) {
        zm_cli_error("%s: %s", op, reason_of(s, status));
        return ZM_CLI_FAILED;
    }
    t->count++;
    if (!o->json)
        print_outcome(outcome, *written);
    fflush(stdout);
    return ZM_CLI_OK;
}

static zm_cli_exit tune(const options *o, const char *const *ops, size_t count, const plan *p)
{
    session s;
    zm_environment environment;
    tuning *t = calloc(1, sizeof(*t));
    if (!t)
        return zm_cli_result(ZM_ERROR_OUT_OF_MEMORY);
    zm_environment_read(&environment);
    snprintf(t->cache_dir, sizeof(t->cache_dir), "%s", environment.cache_dir);
    zm_cli_exit code = session_open(&s, o->device);
    if (code == ZM_CLI_OK && !o->dry_run)
        code = check_place(t->cache_dir);
    zm_cli_progress_start();
    for (size_t i = 0; i < count && code == ZM_CLI_OK; i++)
        code = tune_op(o, &s, ops[i], p, t);
    if (o->json && (code == ZM_CLI_OK || t->count))
        print_json(&s, t);
    session_close(&s);
    free(t);
    return code;
}

static zm_cli_exit run(int argc, char **argv)
{
    options o = {.seconds = DEFAULT_SECONDS};
    const char *ops[MAX_OPS];
    const zm_cli_option table[] = {
        {"device", 'd', "SPEC", "the device", ZM_CLI_TEXT, &o.device},
        {"shape", 's', "SHAPE", "for this one; else for those of 'clbench op --list'", ZM_CLI_TEXT,
         &o.shape},
        {"kernel", 'k', "[OP=]GLOB", "the numbers of these kernels; else of the ones in use",
         ZM_CLI_TEXT, &o.kernel},
        {"time", 't', "SECONDS", "for each op, with all that it takes; default 30", ZM_CLI_REAL,
         &o.seconds},
        {"dry-run", 'n', NULL, "write nothing", ZM_CLI_FLAG, &o.dry_run},
        {"json", 0, NULL, "print JSON (schema " TUNE_SCHEMA ")", ZM_CLI_FLAG, &o.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&clbench_tune, table, 6, argc, argv, &arguments, &code))
        return code;
    o.glob = arguments.count ? arguments.values[0] : "*";
    size_t count = find_ops(o.glob, ops);
    if (count == 0) {
        zm_cli_error("tune: no op that can be tuned is named '%s' (see 'clbench tune --help')",
                     o.glob);
        return ZM_CLI_USAGE;
    }
    const plan_options wanted = {.op = o.glob, .shape = o.shape, .kernel = o.kernel};
    plan p;
    code = plan_make(&wanted, NULL, &p);
    if (code == ZM_CLI_OK)
        code = tune(&o, ops, count, &p);
    plan_finish(&p);
    return code;
}

const zm_cli_command clbench_tune = {
    .name = "tune",
    .synopsis = "[GLOB]",
    .summary = "Search better numbers for this device, and write them down",
    .details =
        "Tunes matmul (conv1d and patch_embedding follow it), attention and rms_norm (all ops\n"
        "that take whole rows follow it). Each sample is checked against the reference before it\n"
        "is timed, in turns with the best so far. What is faster than what the library uses "
        "otherwise beyond\n"
        "the noise goes to tuning.json in the cache folder, for this device and driver; the\n"
        "library reads it from there. --kernel is for kernels that the library does not choose\n"
        "here: --kernel gpu tunes those for GPUs on whatever device.\n\n" ZM_CLI_DEVICE_HELP,
    .max_arguments = 1,
    .run = run,
};

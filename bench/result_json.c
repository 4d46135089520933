/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/device.h"
#include "cli/output.h"
#include "format/json.h"
#include "result.h"

#define MAX_FILE ((uint64_t)64 << 20)
#define MAX_COUNT 1000000000

/* ---- out ---- */

static json_t *real(double value)
{
    return zm_cli_json_real(value);
}

static json_t *text(const char *value)
{
    return zm_cli_json_text(value);
}

static json_t *summary_json(const stats_summary *s)
{
    return json_pack("{so so so so so sI}", "median", real(s->median), "low", real(s->low), "high",
                     real(s->high), "least", real(s->least), "spread", real(s->spread), "samples",
                     (json_int_t)s->count);
}

static json_t *time_json(const row_time *t)
{
    json_t *object = summary_json(&t->seconds);
    json_object_set_new(object, "batch", json_integer(t->batch));
    json_object_set_new(object, "dropped", json_integer((json_int_t)t->dropped));
    json_object_set_new(object, "noisy", json_boolean(t->noisy));
    return object;
}

static json_t *ceiling_json(const row_ceiling *c)
{
    if (c->bound == BOUND_UNKNOWN)
        return json_null();
    return json_pack("{ss so so so so}", "kind", ceiling_bound_name(c->bound), "seconds",
                     real(c->seconds), "gflops", real(c->gflops), "gbps", real(c->gbps), "percent",
                     real(c->percent));
}

static json_t *versus_json(const row_versus *v)
{
    return json_pack("{so so so so so so}", "op", text(v->op), "type", text(v->type), "weight_type",
                     text(v->weight_type), "kernel", text(v->kernel), "seconds",
                     time_json(&v->time), "ratio", summary_json(&v->ratio));
}

static json_t *graph_json(const row_graph *g)
{
    json_t *fired = json_object();
    for (int i = 0; i < ZM_PASS_COUNT; i++)
        json_object_set_new(fired, zm_pass_name((zm_pass)i), json_integer(g->fired[i]));
    return json_pack("{sI sI so so so so}", "operations", (json_int_t)g->operations, "launches",
                     (json_int_t)g->launches, "memory_bytes", real(g->memory_bytes), "least_bytes",
                     real(g->least_bytes), "error", real(g->error), "fired", fired);
}

static json_t *kernels_json(const row_profile *p)
{
    json_t *kernels = json_array();
    for (size_t i = 0; i < p->count; i++) {
        const row_kernel *k = &p->kernels[i];
        json_array_append_new(kernels,
                              json_pack("{so so so sI so so}", "op", text(k->op), "candidate",
                                        text(k->candidate), "kernel", text(k->kernel), "launches",
                                        (json_int_t)k->launches, "seconds", real(k->seconds),
                                        "percent", real(row_kernel_percent(p, i))));
    }
    return kernels;
}

static json_t *row_json(const result_row *row)
{
    json_t *object =
        json_pack("{so so so so so ss so so so}", "op", text(row->op), "shape", text(row->shape),
                  "type", text(row->type), "weight_type", text(row->weight_type), "kernel",
                  text(row->kernel), "status", row_status_name(row->status), "reason",
                  text(row->reason), "flops", real(row->flops), "bytes", real(row->bytes));
    bool ok = row->status == ROW_OK;
    json_object_set_new(object, "seconds", ok ? time_json(&row->time) : json_null());
    json_object_set_new(object, "gflops", ok ? real(row_gflops(row)) : json_null());
    json_object_set_new(object, "gbps", ok ? real(row_gbps(row)) : json_null());
    json_object_set_new(object, "ceiling", ok ? ceiling_json(&row->ceiling) : json_null());
    if (row->versus.there)
        json_object_set_new(object, "versus", versus_json(&row->versus));
    if (row->graph.there)
        json_object_set_new(object, "graph", graph_json(&row->graph));
    if (row->profile.runs)
        json_object_set_new(object, "kernels", kernels_json(&row->profile));
    return object;
}

static json_t *peak_json(const result_peak *p)
{
    json_t *fma = json_array(), *streams = json_array();
    for (size_t i = 0; i < p->fma_count; i++)
        json_array_append_new(fma,
                              json_pack("{sI sI so so}", "width", (json_int_t)p->fma[i].width,
                                        "chains", (json_int_t)p->fma[i].chains, "gflops",
                                        real(p->fma[i].gflops), "spread", real(p->fma[i].spread)));
    for (size_t i = 0; i < p->stream_count; i++)
        json_array_append_new(
            streams, json_pack("{ss so so so}", "kind", p->streams[i].copy ? "copy" : "read",
                               "bytes", real(p->streams[i].bytes), "gbps", real(p->streams[i].gbps),
                               "spread", real(p->streams[i].spread)));
    return json_pack("{ss so so so so so so}", "status", row_status_name(p->status), "reason",
                     text(p->reason), "gflops",
                     p->fma_count ? real(p->fma[p->best_fma].gflops) : json_null(), "fma", fma,
                     "streams", streams, "launch_seconds", real(p->launch_seconds), "wait_seconds",
                     real(p->wait_seconds));
}

static json_t *device_json(const result *r, const zm_device_info *info)
{
    if (info)
        return zm_cli_device_json(info);
    return json_pack("{so so so so}", "spec", text(r->device_spec), "name", text(r->device_name),
                     "platform", text(r->device_platform), "driver", text(r->device_driver));
}

json_t *result_to_json(const result *r, const zm_device_info *info)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < r->row_count; i++)
        json_array_append_new(rows, row_json(&r->rows[i]));
    json_t *host = json_pack("{so sI}", "processor", text(r->processor), "processors",
                             (json_int_t)r->processors);
    return json_pack("{ss ss ss ss so so so so}", "schema", RESULT_SCHEMA, "version", r->version,
                     "command", r->command, "date", r->date, "device", device_json(r, info), "host",
                     host, "peak", peak_json(&r->peak), "rows", rows);
}

/* ---- in: what is missing or of another type counts as absent; only the frame must be right ----
 */

static double get_real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static size_t get_count(const json_t *object, const char *key)
{
    double value = get_real(object, key);
    return value >= 0 && value <= MAX_COUNT ? (size_t)value : 0;
}

static void get_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *value = zm_json_string(object, key);
    snprintf(out, size, "%s", value ? value : "");
}

static bool get_status(const json_t *object, row_status *out)
{
    const char *name = zm_json_string(object, "status");
    for (int i = 0; name && i < ROW_STATUS_COUNT; i++)
        if (strcmp(name, row_status_name((row_status)i)) == 0)
            return *out = (row_status)i, true;
    return false;
}

static double get_real_or(const json_t *object, const char *key, double otherwise)
{
    double value = get_real(object, key);
    return isnan(value) ? otherwise : value;
}

static stats_summary get_summary(const json_t *object)
{
    double median = get_real(object, "median");
    return (stats_summary){
        get_count(object, "samples"),         median,
        get_real_or(object, "low", median),   get_real_or(object, "high", median),
        get_real_or(object, "least", median), get_real_or(object, "spread", 0)};
}

static row_time get_time(const json_t *object)
{
    return (row_time){get_summary(object), (uint32_t)get_count(object, "batch"),
                      get_count(object, "dropped"), json_is_true(json_object_get(object, "noisy"))};
}

static void get_versus(const json_t *object, row_versus *out)
{
    out->there = json_is_object(object);
    get_text(object, "op", out->op, sizeof(out->op));
    get_text(object, "type", out->type, sizeof(out->type));
    get_text(object, "weight_type", out->weight_type, sizeof(out->weight_type));
    get_text(object, "kernel", out->kernel, sizeof(out->kernel));
    out->time = get_time(json_object_get(object, "seconds"));
    out->ratio = get_summary(json_object_get(object, "ratio"));
}

static void get_ceiling(const json_t *object, row_ceiling *out)
{
    const char *kind = zm_json_string(object, "kind");
    for (int i = 0; kind && i < BOUND_COUNT; i++)
        if (strcmp(kind, ceiling_bound_name((ceiling_bound)i)) == 0)
            out->bound = (ceiling_bound)i;
    out->seconds = get_real(object, "seconds");
    out->gflops = get_real(object, "gflops");
    out->gbps = get_real(object, "gbps");
    out->percent = get_real(object, "percent");
    if (isnan(out->percent))
        out->bound = BOUND_UNKNOWN;
}

/* False: no row of this schema. */
static bool get_row(const json_t *object, result_row *out)
{
    get_text(object, "op", out->op, sizeof(out->op));
    get_text(object, "shape", out->shape, sizeof(out->shape));
    get_text(object, "type", out->type, sizeof(out->type));
    get_text(object, "weight_type", out->weight_type, sizeof(out->weight_type));
    get_text(object, "kernel", out->kernel, sizeof(out->kernel));
    get_text(object, "reason", out->reason, sizeof(out->reason));
    out->flops = get_real_or(object, "flops", 0);
    out->bytes = get_real_or(object, "bytes", 0);
    out->time = get_time(json_object_get(object, "seconds"));
    get_ceiling(json_object_get(object, "ceiling"), &out->ceiling);
    get_versus(json_object_get(object, "versus"), &out->versus);
    return get_status(object, &out->status) && out->op[0] &&
           (out->status != ROW_OK || out->time.seconds.median > 0);
}

static void get_peak(const json_t *object, result_peak *out)
{
    const json_t *list = json_object_get(object, "fma"), *item;
    size_t i;
    if (!get_status(object, &out->status))
        out->status = ROW_SKIPPED;
    get_text(object, "reason", out->reason, sizeof(out->reason));
    json_array_foreach(list, i, item)
    {
        if (out->fma_count == PEAK_MAX_FMA)
            break;
        out->fma[out->fma_count++] =
            (peak_fma){(uint32_t)get_count(item, "width"), (uint32_t)get_count(item, "chains"),
                       get_real_or(item, "gflops", 0), get_real_or(item, "spread", 0)};
        if (out->fma[i].gflops > out->fma[out->best_fma].gflops)
            out->best_fma = i;
    }
    list = json_object_get(object, "streams");
    json_array_foreach(list, i, item)
    {
        const char *kind = zm_json_string(item, "kind");
        if (out->stream_count < PEAK_MAX_STREAMS && kind)
            out->streams[out->stream_count++] =
                (peak_stream){strcmp(kind, "copy") == 0, get_real_or(item, "bytes", 0),
                              get_real_or(item, "gbps", 0), get_real_or(item, "spread", 0)};
    }
    out->launch_seconds = get_real(object, "launch_seconds");
    out->wait_seconds = get_real(object, "wait_seconds");
}

static void get_frame(const json_t *root, result *out)
{
    const json_t *device = json_object_get(root, "device"), *host = json_object_get(root, "host");
    get_text(root, "command", out->command, sizeof(out->command));
    get_text(root, "date", out->date, sizeof(out->date));
    get_text(root, "version", out->version, sizeof(out->version));
    get_text(device, "spec", out->device_spec, sizeof(out->device_spec));
    get_text(device, "name", out->device_name, sizeof(out->device_name));
    get_text(device, "platform", out->device_platform, sizeof(out->device_platform));
    get_text(device, "driver", out->device_driver, sizeof(out->device_driver));
    get_text(host, "processor", out->processor, sizeof(out->processor));
    out->processors = (uint32_t)get_count(host, "processors");
    get_peak(json_object_get(root, "peak"), &out->peak);
}

static zm_status get_rows(const char *path, const json_t *rows, const zm_log *log, result *out)
{
    const json_t *item;
    size_t i;
    json_array_foreach(rows, i, item)
    {
        result_row *row = result_add(out);
        if (!row)
            return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", path);
        if (!get_row(item, row))
            return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: row %zu is no row of %s", path, i,
                           RESULT_SCHEMA);
    }
    return ZM_OK;
}

zm_status result_read(const char *path, const zm_log *log, result *out)
{
    json_t *root = NULL;
    memset(out, 0, sizeof(*out));
    zm_status status = zm_json_read(path, MAX_FILE, log, &root);
    if (status != ZM_OK)
        return status;
    const char *schema = zm_json_string(root, "schema");
    const json_t *rows = json_object_get(root, "rows");
    if (!schema || strcmp(schema, RESULT_SCHEMA) != 0 || !json_is_array(rows)) {
        status = zm_fail(log, ZM_ERROR_BAD_FORMAT,
                         "%s: is no result of clbench (schema %s, made with --json)", path,
                         RESULT_SCHEMA);
    } else {
        get_frame(root, out);
        status = get_rows(path, rows, log, out);
    }
    json_decref(root);
    return status;
}

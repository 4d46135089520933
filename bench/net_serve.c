/* SPDX-License-Identifier: Apache-2.0 */
#include "net_serve.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/device.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "net_profile.h"
#include "serve.h"

#define MOST_RUNS 4096 /* of which the host's time is kept */

typedef struct serving {
    session *s;
    net_seat *seats;
} serving;

static zm_cli_exit fail(session *s, zm_status status)
{
    zm_cli_error("%s", session_reason(s, status));
    return ZM_CLI_FAILED;
}

/* ---- how long the host takes ---- */

/* The device sleeps when a run begins. */
static zm_status time_host(session *s, net_seat *it, double *times, size_t *count, double seconds)
{
    uint64_t begin = zm_clock_ns();
    zm_status status = ZM_OK;
    for (*count = 0; status == ZM_OK && *count < MOST_RUNS;) {
        uint64_t start = zm_clock_ns();
        status = zm_executable_run(it->run->exe, s->stream, NULL);
        times[(*count)++] = zm_clock_since(start);
        zm_status waited = zm_stream_wait(s->stream);
        status = status ? status : waited;
        if (zm_clock_since(begin) >= seconds)
            break;
    }
    return status;
}

static zm_cli_exit answer_host(session *s, net_seat *it, size_t index, double seconds)
{
    double *times = zm_calloc(MOST_RUNS, sizeof(double));
    size_t count = 0;
    zm_status status = times ? time_host(s, it, times, &count, seconds) : ZM_ERROR_OUT_OF_MEMORY;
    double median = status == ZM_OK ? stats_summarize(times, count).median : 0;
    free(times);
    if (status != ZM_OK)
        return fail(s, status);
    const zm_executable_info info = zm_executable_get_info(it->run->exe);
    return zm_cli_json_print(json_pack("{sI sf sI sI sI sI}", "index", (json_int_t)index, "seconds",
                                       median, "operations", (json_int_t)info.operations,
                                       "launches", (json_int_t)info.launches, "replayed",
                                       (json_int_t)info.replayed, "runs", (json_int_t)count));
}

/* ---- how long the device takes ---- */

static json_t *ops_json(const row_profile *profile)
{
    json_t *ops = json_object();
    for (size_t i = 0; i < profile->count; i++) {
        const row_kernel *k = &profile->kernels[i];
        const json_t *op = json_object_get(ops, k->op);
        double launches = json_number_value(json_object_get(op, "launches")) + k->launches;
        double seconds = json_number_value(json_object_get(op, "seconds")) + k->seconds;
        json_object_set_new(ops, k->op,
                            json_pack("{sf sf}", "launches", launches, "seconds", seconds));
    }
    return ops;
}

static zm_cli_exit answer_ops(session *s, net_seat *it, size_t index, double seconds)
{
    row_profile profile;
    zm_status status = net_profile_take(it->run, seconds, it->call, &profile);
    if (status != ZM_OK)
        return fail(s, status);
    return zm_cli_json_print(json_pack("{sI sI so}", "index", (json_int_t)index, "runs",
                                       (json_int_t)profile.runs, "ops", ops_json(&profile)));
}

/* ---- what comes out ---- */

static zm_cli_exit answer_output(session *s, net_seat *it, size_t index)
{
    const net *n = it->run->n;
    uint64_t count = (uint64_t)net_rows(n) * n->d;
    double *values = zm_calloc(count, sizeof(double));
    zm_status status = values ? net_run_output(it->run, n->tokens, values) : ZM_ERROR_OUT_OF_MEMORY;
    json_t *array = json_array();
    for (uint64_t i = 0; status == ZM_OK && i < count; i++)
        json_array_append_new(array, json_real(values[i]));
    free(values);
    if (status == ZM_OK)
        return zm_cli_json_print(json_pack("{sI so}", "index", (json_int_t)index, "values", array));
    json_decref(array);
    return fail(s, status);
}

/* ---- asking ---- */

static zm_cli_exit answer(void *user, size_t index, double seconds, const char *word)
{
    const serving *to = user;
    net_seat *it = &to->seats[index];
    session_forget(to->s);
    if (it->thing && !word[0])
        return serve_time(to->s, it->thing, index, seconds, &it->call);
    if (it->thing && it->run && !strcmp(word, "host"))
        return answer_host(to->s, it, index, seconds);
    if (it->thing && it->run && !strcmp(word, "ops"))
        return answer_ops(to->s, it, index, seconds);
    if (it->thing && it->run && !strcmp(word, "output"))
        return answer_output(to->s, it, index);
    const char *reason = it->row ? it->row->reason : "a device without kernels reads nothing";
    zm_cli_error("serve: row %zu can't be asked for that: %s", index, word[0] ? word : reason);
    return ZM_CLI_FAILED;
}

static json_t *seat_json(const net_seat *it)
{
    const result_row *row = it->row;
    if (!row)
        return json_pack("{ss ss ss sf}", "form", "read", "status",
                         it->thing ? "ok" : "unsupported", "reason", "", "bytes", it->bytes);
    return json_pack("{ss ss so so sf}", "form", row->kernel, "status",
                     row_status_name(row->status), "reason", zm_cli_json_text(row->reason), "error",
                     zm_cli_json_real(row->graph.error), "bytes", it->bytes);
}

static const char *activation_name(zm_activation activation)
{
    switch (activation) {
    case ZM_ACTIVATION_GELU: return "gelu";
    case ZM_ACTIVATION_GELU_TANH: return "gelu_tanh";
    case ZM_ACTIVATION_SILU: return "silu";
    default: return "other";
    }
}

static json_t *sizes_json(const net *n)
{
    return json_pack("{sI sI sI sI sI sI sI sI ss sb sb sb sb}", "d", (json_int_t)n->d, "heads",
                     (json_int_t)n->heads, "kv", (json_int_t)n->kv_heads, "ff", (json_int_t)n->ff,
                     "tokens", (json_int_t)n->tokens, "past", (json_int_t)n->past, "layers",
                     (json_int_t)n->layers, "batch", (json_int_t)net_batch(n), "activation",
                     activation_name(n->activation), "causal", n->causal, "gated", n->gated,
                     "rotary", n->rotary, "biases", n->biases);
}

static zm_cli_exit print_seats(const session *s, const net *n, const net_seat *seats, size_t count)
{
    const result_row *first = seats[0].row;
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, seat_json(&seats[i]));
    zm_cli_exit code = zm_cli_json_print(
        json_pack("{ss ss ss ss ss so so so}", "schema", "clbench.serve/1", "version", zm_version(),
                  "shape", first->shape, "type", first->type, "weight_type", first->weight_type,
                  "sizes", sizes_json(n), "device", zm_cli_device_json(s->info), "rows", rows));
    fflush(stdout);
    return code;
}

zm_cli_exit net_serve(session *s, const net *n, net_seat *seats, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        zm_status status =
            seats[i].thing ? timing_probe(s->stream, seats[i].thing, &seats[i].call) : ZM_OK;
        if (status != ZM_OK)
            return fail(s, status);
    }
    zm_cli_exit code = print_seats(s, n, seats, count);
    return code == ZM_CLI_OK ? serve_lines(count, answer, &(serving){s, seats}) : code;
}

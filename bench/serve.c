/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/device.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "measure.h"

#define DEFAULT_SECONDS 0.1
#define MAX_SECONDS 60.0

typedef struct seat {
    subject subject;
    result_row row; /* kernel, status and reason */
    double seconds; /* of a call, the last time */
} seat;

static void take_seat(session *s, const variant *v, seat *out)
{
    shape_reason reason;
    zm_status status = subject_create(s, v, &out->subject, &reason);
    timed thing = subject_timed(&out->subject, 0);
    if (status == ZM_OK)
        status = timing_probe(s->stream, &thing, &out->seconds);
    if (status != ZM_OK)
        measure_fail(s, &reason, status, &out->row);
}

static json_t *seat_json(const session *s, const seat *it)
{
    const variant *v = &it->subject.v;
    return json_pack("{ss ss ss ss ss ss so sf sf}", "op", v->op, "shape", v->shape, "type",
                     zm_dtype_name(v->type ? v->type : s->info->real_type), "weight_type",
                     zm_dtype_name(v->weight_type ? v->weight_type : ZM_F32), "kernel",
                     it->subject.kernel, "status", row_status_name(it->row.status), "reason",
                     zm_cli_json_text(it->row.reason), "flops", it->subject.flops, "bytes",
                     it->subject.bytes);
}

static zm_cli_exit print_seats(const session *s, const seat *seats, size_t count)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, seat_json(s, &seats[i]));
    zm_cli_exit code = zm_cli_json_print(json_pack("{ss ss so so}", "schema", "clbench.serve/1",
                                                   "version", zm_version(), "device",
                                                   zm_cli_device_json(s->info), "rows", rows));
    fflush(stdout);
    return code;
}

zm_cli_exit serve_time(session *s, timed *thing, size_t index, double seconds, double *call)
{
    double calls = seconds / *call;
    uint32_t count = calls < 1 ? 1 : calls > 1e6 ? 1000000 : (uint32_t)calls;
    session_forget(s);
    /* the first call wakes threads and brings what another program drove out of the caches */
    zm_status status = timing_batch(s->stream, thing, 1, &seconds);
    if (status == ZM_OK)
        status = timing_batch(s->stream, thing, count, &seconds);
    if (status != ZM_OK) {
        zm_cli_error("%s", session_reason(s, status));
        return ZM_CLI_FAILED;
    }
    *call = seconds / count;
    return zm_cli_json_print(json_pack("{sI sf sI}", "index", (json_int_t)index, "seconds", *call,
                                       "calls", (json_int_t)count));
}

zm_cli_exit serve_lines(size_t count, serve_answer answer, void *user)
{
    char line[128];
    zm_cli_exit code = ZM_CLI_OK;
    while (code == ZM_CLI_OK && fgets(line, sizeof(line), stdin)) {
        char *end, word[16] = "";
        unsigned long index = strtoul(line, &end, 10);
        bool good = end != line && index < count;
        double seconds = strtod(end, &end);
        sscanf(end, "%15s", word);
        if (!(seconds > 0 && seconds <= MAX_SECONDS))
            seconds = DEFAULT_SECONDS;
        if (!good) {
            zm_cli_error("serve: there is no such row: %.*s", 40, line);
            return ZM_CLI_FAILED;
        }
        code = answer(user, index, seconds, word);
    }
    return code;
}

typedef struct serving {
    session *s;
    seat *seats;
} serving;

static zm_cli_exit answer(void *user, size_t index, double seconds, const char *word)
{
    const serving *to = user;
    seat *it = &to->seats[index];
    if (it->row.status != ROW_OK || word[0]) {
        zm_cli_error("serve: row %zu can't be timed: %s", index, word[0] ? word : it->row.reason);
        return ZM_CLI_FAILED;
    }
    timed thing = subject_timed(&it->subject, 0);
    return serve_time(to->s, &thing, index, seconds, &it->seconds);
}

zm_cli_exit serve(session *s, const plan *p)
{
    seat *seats = zm_calloc(p->count, sizeof(*seats));
    if (!seats)
        return zm_cli_result(ZM_ERROR_OUT_OF_MEMORY);
    for (size_t i = 0; i < p->count; i++)
        take_seat(s, &p->variants[i], &seats[i]);
    zm_cli_exit code = print_seats(s, seats, p->count);
    if (code == ZM_CLI_OK)
        code = serve_lines(p->count, answer, &(serving){s, seats});
    for (size_t i = 0; i < p->count; i++)
        subject_finish(&seats[i].subject);
    free(seats);
    return code;
}

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

static zm_cli_exit answer(session *s, seat *it, size_t index, double seconds)
{
    timed thing = subject_timed(&it->subject, 0);
    double calls = seconds / it->seconds;
    uint32_t count = calls < 1 ? 1 : calls > 1e6 ? 1000000 : (uint32_t)calls;
    session_forget(s);
    /* the first call wakes threads and brings what another program drove out of the caches */
    zm_status status = timing_batch(s->stream, &thing, 1, &seconds);
    if (status == ZM_OK)
        status = timing_batch(s->stream, &thing, count, &seconds);
    if (status != ZM_OK) {
        zm_cli_error("%s", session_reason(s, status));
        return ZM_CLI_FAILED;
    }
    it->seconds = seconds / count;
    return zm_cli_json_print(json_pack("{sI sf sI}", "index", (json_int_t)index, "seconds",
                                       it->seconds, "calls", (json_int_t)count));
}

static zm_cli_exit answer_lines(session *s, seat *seats, size_t count)
{
    char line[128];
    zm_cli_exit code = ZM_CLI_OK;
    while (code == ZM_CLI_OK && fgets(line, sizeof(line), stdin)) {
        char *end;
        unsigned long index = strtoul(line, &end, 10);
        bool good = end != line && index < count && seats[index].row.status == ROW_OK;
        double seconds = strtod(end, NULL);
        if (!(seconds > 0 && seconds <= MAX_SECONDS))
            seconds = DEFAULT_SECONDS;
        if (!good) {
            zm_cli_error("serve: no row that can be timed: %.*s", 40, line);
            return ZM_CLI_FAILED;
        }
        code = answer(s, &seats[index], index, seconds);
    }
    return code;
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
        code = answer_lines(s, seats, p->count);
    for (size_t i = 0; i < p->count; i++)
        subject_finish(&seats[i].subject);
    free(seats);
    return code;
}

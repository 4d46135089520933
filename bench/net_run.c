/* SPDX-License-Identifier: Apache-2.0 */
#include "net_run.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"
#include "net_basis.h"

static zm_tensor put_layers(net_run *run, net_weights *w, zm_tensor x, zm_status *status)
{
    const zm_size rows[] = {run->rows};
    zm_tensor positions = {0};
    if (run->n->rotary)
        positions = zm_graph_extern(run->graph, "positions", ZM_I32, 1, rows);
    zm_size length =
        run->n->past ? zm_graph_sum(run->graph, run->tokens, run->n->past) : run->tokens;
    for (uint32_t i = 0; i < run->n->layers && *status == ZM_OK; i++) {
        zm_block block;
        *status = net_weights_block(w, run->form, i, &block);
        block.self.position = run->n->past;
        block.self.length = length;
        block.self.rope.positions = positions;
        if (*status == ZM_OK)
            x = zm_graph_block(run->graph, &block, x);
    }
    return x;
}

static zm_status build(net_run *run, net_weights *w, const zm_log *log)
{
    zm_status status = zm_graph_create(log, &run->graph);
    if (status != ZM_OK)
        return status;
    run->rows = run->tokens = zm_graph_symbol(run->graph, "tokens", 1, run->n->tokens);
    if (net_batch(run->n) > 1)
        run->rows = zm_graph_symbol(run->graph, "rows", net_batch(run->n), net_rows(run->n));
    zm_tensor x = zm_graph_extern(run->graph, "x", w->type, 2, (zm_size[]){run->rows, run->n->d});
    x = put_layers(run, w, x, &status);
    zm_graph_observe(run->graph, "output", 0, x);
    return status == ZM_OK ? zm_graph_status(run->graph) : status;
}

zm_status net_run_create(net_weights *w, const net_form *form, const zm_log *log, net_run *out)
{
    zm_compile_params passes = {.off = {false}};
    *out = (net_run){.n = w->n, .form = form, .device = w->device, .stream = w->stream};
    for (int i = 0; i < ZM_PASS_COUNT; i++)
        passes.off[i] = form->off[i];
    zm_status status = build(out, w, log);
    if (status == ZM_OK)
        status = zm_graph_compile(out->graph, w->device, &passes, &out->exe);
    if (status == ZM_OK)
        status = zm_executable_bind(out->exe, "x", &w->x[form->basis]);
    if (status == ZM_OK && w->n->rotary)
        status = zm_executable_bind(out->exe, "positions", &w->positions);
    return status;
}

void net_run_destroy(net_run *run)
{
    if (run->stream)
        zm_stream_wait(run->stream);
    zm_executable_destroy(&run->exe);
    zm_graph_destroy(&run->graph);
}

/* ---- what comes out ---- */

typedef struct reading {
    zm_stream *stream;
    double *out;
} reading;

static zm_status read_rows(void *user, const char *what, uint32_t index, const zm_tensor *tensor)
{
    const reading *r = user;
    uint64_t count = (uint64_t)tensor->shape[0] * tensor->shape[1];
    size_t size = zm_dtype_size(tensor->dtype);
    void *bytes = zm_calloc(count, size);
    (void)what;
    (void)index;
    if (!bytes)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_status status =
        zm_buffer_read(r->stream, tensor->buffer, tensor->offset * size, bytes, count * size);
    if (status == ZM_OK)
        zm_convert_reals(r->out, ZM_F64, bytes, tensor->dtype, count);
    free(bytes);
    return status;
}

static zm_status set_tokens(net_run *run, uint32_t tokens)
{
    zm_status status = zm_executable_set(run->exe, run->tokens, tokens);
    return status ? status : zm_executable_set(run->exe, run->rows, net_batch(run->n) * tokens);
}

zm_status net_run_output(net_run *run, uint32_t tokens, double *out)
{
    reading r = {run->stream, out};
    const zm_run_params params = {.observe = read_rows, .user = &r};
    uint32_t rows = net_batch(run->n) * tokens;
    zm_status status = set_tokens(run, tokens);
    if (status == ZM_OK)
        status = zm_executable_run(run->exe, run->stream, &params);
    zm_status set = set_tokens(run, run->n->tokens);
    for (uint32_t i = 0; status == ZM_OK && i < rows; i++)
        net_row_from(run->form->basis, out + (size_t)i * run->n->d, run->n->d);
    return status ? status : set;
}

double net_difference(const double *got, const double *wanted, uint64_t count)
{
    double error = 0, power = 0;
    for (uint64_t i = 0; i < count; i++) {
        error += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        power += wanted[i] * wanted[i];
    }
    return power > 0 && isfinite(power) && isfinite(error) ? sqrt(error / power) : (double)NAN;
}

/* ---- timing ---- */

static zm_status enqueue(void *self, zm_stream *stream)
{
    return zm_executable_run(((net_run *)self)->exe, stream, NULL);
}

timed net_run_timed(net_run *run)
{
    return (timed){.enqueue = enqueue, .self = run};
}

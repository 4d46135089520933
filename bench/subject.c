/* SPDX-License-Identifier: Apache-2.0 */
#include "subject.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ops/op.h"
#include "ops/tuning.h"

#define SEED 1
/* Of host memory for each element of an operand while it is set up (tests/ops/op_run.c). */
#define BYTES_PER_ELEMENT 44.0
#define MEMORY_SHARE 0.5

const op_description *subject_op(const char *name)
{
    for (size_t i = 0; i < op_description_count; i++)
        if (strcmp(op_descriptions[i]->name, name) == 0)
            return op_descriptions[i];
    return NULL;
}

/* A description can be of another op's candidates. */
static const char *op_of(const variant *v)
{
    const op_description *description = subject_op(v->op);
    return description->op ? description->op : description->name;
}

/* The candidate of the forced name; NULL = none. */
static const zm_candidate *forced_kernel(const variant *v)
{
    const zm_op *op = zm_op_find(op_of(v));
    for (size_t i = 0; op && i < op->candidate_count; i++)
        if (strcmp(op->candidates[i].name, v->kernel) == 0)
            return &op->candidates[i];
    return NULL;
}

bool subject_has_kernel(const variant *v)
{
    return !v->kernel[0] || forced_kernel(v);
}

zm_kernel_family subject_family(const session *s, const variant *v)
{
    const zm_candidate *forced = forced_kernel(v);
    return forced ? forced->family : zm_family_get(s->device);
}

static bool read_type(const char *text, zm_dtype *out)
{
    for (zm_dtype type = ZM_F32; type < ZM_DTYPE_COUNT; type++)
        if (strcmp(text, zm_dtype_name(type)) == 0)
            return *out = type, true;
    return false;
}

static bool change_one(variant *v, const char *key, const char *value, shape_reason *reason)
{
    bool good = false;
    if (strcmp(key, "kernel") == 0 && strlen(value) < sizeof(v->kernel)) {
        strcpy(v->kernel, value);
        good = true;
    } else if (strcmp(key, "op") == 0 && subject_op(value)) {
        snprintf(v->op, sizeof(v->op), "%s", value);
        good = true;
    } else if (strcmp(key, "type") == 0) {
        good = read_type(value, &v->type);
    } else if (strcmp(key, "weight-type") == 0) {
        good = read_type(value, &v->weight_type);
    }
    if (!good)
        snprintf(reason->text, sizeof(reason->text),
                 "'%.40s=%.40s' is none of kernel=NAME, op=NAME, type=TYPE and weight-type=TYPE",
                 key, value);
    return good;
}

bool variant_change(variant *v, const char *text, shape_reason *reason)
{
    char copy[160];
    if (strlen(text) >= sizeof(copy)) {
        snprintf(reason->text, sizeof(reason->text), "the words are too long");
        return false;
    }
    strcpy(copy, text);
    if (!strchr(copy, '='))
        return change_one(v, "kernel", copy, reason);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        char *equals = strchr(word, '=');
        if (equals)
            *equals = '\0';
        if (!change_one(v, word, equals ? equals + 1 : "", reason))
            return false;
    }
    return true;
}

static double count_elements(const op_description *op, const op_params *params)
{
    double elements = 0;
    for (size_t i = 0; i < op->operand_count; i++) {
        const zm_tensor *tensor = op_view(op, params, i);
        elements += tensor->rank ? (double)op_rows(tensor) * op_cols(tensor) : 0;
    }
    return elements;
}

/* Bytes of the outputs. An output that is written in part counts in full. */
static double count_written(const op_description *op, const op_params *params, size_t real_size)
{
    double written = 0;
    for (size_t i = 0; i < op->operand_count; i++)
        if (op->operands[i].role != OP_INPUT)
            written += op_tensor_bytes(op_view(op, params, i), real_size);
    return written;
}

static zm_status check_memory(double elements, shape_reason *reason)
{
    double there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double wanted = elements * BYTES_PER_ELEMENT;
    if (wanted <= there * MEMORY_SHARE)
        return ZM_OK;
    snprintf(reason->text, sizeof(reason->text),
             "setting it up takes %.1f GiB of memory, of %.1f there are", wanted / 1073741824.0,
             there / 1073741824.0);
    return ZM_ERROR_LIMIT;
}

/* Which candidate it is that runs. */
static zm_status find_kernel(subject *it)
{
    zm_plan plan;
    const zm_op *op = zm_op_find(op_of(&it->v));
    if (!op)
        return ZM_ERROR_UNSUPPORTED;
    zm_status status = zm_op_plan(it->s->device, op, &it->run->params, &plan);
    if (status == ZM_OK)
        snprintf(it->kernel, sizeof(it->kernel), "%s", plan.candidate->name);
    return status;
}

zm_status subject_force(void *self)
{
    const subject *it = self;
    return zm_device_force_kernel(it->s->device, op_of(&it->v),
                                  it->v.kernel[0] ? it->v.kernel : NULL);
}

zm_status subject_create(session *s, const variant *v, subject *out, shape_reason *reason)
{
    op_case c;
    *out = (subject){.s = s, .v = *v};
    const op_description *op = subject_op(v->op);
    reason->text[0] = '\0';
    session_forget(s);
    zm_status status = shape_to_case(v->op, v->shape, v->type, v->weight_type, &c, reason);
    if (status != ZM_OK)
        return status;
    if (!subject_has_kernel(v)) {
        snprintf(reason->text, sizeof(reason->text), "%s has no kernel '%s'", v->op, v->kernel);
        return ZM_ERROR_INVALID_ARGUMENT;
    }
    size_t real_size = zm_dtype_size(s->info->real_type);
    status = session_check_type(s, v->type);
    if (status == ZM_OK)
        status = check_memory(count_elements(op, &c.params), reason);
    if (status == ZM_OK)
        status = subject_force(out); /* the layout of weights can depend on it */
    if (status == ZM_OK)
        status = op_run_create(s->device, op, &c, SEED, &out->run);
    if (status == ZM_OK)
        status = op_run_upload(out->run, s->stream);
    if (status == ZM_OK)
        status = find_kernel(out);
    if (status == ZM_OK) {
        out->flops = op->flops(&out->run->params);
        out->bytes = op->bytes(&out->run->params, real_size);
        out->written = count_written(op, &out->run->params, real_size);
    }
    return status;
}

void subject_finish(subject *it)
{
    op_run_destroy(&it->run);
    if (it->s)
        zm_device_force_kernel(it->s->device, op_of(&it->v), NULL);
}

static zm_status call(void *self, zm_stream *stream)
{
    return op_run_call(((subject *)self)->run, stream);
}

timed subject_timed(subject *it, double sample_seconds)
{
    return (timed){
        .enqueue = call, .begin = subject_force, .self = it, .sample_seconds = sample_seconds};
}

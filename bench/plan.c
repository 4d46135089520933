/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/kernels.h"
#include "cli/output.h"
#include "common/alloc.h"

#define MAX_TYPES 4

static zm_cli_exit usage(const char *what, const char *word)
{
    zm_cli_error("%s '%s' (see '%s op --help')", what, word, zm_cli_program());
    return ZM_CLI_USAGE;
}

/* An option and what is wrong with its value. */
static zm_cli_exit usage_of(const char *option, const shape_reason *reason)
{
    zm_cli_error("%s: %s (see '%s op --help')", option, reason->text, zm_cli_program());
    return ZM_CLI_USAGE;
}

/* Storage types, quantised ones among those of weights; 0 = a word is none. NULL: one, the default.
 */
static size_t read_types(const char *text, bool of_weights, zm_dtype out[MAX_TYPES])
{
    static const zm_dtype known[] = {ZM_F32,  ZM_F16,  ZM_BF16, ZM_F64,  ZM_Q8_0, ZM_Q4_0, ZM_Q4_1,
                                     ZM_Q5_0, ZM_Q5_1, ZM_Q2_K, ZM_Q3_K, ZM_Q4_K, ZM_Q5_K, ZM_Q6_K};
    const size_t known_count = of_weights ? sizeof(known) / sizeof(known[0]) : 4;
    size_t count = 0;
    out[0] = ZM_DTYPE_NONE;
    if (!text)
        return 1;
    while (*text) {
        size_t length = strcspn(text, ","), i = 0;
        while (i < known_count && (strlen(zm_dtype_name(known[i])) != length ||
                                   memcmp(zm_dtype_name(known[i]), text, length) != 0))
            i++;
        if (i == known_count || count == MAX_TYPES)
            return 0;
        out[count++] = known[i];
        text += length + (text[length] == ',');
    }
    return count;
}

static bool add(plan *p, const variant *v)
{
    void *variants = p->variants;
    if (!zm_array_reserve(&variants, &p->capacity, p->count + 1, sizeof(variant)))
        return false;
    p->variants = variants;
    p->variants[p->count++] = *v;
    return true;
}

/* The variant with each kernel that was asked for, or with the one that is chosen. */
static bool add_kernels(const zm_cli_kernels *kernels, variant *v, plan *p)
{
    size_t op_count;
    const zm_op_info *infos = zm_op_list(&op_count);
    const op_description *description = subject_op(v->op);
    const char *op = description->op ? description->op : description->name;
    if (!kernels || !zm_cli_kernels_are_of(kernels, op))
        return add(p, v);
    for (size_t i = 0; i < op_count; i++) {
        for (size_t j = 0; j < infos[i].candidate_count && strcmp(infos[i].name, op) == 0; j++) {
            if (!zm_cli_kernels_have(kernels, op, infos[i].candidates[j]))
                continue;
            snprintf(v->kernel, sizeof(v->kernel), "%s", infos[i].candidates[j]);
            if (!add(p, v))
                return false;
        }
    }
    v->kernel[0] = '\0';
    return true;
}

typedef struct type_lists {
    size_t count, weight_count;
    zm_dtype types[MAX_TYPES], weight_types[MAX_TYPES];
} type_lists;

static bool add_shape(const plan_options *o, const char *op, const char *text,
                      const type_lists *lists, plan *p)
{
    variant v = {.op = ""};
    const zm_cli_kernels kernels = zm_cli_kernels_read(o->kernel ? o->kernel : "*");
    snprintf(v.op, sizeof(v.op), "%s", op);
    snprintf(v.shape, sizeof(v.shape), "%s", text);
    for (size_t i = 0; i < lists->count; i++) {
        for (size_t j = 0; j < lists->weight_count; j++) {
            v.type = lists->types[i];
            v.weight_type = lists->weight_types[j];
            if (!add_kernels(o->kernel ? &kernels : NULL, &v, p))
                return false;
        }
    }
    return true;
}

static bool add_op(const plan_options *o, const char *op, const type_lists *lists, plan *p)
{
    const char *const *texts;
    size_t count = shape_list(op, &texts);
    if (o->shape || count == 0) /* without any shapes: one row that says so */
        return add_shape(o, op, o->shape ? o->shape : "", lists, p);
    for (size_t i = 0; i < count; i++)
        if (!add_shape(o, op, texts[i], lists, p))
            return false;
    return true;
}

static zm_cli_exit add_versus(const char *text, plan *p)
{
    shape_reason reason;
    bool known = false;
    p->versus = zm_calloc(p->count, sizeof(variant));
    if (!p->versus)
        return zm_cli_result(ZM_ERROR_OUT_OF_MEMORY);
    for (size_t i = 0; i < p->count; i++) {
        p->versus[i] = p->variants[i];
        if (!variant_change(&p->versus[i], text, &reason))
            return usage_of("--vs", &reason);
        known = known || subject_has_kernel(&p->versus[i]);
    }
    return known ? ZM_CLI_OK : usage("--vs: no kernel of these ops is named", p->versus->kernel);
}

static bool has_kernels(const plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->variants[i].kernel[0])
            return true;
    return false;
}

/* A shape that no op understands is a usage error; one that some don't is a row that says so. */
static zm_cli_exit check_shapes(const plan *p)
{
    shape_reason reason = {""};
    op_case c;
    for (size_t i = 0; i < p->count; i++) {
        zm_status status =
            shape_to_case(p->variants[i].op, p->variants[i].shape, 0, 0, &c, &reason);
        if (status != ZM_ERROR_INVALID_ARGUMENT)
            return ZM_CLI_OK;
    }
    return usage_of("--shape", &reason);
}

zm_cli_exit plan_make(const plan_options *o, const char *versus, plan *out)
{
    type_lists lists;
    bool matched = false, complete = true;
    memset(out, 0, sizeof(*out));
    lists.count = read_types(o->types, false, lists.types);
    lists.weight_count = read_types(o->weight_types, true, lists.weight_types);
    if (lists.count == 0 || lists.weight_count == 0)
        return usage("these are no types of f32, f16, bf16, f64:",
                     lists.count == 0 ? o->types : o->weight_types);
    if (o->shape && strlen(o->shape) >= SHAPE_TEXT)
        return usage("this shape is too long:", o->shape);
    for (size_t i = 0; i < op_description_count && complete; i++) {
        if (fnmatch(o->op, op_descriptions[i]->name, 0) != 0)
            continue;
        matched = true;
        complete = add_op(o, op_descriptions[i]->name, &lists, out);
    }
    if (!complete)
        return zm_cli_result(ZM_ERROR_OUT_OF_MEMORY);
    if (!matched)
        return usage("no op is named", o->op);
    if (o->kernel && !has_kernels(out))
        return usage("no kernel of these ops is named", o->kernel);
    zm_cli_exit code = check_shapes(out);
    return code == ZM_CLI_OK && versus ? add_versus(versus, out) : code;
}

void plan_finish(plan *p)
{
    free(p->variants);
    free(p->versus);
    memset(p, 0, sizeof(*p));
}

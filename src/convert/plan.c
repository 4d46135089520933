/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/quant.h"
#include "model/model_private.h"

/* A plan at work. */
typedef struct planner {
    const zm_model *model;
    const zm_model_info *info;
    const zm_plan_params *params;
    uint64_t d;
    bool folds, unfolds;
    zm_plan plan;
    size_t capacity;
} planner;

static bool is_quantised(zm_dtype type)
{
    return zm_dtype_block_length(type) > 1;
}

/* ---- vectors ---- */

/* From vectors of d elements to d - 1. Those that are written lose their mean first; those that
 * read may have one, which nothing depends on. */
static zm_vector_change to_narrow(zm_norm norm, bool writes, double d)
{
    const double root = sqrt(d);
    if (norm == ZM_NORM_ORTHO) /* the same for both: it is a reflection */
        return (zm_vector_change){.mean = -root / (root - 1), .last = 1 / (root - 1), .more = -1};
    return writes ? (zm_vector_change){.mean = -1, .more = -1}
                  : (zm_vector_change){.last = -1, .more = -1};
}

/* The way back; means are those of d - 1 elements. Readers come out with a mean of zero. */
static zm_vector_change to_wide(zm_norm norm, bool writes, double d)
{
    const double root = sqrt(d);
    if (norm == ZM_NORM_ORTHO)
        return (zm_vector_change){
            .mean = -(d - 1) / (d - root), .more = 1, .appended = (d - 1) / root};
    return writes ? (zm_vector_change){.more = 1, .appended = -(d - 1)}
                  : (zm_vector_change){.mean = -(d - 1) / d, .more = 1, .appended = -(d - 1) / d};
}

/* Where the main branch begins, its mean is taken out at run time as well: it has to be where the
 * token table is the head, which does not ignore the mean, and it lets quantised tables stay. It
 * has d elements there in all forms. */
static void plan_start(const planner *p, zm_plan_item *item)
{
    if (p->info->norm != ZM_NORM_LAYER || p->params->norm == ZM_NORM_LAYER ||
        is_quantised(item->tensor->dtype))
        return;
    item->axis = ZM_RECENTRE_ROWS;
    item->change = ZM_MEAN_OUT;
}

/* The same where nothing is taken out at run time: what begins the branch of a model of images. */
static void plan_entry(const planner *p, const zm_tensor_pattern *pattern, zm_plan_item *item)
{
    if (p->info->norm != ZM_NORM_LAYER || p->params->norm == ZM_NORM_LAYER)
        return;
    item->axis = pattern->role == ZM_ROLE_ENTRY_WEIGHT ? ZM_RECENTRE_OUTPUTS : ZM_RECENTRE_ROWS;
    item->change = ZM_MEAN_OUT;
}

static void plan_vectors(const planner *p, const zm_tensor_pattern *pattern, zm_plan_item *item)
{
    const zm_norm from = p->info->norm, to = p->params->norm;
    const int dimension = zm_tensor_pattern_axis(pattern);
    const bool writes = pattern->role != ZM_ROLE_READER_WEIGHT;
    if (pattern->role == ZM_ROLE_TABLE || pattern->role == ZM_ROLE_POSITION)
        plan_start(p, item);
    if (pattern->role == ZM_ROLE_ENTRY_WEIGHT || pattern->role == ZM_ROLE_ENTRY_BIAS)
        plan_entry(p, pattern, item);
    if (dimension < 0)
        return;
    if (zm_norm_is_narrow(to) && !zm_norm_is_narrow(from))
        item->change = to_narrow(to, writes, (double)p->d);
    else if (zm_norm_is_narrow(from) && !zm_norm_is_narrow(to))
        item->change = to_wide(from, writes, (double)p->d);
    else if (writes && from == ZM_NORM_LAYER && to == ZM_NORM_RMS)
        item->change = ZM_MEAN_OUT;
    else if (!item->gain)
        return;
    item->axis = dimension == (int)item->made.rank - 1 ? ZM_RECENTRE_ROWS : ZM_RECENTRE_OUTPUTS;
    item->made.shape[dimension] += (uint64_t)item->change.more;
}

/* ---- norms ---- */

static const zm_model_tensor *find(const planner *p, const char *name, const char *suffix)
{
    char full[ZM_PATTERN_NAME + 8];
    snprintf(full, sizeof(full), "%s%s", name, suffix);
    return zm_model_find_tensor(p->model, full);
}

/* Weight or bias of the norm that a reader's weight names. */
static const zm_model_tensor *norm_of(const planner *p, const zm_model_tensor *reader,
                                      const zm_tensor_pattern *pattern, const char *suffix)
{
    char name[ZM_PATTERN_NAME];
    uint32_t layer = 0;
    if (!p->folds || !pattern->norm)
        return NULL;
    zm_tensor_pattern_match(pattern->name, reader->name, &layer);
    zm_tensor_pattern_name(pattern->norm, layer, name, sizeof(name));
    return find(p, name, suffix);
}

/* NAME.weight and NAME.bias. */
static void sibling(const char *name, const char *suffix, char out[ZM_PATTERN_NAME])
{
    const char *point = strrchr(name, '.');
    snprintf(out, ZM_PATTERN_NAME, "%.*s%s", (int)(point ? point - name : 0), name, suffix);
}

static void plan_shift(const planner *p, const zm_model_tensor *reader, zm_plan_item *item)
{
    const zm_tensor_pattern *pattern = zm_tensor_pattern_get(p->model, reader->name);
    item->shift = norm_of(p, reader, pattern, ".bias");
    item->reader = item->shift ? reader : NULL;
    item->transposed = pattern->transposed;
}

static void plan_bias(const planner *p, zm_plan_item *item)
{
    char name[ZM_PATTERN_NAME];
    sibling(item->tensor->name, ".weight", name);
    const zm_model_tensor *reader = zm_model_find_tensor(p->model, name);
    if (reader)
        plan_shift(p, reader, item);
}

/* ---- types ---- */

/* Vectors and positions of GGUF are F32 where weights are rounded: llama.cpp takes them so. */
static bool is_kept_wide(const zm_model *model, const zm_tensor_pattern *pattern,
                         const zm_model_tensor *tensor)
{
    return model->gguf && (tensor->rank < 2 || (pattern && pattern->role == ZM_ROLE_POSITION));
}

static zm_dtype output_type(const zm_plan_item *item, zm_dtype wanted, bool wide)
{
    zm_dtype stored = item->made.dtype;
    if (wanted == ZM_F16 && wide)
        return ZM_F32;
    if (wanted != ZM_DTYPE_NONE)
        return wanted;
    if (!item->changed || is_quantised(stored))
        return stored;
    return stored == ZM_F64 ? ZM_F64 : ZM_F32;
}

/* Blocks run along the inputs of a writer, whose means differ within a block: they would have to be
 * rounded once more. */
static zm_status check_requantised(const planner *p, const zm_plan_item *item)
{
    const zm_model_tensor *tensor = item->tensor;
    const zm_log *log = p->params->log;
    if (!p->params->lossy)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s is %s, which recentring would round again: the weights are kept and "
                       "there is nothing to do, the file runs exactly as it is through the "
                       "deferred LayerNorm; only a lossy conversion changes it",
                       item->path, tensor->name, zm_dtype_name(tensor->dtype));
    if (!zm_quant_can_encode(item->made.dtype))
        return zm_fail(
            log, ZM_ERROR_UNSUPPORTED,
            "%s: %s is %s, a type that can only be read, not quantised again; ask for the "
            "norm rms and the type f16 or f32",
            item->path, tensor->name, zm_dtype_name(tensor->dtype));
    return ZM_OK;
}

/* ---- tensors ---- */

static zm_status no_memory(const planner *p)
{
    return zm_fail(p->params->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
}

/* NULL: out of memory. */
static zm_plan_item *add_item(planner *p)
{
    void *items = p->plan.items;
    if (!zm_array_reserve(&items, &p->capacity, p->plan.count + 1, sizeof(zm_plan_item)))
        return NULL;
    p->plan.items = items;
    zm_plan_item *item = &p->plan.items[p->plan.count++];
    *item = (zm_plan_item){.path = p->info->path};
    return item;
}

/* A vector that the input doesn't have. NULL: out of memory. */
static zm_plan_item *add_vector(planner *p, const char *name, uint64_t n, double filled)
{
    zm_plan_item *item = add_item(p);
    if (!item)
        return NULL;
    item->owned = zm_strdup(name);
    item->filled = filled;
    item->changed = true;
    item->made =
        (zm_model_tensor){.name = item->owned,
                          .dtype = p->params->type != ZM_DTYPE_NONE ? p->params->type : ZM_F32,
                          .rank = 1,
                          .shape = {n}};
    return item->owned ? item : NULL;
}

/* A reader without a bias gets one where its norm has one. */
static zm_status plan_new_bias(planner *p, const zm_model_tensor *reader,
                               const zm_tensor_pattern *pattern)
{
    char name[ZM_PATTERN_NAME];
    sibling(reader->name, ".bias", name);
    if (!norm_of(p, reader, pattern, ".bias") || pattern->unbiased ||
        zm_model_find_tensor(p->model, name))
        return ZM_OK;
    if (zm_tensor_role_get(p->model, name) != ZM_ROLE_READER_BIAS)
        return zm_fail(p->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s has no bias, which the norm before it would need to be folded",
                       p->info->path, reader->name);
    zm_plan_item *item = add_vector(p, name, reader->shape[pattern->transposed ? 1 : 0], 0);
    if (!item)
        return no_memory(p);
    plan_shift(p, reader, item);
    return ZM_OK;
}

static zm_status plan_type(planner *p, const zm_tensor_pattern *pattern, zm_plan_item *item)
{
    const zm_model_tensor *tensor = item->tensor ? item->tensor : &item->made;
    item->changed = item->axis != ZM_RECENTRE_NONE || item->shift || !item->tensor;
    item->made.dtype = output_type(item, p->params->type, is_kept_wide(p->model, pattern, tensor));
    return item->changed && is_quantised(item->made.dtype) ? check_requantised(p, item) : ZM_OK;
}

/* Gains of writers are taken over where the mean is. */
static bool changes_gains(const planner *p)
{
    return p->info->norm == ZM_NORM_LAYER && p->params->norm != ZM_NORM_LAYER;
}

static zm_status plan_tensor(planner *p, const zm_model_tensor *tensor)
{
    const zm_tensor_pattern *pattern = zm_tensor_pattern_get(p->model, tensor->name);
    const bool same = p->info->norm == p->params->norm && !p->folds && !p->unfolds;
    if (!same && !pattern)
        return zm_fail(p->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s has no known part in the architecture %s and may write the main "
                       "branch, so the conversion would not be exact; remove it from the model",
                       p->info->path, tensor->name, p->info->architecture_name);
    if (!zm_quant_can_decode(tensor->dtype))
        return zm_fail(p->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s is of type %s, which cannot be converted exactly; convert from the "
                       "floating-point model",
                       p->info->path, tensor->name, zm_dtype_name(tensor->dtype));
    if (p->folds && zm_norm_can_fold(p->model, pattern))
        return ZM_OK;
    const bool reads = pattern && pattern->role == ZM_ROLE_READER_WEIGHT;
    zm_status status = reads ? plan_new_bias(p, tensor, pattern) : ZM_OK;
    if (status != ZM_OK)
        return status;
    zm_plan_item *item = add_item(p);
    if (!item)
        return no_memory(p);
    item->tensor = tensor;
    item->made = *tensor;
    if (reads)
        item->gain = norm_of(p, tensor, pattern, ".weight");
    if (changes_gains(p))
        item->gain = item->gain ? item->gain : zm_tensor_gain_get(p->model, tensor->name);
    if (changes_gains(p) && pattern->role == ZM_ROLE_WRITER_GAIN) {
        item->tensor = NULL; /* the writer has taken them over */
        item->filled = 1;
    }
    if (pattern)
        plan_vectors(p, pattern, item);
    if (p->folds && pattern->role == ZM_ROLE_READER_BIAS)
        plan_bias(p, item);
    return plan_type(p, pattern, item);
}

/* Norms that were folded get weights again, which do nothing. */
static zm_status add_norms(planner *p)
{
    uint64_t sizes[ZM_SIZE_COUNT];
    zm_status status = ZM_OK;
    p->model->architecture->sizes(p->info, sizes);
    for (size_t i = 0; i < p->model->pattern_count; i++) {
        const zm_tensor_pattern *pattern = &p->model->patterns[i];
        if (!zm_norm_can_fold(p->model, pattern) || pattern->optional)
            continue;
        for (uint64_t layer = 0; layer < sizes[pattern->layers] && status == ZM_OK; layer++) {
            char name[ZM_PATTERN_NAME];
            zm_tensor_pattern_name(pattern->name, layer, name, sizeof(name));
            if (!add_vector(p, name, p->d, pattern->role == ZM_ROLE_NORM_WEIGHT))
                status = no_memory(p);
        }
    }
    return status;
}

/* ---- the plan ---- */

int zm_plan_compare(const void *left, const void *right)
{
    const zm_plan_item *a = left, *b = right;
    size_t size_a = zm_dtype_size(a->made.dtype), size_b = zm_dtype_size(b->made.dtype);
    if (size_a != size_b)
        return size_a > size_b ? -1 : 1;
    return strcmp(a->made.name, b->made.name);
}

static bool size_up(zm_plan_item *item)
{
    uint64_t bytes;
    item->made.data = NULL;
    item->made.elements = 1;
    for (uint32_t i = 0; i < item->made.rank; i++)
        if (!zm_mul_u64(item->made.elements, item->made.shape[i], &item->made.elements))
            return false;
    item->made.bytes = zm_dtype_bytes(item->made.dtype, item->made.elements);
    return zm_mul_u64(item->made.elements, sizeof(double), &bytes);
}

static zm_status total_up(planner *p)
{
    zm_plan *plan = &p->plan;
    for (size_t i = 0; i < plan->count; i++) {
        zm_plan_item *item = &plan->items[i];
        if (!size_up(item) ||
            !zm_add_u64(plan->output_bytes, item->made.bytes, &plan->output_bytes))
            return zm_fail(p->params->log, ZM_ERROR_LIMIT, "%s: %s is too large to convert",
                           item->path, item->made.name);
        plan->input_bytes += item->tensor ? item->tensor->bytes : 0;
        plan->requantised += item->changed && is_quantised(item->made.dtype);
        plan->changed += item->changed;
    }
    return ZM_OK;
}

static zm_status check_form(const planner *p)
{
    const zm_model_info *info = p->info;
    const zm_norm to = p->params->norm;
    const bool known = info->architecture == ZM_ARCHITECTURE_TEXT;
    if (known && info->text.norm != ZM_NORM_LAYER)
        return zm_fail(p->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s has no LayerNorm: there is nothing to convert", info->path,
                       info->architecture_name);
    if (info->architecture == ZM_ARCHITECTURE_VISION && (p->params->folded || to == ZM_NORM_LAYER))
        return zm_fail(p->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: models of images are converted to the norm rms, with its weights kept, "
                       "and to nothing else",
                       info->path);
    if (p->model->gguf && p->params->folded)
        return zm_fail(p->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: a GGUF file has no form for norms without weights, nor for a main "
                       "branch of one element less: its readers would take it for another model; "
                       "convert a model directory",
                       info->path);
    if (to != info->norm && to != ZM_NORM_LAYER && zm_norm_is_narrow(info->norm))
        return zm_fail(p->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: has the norm %s, from which the only way leads back to layer_norm; "
                       "convert it to that first, and the result to %s",
                       info->path, zm_norm_name(info->norm), zm_norm_name(to));
    if (zm_norm_is_narrow(to) && p->d < 2)
        return zm_fail(p->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: nothing would be left of its width of 1 with the norm %s", info->path,
                       zm_norm_name(to));
    return ZM_OK;
}

zm_status zm_plan_make(const zm_model *model, const zm_plan_params *params, zm_plan *out)
{
    const zm_model_info *info = zm_model_get_info(model);
    planner p = {.model = model, .info = info, .params = params};
    p.d = model->architecture ? zm_model_width(model) : 0;
    p.folds = params->folded && !info->folded;
    p.unfolds = !params->folded && info->folded;
    zm_status status = check_form(&p);
    for (size_t i = 0; i < model->tensor_count && status == ZM_OK; i++)
        if (!zm_tensor_is_ignored(model, model->tensors[i].name))
            status = plan_tensor(&p, &model->tensors[i]);
    if (status == ZM_OK && p.unfolds)
        status = add_norms(&p);
    if (status == ZM_OK)
        status = total_up(&p);
    if (status == ZM_OK && p.plan.changed == 0 && info->norm == ZM_NORM_LAYER &&
        params->norm != ZM_NORM_LAYER)
        status = zm_fail(params->log, ZM_ERROR_UNSUPPORTED,
                         "%s: nothing in it writes a main branch", info->path);
    if (status != ZM_OK) {
        zm_plan_finish(&p.plan);
        return status;
    }
    qsort(p.plan.items, p.plan.count, sizeof(*p.plan.items), zm_plan_compare);
    *out = p.plan;
    return ZM_OK;
}

const zm_plan_item *zm_plan_find(const zm_plan *plan, const zm_model_tensor *tensor)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->items[i].tensor == tensor)
            return &plan->items[i];
    return NULL;
}

void zm_plan_finish(zm_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        free(plan->items[i].owned);
    free(plan->items);
    *plan = (zm_plan){0};
}

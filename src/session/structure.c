/* SPDX-License-Identifier: Apache-2.0 */
/* A model's table of tensors, held against the graphs that run it: networks without memory, whose
 * tensors are externs with the names of the file. */
#include "session/structure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "model/model_private.h"

#define JOINT '+' /* between the names of tensors that become one */

zm_tensor zm_structure_tensor(zm_structure *s, const char *name, zm_dtype dtype, uint32_t rows,
                              uint32_t cols)
{
    const zm_size shape[] = {rows, cols};
    return zm_graph_extern(s->graph, name, dtype, cols ? 2 : 1, shape);
}

/* Joins those of the names that the model has, with this suffix. */
static bool join(const zm_structure *s, const zm_structure_names *names, const char *suffix,
                 char out[ZM_STRUCTURE_NAME])
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < names->count; i++) {
        char full[ZM_TEXT_NAME + 8];
        snprintf(full, sizeof(full), "%s%s", names->root[i], suffix);
        if (!zm_model_find_tensor(s->model, full))
            continue;
        used +=
            (size_t)snprintf(out + used, ZM_STRUCTURE_NAME - used, "%s%s", used ? "+" : "", full);
    }
    return used > 0;
}

zm_linear zm_structure_linear(zm_structure *s, const zm_structure_names *names, uint32_t n,
                              uint32_t k)
{
    char joined[ZM_STRUCTURE_NAME];
    zm_linear out = {0};
    if (join(s, names, ".weight", joined))
        out.weight = zm_structure_tensor(s, joined, ZM_DTYPE_NONE, n, k);
    if (join(s, names, ".bias", joined))
        out.bias = zm_structure_tensor(s, joined, ZM_DTYPE_NONE, n, 0);
    return out;
}

zm_linear zm_structure_writer(zm_structure *s, const zm_structure_names *names, const char *gain,
                              uint32_t d, uint32_t k)
{
    char joined[ZM_STRUCTURE_NAME + ZM_TEXT_NAME + 1];
    zm_linear out = zm_structure_linear(s, names, d, k);
    if (gain && names->count == 1) {
        snprintf(joined, sizeof(joined), "%s.weight%c%s", names->root[0], JOINT, gain);
        out.weight = zm_structure_tensor(s, joined, ZM_DTYPE_NONE, d, k);
    }
    return out;
}

zm_kv_cache zm_structure_cache(zm_structure *s, uint32_t layer, uint32_t heads, uint32_t width,
                               uint32_t positions)
{
    char name[32];
    zm_kv_cache cache = {.layout = {.dtype = ZM_F32,
                                    .heads = heads,
                                    .head_dim = width / heads,
                                    .capacity = positions,
                                    .head_stride = (uint64_t)positions * (width / heads),
                                    .elements = (uint64_t)positions * width}};
    snprintf(name, sizeof(name), "(keys %u)", layer);
    cache.k = zm_structure_tensor(s, name, ZM_F32, positions * width, 0);
    snprintf(name, sizeof(name), "(values %u)", layer);
    cache.v = zm_structure_tensor(s, name, ZM_F32, positions * width, 0);
    return cache;
}

zm_norm_weights zm_structure_norm(zm_structure *s, const zm_structure_names *names, uint32_t d)
{
    char joined[ZM_STRUCTURE_NAME];
    zm_norm_weights out = {0};
    if (join(s, names, ".weight", joined))
        out.weight = zm_structure_tensor(s, joined, ZM_DTYPE_NONE, d, 0);
    if (join(s, names, ".bias", joined))
        out.bias = zm_structure_tensor(s, joined, ZM_DTYPE_NONE, d, 0);
    return out;
}

zm_norm zm_structure_norm_kind(const zm_structure *s)
{
    zm_norm norm = zm_model_get_info(s->model)->norm;
    return norm == ZM_NORM_LAYER ? ZM_NORM_RMS : norm;
}

void zm_structure_decoding(zm_structure *s, zm_network *network, uint32_t vocabulary,
                           uint32_t positions)
{
    zm_decoding *decoding = &network->decoding;
    network->device_count = 1;
    network->info = (zm_session_info){vocabulary, positions, 1, 1, network->norm};
    decoding->batch = positions;
    decoding->tokens = zm_structure_tensor(s, "(tokens)", ZM_I32, positions, 0);
    decoding->places = zm_structure_tensor(s, "(places)", ZM_I32, positions, 0);
    decoding->starts = zm_structure_tensor(s, "(starts)", ZM_I32, 2, 0);
    decoding->firsts = zm_structure_tensor(s, "(firsts)", ZM_I32, 1, 0);
    decoding->lengths = zm_structure_tensor(s, "(lengths)", ZM_I32, 1, 0);
    decoding->asked = zm_structure_tensor(s, "(asked)", ZM_I32, 1, 0);
    decoding->logits = zm_structure_tensor(s, "(logits)", ZM_DTYPE_NONE, 1, vocabulary);
}

/* ---- the comparison ---- */

/* What stands behind the first name of a writer's weight is its gain. */
typedef enum use_kind { USE_WEIGHT = 0, USE_BIAS, USE_GAIN } use_kind;

static bool fits(zm_branch_part part, use_kind kind, zm_tensor_role role)
{
    const bool weight = kind == USE_WEIGHT;
    if (kind == USE_GAIN)
        return role == ZM_ROLE_WRITER_GAIN;
    switch (part) {
    case ZM_BRANCH_NORM: return role == (weight ? ZM_ROLE_NORM_WEIGHT : ZM_ROLE_NORM_BIAS);
    case ZM_BRANCH_WRITER: return role == (weight ? ZM_ROLE_WRITER_WEIGHT : ZM_ROLE_WRITER_BIAS);
    case ZM_BRANCH_ENTRY: return role == (weight ? ZM_ROLE_ENTRY_WEIGHT : ZM_ROLE_ENTRY_BIAS);
    default:
        return role == (weight ? ZM_ROLE_READER_WEIGHT : ZM_ROLE_READER_BIAS) ||
               (weight && role == ZM_ROLE_EMBEDDING);
    }
}

static const char *part_name(zm_branch_part part)
{
    static const char *const names[] = {"is a norm of", "reads a norm of", "writes", "begins"};
    return names[part];
}

static zm_status check_name(const zm_structure *s, zm_branch_part part, use_kind kind,
                            const char *name)
{
    const zm_model_info *info = zm_model_get_info(s->model);
    const zm_model_tensor *tensor = zm_model_find_tensor(s->model, name);
    if (!tensor || !fits(part, kind, zm_tensor_role_get(s->model, name)))
        return zm_fail(s->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s %s the main branch in what is run, which the table of %s does not "
                       "say: a conversion would not be exact",
                       info->path, name, part_name(part), info->architecture_name);
    s->seen[tensor - s->model->tensors] = true;
    return ZM_OK;
}

/* Which norm can be folded into a reader is in the table; it has to be the one that it reads. A
 * norm that can't has to stay: its readers name none. */
static zm_status check_norm(const zm_structure *s, const char *name, const char *norm)
{
    const zm_model_info *info = zm_model_get_info(s->model);
    const zm_tensor_pattern *reader = zm_tensor_pattern_get(s->model, name);
    const zm_tensor_pattern *read = norm ? zm_tensor_pattern_get(s->model, norm) : NULL;
    char expected[ZM_PATTERN_NAME + 8] = "";
    uint32_t layer = 0;
    if (reader->norm) {
        zm_tensor_pattern_match(reader->name, name, &layer);
        zm_tensor_pattern_name(reader->norm, layer, expected, ZM_PATTERN_NAME);
        strcat(expected, ".weight");
    }
    if (!norm ||
        (reader->norm ? strcmp(expected, norm) == 0 : read && !zm_norm_can_fold(s->model, read)))
        return ZM_OK;
    return zm_fail(s->log, ZM_ERROR_UNSUPPORTED,
                   "%s: %s reads the norm %s in what is run, which the table of %s does not say: a "
                   "conversion would not be exact",
                   info->path, name, norm, info->architecture_name);
}

static zm_status check_names(const zm_structure *s, const zm_branch_use *use, use_kind kind)
{
    const char *names = kind == USE_WEIGHT ? use->weight : use->bias;
    zm_status status = ZM_OK;
    while (names && *names && status == ZM_OK) {
        char name[ZM_TEXT_NAME + 8];
        const char *joint = strchr(names, JOINT);
        size_t length = joint ? (size_t)(joint - names) : strlen(names);
        snprintf(name, sizeof(name), "%.*s", (int)length, names);
        status = check_name(s, use->part, kind, name);
        if (status == ZM_OK && kind == USE_WEIGHT && use->part == ZM_BRANCH_READER)
            status = check_norm(s, name, use->norm);
        names += length + (joint ? 1 : 0);
        kind = use->part == ZM_BRANCH_WRITER ? USE_GAIN : kind;
    }
    return status;
}

/* The gains that the table has for a writer's weight and bias are those behind the weight. */
static zm_status check_gain(const zm_structure *s, const zm_branch_use *use)
{
    const char *joint = use->weight ? strchr(use->weight, JOINT) : NULL;
    char weight[ZM_TEXT_NAME + 8] = "";
    if (use->weight)
        snprintf(weight, sizeof(weight), "%.*s",
                 joint ? (int)(joint - use->weight) : (int)strlen(use->weight), use->weight);
    const char *names[] = {weight, use->bias ? use->bias : ""};
    for (int i = 0; i < 2; i++) {
        const zm_model_tensor *gain = zm_tensor_gain_get(s->model, names[i]);
        if (*names[i] && strcmp(gain ? gain->name : "", joint ? joint + 1 : "") != 0)
            return zm_fail(s->log, ZM_ERROR_UNSUPPORTED,
                           "%s: what is run has other gains for %s than the table of %s: a "
                           "conversion would not be exact",
                           zm_model_get_info(s->model)->path, names[i],
                           zm_model_get_info(s->model)->architecture_name);
    }
    return ZM_OK;
}

/* What begins the branch of a norm that is none of ours to change may have a mean. */
static zm_status check_use(void *user, const zm_branch_use *use)
{
    const zm_structure *s = user;
    if (use->part == ZM_BRANCH_ENTRY && zm_model_get_info(s->model)->norm != ZM_NORM_LAYER)
        return ZM_OK;
    zm_status status = check_names(s, use, USE_WEIGHT);
    if (status == ZM_OK)
        status = check_names(s, use, USE_BIAS);
    return status == ZM_OK && use->part == ZM_BRANCH_WRITER ? check_gain(s, use) : status;
}

/* Of a branch, and nothing has been seen of it. */
static bool is_missing(const zm_structure *s, size_t i)
{
    zm_tensor_role role = zm_tensor_role_get(s->model, s->model->tensors[i].name);
    return !s->seen[i] && role >= ZM_ROLE_NORM_WEIGHT;
}

static zm_status check_all_seen(const zm_structure *s)
{
    const zm_model_info *info = zm_model_get_info(s->model);
    for (size_t i = 0; i < s->model->tensor_count; i++)
        if (is_missing(s, i))
            return zm_fail(s->log, ZM_ERROR_UNSUPPORTED,
                           "%s: %s has no part in a main branch in what is run, but in the table "
                           "of %s: a conversion would not be exact",
                           info->path, s->model->tensors[i].name, info->architecture_name);
    return ZM_OK;
}

zm_status zm_structure_trace(zm_structure *s, const char *start)
{
    zm_status status = zm_graph_trace_branch(s->graph, start, check_use, s);
    zm_graph_destroy(&s->graph);
    return status;
}

zm_status zm_session_check_model(const zm_model *model, const zm_log *log)
{
    zm_structure s = {.model = model, .log = log};
    zm_status status;
    if (!model)
        return ZM_ERROR_INVALID_ARGUMENT;
    s.seen = zm_calloc(model->tensor_count, sizeof(*s.seen));
    if (!s.seen)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    switch (zm_model_get_info(model)->architecture) {
    case ZM_ARCHITECTURE_TEXT: status = zm_text_check_structure(&s); break;
    case ZM_ARCHITECTURE_WHISPER: status = zm_whisper_check_structure(&s); break;
    case ZM_ARCHITECTURE_VISION: status = zm_vision_check_structure(&s); break;
    default:
        status =
            zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: models of type %s cannot be run",
                    zm_model_get_info(model)->path, zm_model_get_info(model)->architecture_name);
    }
    if (status == ZM_OK)
        status = check_all_seen(&s);
    free(s.seen);
    return status;
}

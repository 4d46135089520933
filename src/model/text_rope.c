/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions: from a file's fields to base, factors and magnitude as the rope op takes them.
 *
 * linear: positions are divided by the factor. llama3: frequencies that turn less than
 * low_freq_factor times in the original context are divided by it, those over high_freq_factor are
 * kept, in between it is both. yarn (Peng et al. 2023): the same with a ramp over the pairs, and
 * rotated vectors are longer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/half.h"
#include "model/text.h"

#define TWO_PI 6.283185307179586
#define MAX_NAME 64
#define MAX_CONTEXT (1u << 30)

typedef struct rope {
    const zm_text_fields *fields;
    const char *object; /* that has the fields of scaling */
    zm_text_info *text;
    double *factors; /* text's */
    uint32_t pairs;
} rope;

/* ---- fields ---- */

/* As the reference: rope_scaling where both are there. */
static const char *object_of(const zm_text_fields *fields)
{
    if (!fields->config)
        return "rope.scaling";
    const json_t *old = json_object_get(fields->config, "rope_scaling");
    return old && !json_is_null(old) ? "rope_scaling" : "rope_parameters";
}

/* A field of the object; missing ones leave *out. */
static zm_status read_real(const rope *r, const char *name, double least, double most, double *out,
                           bool *found)
{
    char key[MAX_NAME];
    snprintf(key, sizeof(key), "%s.%s", r->object, name);
    return zm_text_field_real(r->fields, key, least, most, out, found);
}

static zm_status read_needed(const rope *r, const char *name, double least, double most,
                             double *out)
{
    bool found;
    zm_status status = read_real(r, name, least, most, out, &found);
    if (status == ZM_OK && !found)
        return zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT, "%s: %s.%s is missing", r->fields->what,
                       r->object, name);
    return status;
}

static zm_status check(const rope *r, const char *name, const char *value)
{
    char key[MAX_NAME];
    snprintf(key, sizeof(key), "%s.%s", r->object, name);
    return zm_text_field_check(r->fields, &(zm_text_fixed){key, value, NULL});
}

/* ---- what is rotated ---- */

static zm_status read_base(const rope *r, const char *key)
{
    double base = 10000;
    bool found = false;
    zm_status status = key ? zm_text_field_real(r->fields, key, 1, 1e12, &base, &found) : ZM_OK;
    if (status == ZM_OK && r->fields->config)
        status = read_real(r, "rope_theta", 1, 1e12, &base, &found);
    r->text->rope_base = (float)base;
    return status;
}

static zm_status read_rotary(const rope *r, const char *part_key, const char *key)
{
    zm_text_info *text = r->text;
    double part = 1;
    bool found = false;
    zm_status status =
        part_key ? zm_text_field_real(r->fields, part_key, 0, 1, &part, &found) : ZM_OK;
    if (status == ZM_OK && r->fields->config)
        status = read_real(r, "partial_rotary_factor", 0, 1, &part, &found);
    text->rotary_dim = (uint32_t)(part * text->head_dim + 1e-4);
    if (status == ZM_OK && key)
        status = zm_text_field_u32(r->fields, key, 1, text->head_dim, &text->rotary_dim, &found);
    if (status == ZM_OK && (text->rotary_dim % 2 != 0 || text->rotary_dim == 0))
        return zm_fail(r->fields->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %u elements of a head are rotated; expected pairs", r->fields->what,
                       text->rotary_dim);
    return status;
}

/* ---- scaling ---- */

double zm_text_yarn_magnitude(double factor)
{
    return factor > 1 ? 0.1 * log(factor) + 1 : 1;
}

/* Fields that are objects are for some of the layers. */
static zm_status check_object(const rope *r)
{
    const char *name;
    json_t *object = json_object_get(r->fields->config, r->object), *field;
    json_object_foreach(object, name, field)
    {
        if (json_is_object(field))
            return zm_fail(r->fields->log, ZM_ERROR_UNSUPPORTED,
                           "%s: %s for each kind of layer are not supported", r->fields->what,
                           r->object);
    }
    return ZM_OK;
}

static zm_status read_type(const rope *r, zm_rope_scaling_type *out)
{
    static const struct {
        const char *name;
        zm_rope_scaling_type type;
    } known[] = {{"none", ZM_ROPE_SCALING_NONE},
                 {"default", ZM_ROPE_SCALING_NONE},
                 {"linear", ZM_ROPE_SCALING_LINEAR},
                 {"yarn", ZM_ROPE_SCALING_YARN},
                 {"llama3", ZM_ROPE_SCALING_LLAMA3}};
    const bool gguf = !r->fields->config;
    char key[MAX_NAME], type[32] = "default";
    bool found = false;
    snprintf(key, sizeof(key), "%s.%s", r->object, gguf ? "type" : "rope_type");
    zm_status status = zm_text_field_string(r->fields, key, type, sizeof(type), &found);
    if (status == ZM_OK && !found) {
        snprintf(key, sizeof(key), "%s.type", r->object);
        status = zm_text_field_string(r->fields, key, type, sizeof(type), &found);
    }
    if (status == ZM_OK && !found && strcmp(r->object, "rope_scaling") == 0)
        return zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT, "%s: rope_scaling.rope_type is missing",
                       r->fields->what);
    if (!found && gguf)
        strcpy(type, "linear"); /* where there is a factor */
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && status == ZM_OK; i++) {
        if (strcmp(known[i].name, type) != 0 || (gguf && known[i].type == ZM_ROPE_SCALING_LLAMA3))
            continue;
        *out = known[i].type;
        return ZM_OK;
    }
    return status == ZM_OK
               ? zm_fail(r->fields->log, ZM_ERROR_UNSUPPORTED,
                         "%s: %s is \"%s\", which is not supported; supported are %s",
                         r->fields->what, key, type,
                         gguf ? "none, linear and yarn" : "default, linear, llama3 and yarn")
               : status;
}

/* A GGUF file without one, or with 0, is not scaled. */
static zm_status read_factor(const rope *r, double *out)
{
    bool found;
    if (r->fields->config)
        return read_needed(r, "factor", 1e-6, 1e6, out);
    *out = 0;
    zm_status status = read_real(r, "factor", 0, 1e6, out, &found);
    if (status == ZM_OK && !found)
        status = zm_text_field_real(r->fields, "rope.scale_linear", 0, 1e6, out, &found);
    *out = *out == 0 ? 1 : *out;
    return status;
}

static zm_status read_llama3(const rope *r, zm_rope_scaling *s)
{
    zm_status status = read_needed(r, "low_freq_factor", 1e-6, 1e6, &s->low);
    if (status == ZM_OK)
        status = read_needed(r, "high_freq_factor", 1e-6, 1e6, &s->high);
    if (status == ZM_OK)
        status = read_needed(r, "original_max_position_embeddings", 1, MAX_CONTEXT, &s->context);
    if (status == ZM_OK && !(s->high > s->low))
        status = zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT,
                         "%s: %s.high_freq_factor %g is not above low_freq_factor %g",
                         r->fields->what, r->object, s->high, s->low);
    return status;
}

/* GGUF's factor of attention is on top of the paper's, the other one instead of it. */
static zm_status read_yarn(const rope *r, zm_rope_scaling *s)
{
    const bool gguf = !r->fields->config;
    const double paper = zm_text_yarn_magnitude(s->factor);
    double magnitude = gguf ? 1 : paper;
    bool found = false;
    s->high = 32;
    s->low = 1;
    s->context = r->text->positions;
    zm_status status =
        read_real(r, gguf ? "yarn_beta_fast" : "beta_fast", 1e-3, 1e6, &s->high, &found);
    if (status == ZM_OK)
        status = read_real(r, gguf ? "yarn_beta_slow" : "beta_slow", 1e-3, 1e6, &s->low, &found);
    if (status == ZM_OK)
        status = read_real(r, gguf ? "original_context_length" : "original_max_position_embeddings",
                           1, MAX_CONTEXT, &s->context, &found);
    if (status == ZM_OK)
        status =
            read_real(r, gguf ? "attn_factor" : "attention_factor", 1e-6, 1e6, &magnitude, &found);
    if (status == ZM_OK)
        status = gguf ? check(r, "yarn_ext_factor", "1") : check(r, "mscale", "null");
    if (status == ZM_OK)
        status = gguf ? check(r, "yarn_attn_factor", "1") : check(r, "truncate", "true");
    if (status == ZM_OK && !(s->high > s->low && r->text->rope_base > 1))
        status = zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT,
                         "%s: %s of type yarn: beta_fast %g is not above beta_slow %g, or the base "
                         "%g not above 1",
                         r->fields->what, r->object, s->high, s->low, (double)r->text->rope_base);
    s->magnitude = gguf ? magnitude : magnitude / paper;
    r->text->rope_magnitude = (float)(gguf ? magnitude * paper : magnitude);
    return status;
}

static zm_status read_scaling(const rope *r, zm_rope_scaling *s)
{
    s->factor = s->magnitude = 1;
    zm_status status = r->fields->config ? check_object(r) : ZM_OK;
    if (status == ZM_OK)
        status = read_type(r, &s->type);
    if (status == ZM_OK && s->type != ZM_ROPE_SCALING_NONE)
        status = read_factor(r, &s->factor);
    if (s->type == ZM_ROPE_SCALING_LINEAR && s->factor == 1)
        s->type = ZM_ROPE_SCALING_NONE;
    if (status == ZM_OK && s->type == ZM_ROPE_SCALING_LLAMA3)
        status = read_llama3(r, s);
    return status == ZM_OK && s->type == ZM_ROPE_SCALING_YARN ? read_yarn(r, s) : status;
}

static void scale_llama3(const rope *r, const zm_rope_scaling *s)
{
    for (uint32_t i = 0; i < r->pairs; i++) {
        double turns = s->context / TWO_PI * pow((double)r->text->rope_base, -(double)i / r->pairs);
        double kept = (turns - s->low) / (s->high - s->low);
        kept = kept < 0 ? 0 : kept > 1 ? 1 : kept;
        r->factors[i] /= (1 - kept) / s->factor + kept;
    }
}

/* The pair, as a number that is not whole, that turns so often in the original context. */
static double pair_of(const rope *r, double context, double turns)
{
    return r->pairs * log(context / (turns * TWO_PI)) / log((double)r->text->rope_base);
}

static void scale_yarn(const rope *r, const zm_rope_scaling *s)
{
    double first = fmax(floor(pair_of(r, s->context, s->high)), 0);
    double last = fmin(ceil(pair_of(r, s->context, s->low)), 2.0 * r->pairs - 1);
    for (uint32_t i = 0; i < r->pairs; i++) {
        double scaled = (i - first) / fmax(last - first, 1e-3);
        scaled = scaled < 0 ? 0 : scaled > 1 ? 1 : scaled;
        r->factors[i] /= scaled / s->factor + 1 - scaled;
    }
}

static zm_status scale(const rope *r)
{
    zm_rope_scaling *s = &r->text->rope_scaling;
    zm_status status = read_scaling(r, s);
    if (status != ZM_OK)
        return status;
    if (s->type == ZM_ROPE_SCALING_LINEAR)
        r->text->rope_scale = (float)(1 / s->factor);
    if (s->type == ZM_ROPE_SCALING_LLAMA3)
        scale_llama3(r, s);
    if (s->type == ZM_ROPE_SCALING_YARN)
        scale_yarn(r, s);
    return ZM_OK;
}

/* llama3's, which a GGUF file has ready. */
static zm_status take_tensor(const rope *r)
{
    const zm_model_tensor *tensor = zm_model_find_tensor(r->fields->model, "rope_freqs.weight");
    if (!tensor)
        return ZM_OK;
    if (tensor->rank != 1 || tensor->shape[0] != r->pairs || tensor->dtype != ZM_F32)
        return zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor rope_freqs.weight is no vector of %u f32", r->fields->what,
                       r->pairs);
    zm_convert_reals(r->factors, ZM_F64, tensor->data, ZM_F32, r->pairs);
    for (uint32_t i = 0; i < r->pairs; i++)
        if (!(r->factors[i] >= 1e-6 && r->factors[i] <= 1e6))
            return zm_fail(r->fields->log, ZM_ERROR_BAD_FORMAT,
                           "%s: tensor rope_freqs.weight has %g, expected 1e-06 to 1e+06",
                           r->fields->what, r->factors[i]);
    return ZM_OK;
}

static bool all_one(const rope *r)
{
    for (uint32_t i = 0; i < r->pairs; i++)
        if (r->factors[i] != 1)
            return false;
    return true;
}

zm_status zm_text_rope_read(const zm_text_family *family, const zm_text_fields *fields,
                            zm_text_info *text)
{
    const char *const *keys = family->keys;
    rope r = {.fields = fields, .object = object_of(fields), .text = text};
    text->rope_scale = text->rope_magnitude = 1;
    zm_status status = read_base(&r, keys[ZM_TEXT_KEY_ROPE_BASE]);
    if (status == ZM_OK)
        status = read_rotary(&r, keys[ZM_TEXT_KEY_ROTARY_PART], keys[ZM_TEXT_KEY_ROTARY_DIM]);
    if (status != ZM_OK || !keys[ZM_TEXT_KEY_ROPE_BASE])
        return status;
    r.pairs = text->rotary_dim / 2;
    text->rope_factors = r.factors = zm_calloc(r.pairs, sizeof(*r.factors));
    if (!r.factors)
        return zm_fail(fields->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it",
                       fields->what);
    for (uint32_t i = 0; i < r.pairs; i++)
        r.factors[i] = 1;
    if (family->slots[ZM_TEXT_ROPE_FACTORS])
        status = take_tensor(&r);
    if (status == ZM_OK)
        status = scale(&r);
    if (status == ZM_OK && all_one(&r))
        zm_text_rope_free(text);
    return status;
}

void zm_text_rope_free(zm_text_info *text)
{
    free((void *)(uintptr_t)text->rope_factors);
    text->rope_factors = NULL;
}

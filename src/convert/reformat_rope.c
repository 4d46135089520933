/* SPDX-License-Identifier: Apache-2.0 */
/* Scaling of rotary positions in the other format: the parameters where it has them. llama3's are
 * what its factors are made of; a GGUF file has the factors instead, as a tensor of float32. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/half.h"
#include "convert/reformat.h"

static const zm_text_info *text_of(const zm_reformat_plan *plan)
{
    return &zm_model_get_info(plan->model)->text;
}

/* ---- GGUF ---- */

static void add_f32(zm_reformat_plan *plan, const char *name, double number)
{
    char key[ZM_TEXT_NAME];
    snprintf(key, sizeof(key), "%s.rope.scaling.%s", plan->family->name, name);
    zm_metadata_list_f32(&plan->values, key, (float)number);
}

void zm_reformat_scaling_add_values(zm_reformat_plan *plan)
{
    const zm_rope_scaling *s = &text_of(plan)->rope_scaling;
    const bool yarn = s->type == ZM_ROPE_SCALING_YARN;
    char key[ZM_TEXT_NAME];
    if (!yarn && s->type != ZM_ROPE_SCALING_LINEAR)
        return;
    snprintf(key, sizeof(key), "%s.rope.scaling.type", plan->family->name);
    zm_metadata_list_string(&plan->values, key, yarn ? "yarn" : "linear");
    add_f32(plan, "factor", s->factor);
    if (!yarn)
        return;
    snprintf(key, sizeof(key), "%s.rope.scaling.original_context_length", plan->family->name);
    zm_metadata_list_u32(&plan->values, key, (uint32_t)s->context);
    add_f32(plan, "yarn_beta_fast", s->high);
    add_f32(plan, "yarn_beta_slow", s->low);
    if ((float)s->magnitude != 1)
        add_f32(plan, "attn_factor", s->magnitude);
}

zm_status zm_reformat_scaling_add_tensor(zm_reformat_plan *plan, const zm_log *log)
{
    const zm_text_info *text = text_of(plan);
    const uint32_t pairs = text->rotary_dim / 2;
    const char *name = plan->family->slots[ZM_TEXT_ROPE_FACTORS];
    if (plan->model->gguf || !plan->to_gguf || !name || !text->rope_factors ||
        text->rope_scaling.type != ZM_ROPE_SCALING_LLAMA3)
        return ZM_OK;
    zm_reformat_item *item = &plan->items[plan->count];
    char *made_name = malloc(ZM_TEXT_NAME);
    plan->factors = zm_calloc(1, sizeof(*plan->factors));
    plan->factor_values = zm_calloc(pairs, sizeof(*plan->factor_values));
    if (!made_name || !plan->factors || !plan->factor_values) {
        free(made_name);
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
    }
    snprintf(made_name, ZM_TEXT_NAME, "%s.weight", name);
    zm_convert_reals(plan->factor_values, ZM_F32, text->rope_factors, ZM_F64, pairs);
    *plan->factors = (zm_model_tensor){.name = made_name,
                                       .dtype = ZM_F32,
                                       .rank = 1,
                                       .shape = {pairs},
                                       .elements = pairs,
                                       .bytes = zm_dtype_bytes(ZM_F32, pairs),
                                       .data = plan->factor_values};
    *item = (zm_reformat_item){
        .source = plan->factors, .made = *plan->factors, .slot = ZM_TEXT_ROPE_FACTORS};
    plan->count++;
    return ZM_OK;
}

/* ---- config.json ---- */

static void set_real(json_t *object, const char *key, double number)
{
    json_object_set_new(object, key, json_real(zm_reformat_shortest(number)));
}

/* What Llama 3.1 and its successors have, but for the factor, which the slowest pair shows. Whether
 * it was that is seen when all factors are compared. */
static zm_rope_scaling guess_llama3(const zm_text_info *text)
{
    return (zm_rope_scaling){.type = ZM_ROPE_SCALING_LLAMA3,
                             .factor = text->rope_factors[text->rotary_dim / 2 - 1],
                             .low = 1,
                             .high = 4,
                             .context = 8192};
}

void zm_reformat_scaling_set(zm_reformat_plan *plan)
{
    static const char *const names[] = {[ZM_ROPE_SCALING_LINEAR] = "linear",
                                        [ZM_ROPE_SCALING_LLAMA3] = "llama3",
                                        [ZM_ROPE_SCALING_YARN] = "yarn"};
    const zm_text_info *text = text_of(plan);
    zm_rope_scaling s = text->rope_scaling;
    if (s.type == ZM_ROPE_SCALING_NONE && text->rope_factors)
        s = guess_llama3(text);
    if (s.type == ZM_ROPE_SCALING_NONE)
        return;
    const bool yarn = s.type == ZM_ROPE_SCALING_YARN;
    json_t *object = json_object();
    json_object_set_new(object, "rope_type", json_string(names[s.type]));
    set_real(object, "factor", s.factor);
    if (s.type != ZM_ROPE_SCALING_LINEAR) {
        set_real(object, yarn ? "beta_slow" : "low_freq_factor", s.low);
        set_real(object, yarn ? "beta_fast" : "high_freq_factor", s.high);
        json_object_set_new(object, "original_max_position_embeddings",
                            json_integer((json_int_t)s.context));
    }
    if (yarn && s.magnitude != 1)
        set_real(object, "attention_factor", (double)text->rope_magnitude);
    json_object_set_new(plan->config, "rope_scaling", object);
}

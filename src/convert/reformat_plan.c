/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of each tensor. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "convert/reformat.h"

/* The names of a family on both sides. The first one of a GGUF name is what it becomes. */
static const struct {
    const char *huggingface, *class_name, *gguf;
} families[] = {
    {"llama", "LlamaForCausalLM", "llama"},
    {"mistral", "MistralForCausalLM", "llama"},
    {"qwen2", "Qwen2ForCausalLM", "qwen2"},
    {"gemma", "GemmaForCausalLM", "gemma"},
    {"gpt2", "GPT2LMHeadModel", "gpt2"},
    {"gpt_bigcode", "GPTBigCodeForCausalLM", "starcoder"},
    {"starcoder2", "Starcoder2ForCausalLM", "starcoder2"},
    {"gpt_neox", "GPTNeoXForCausalLM", "gptneox"},
    {"phi", "PhiForCausalLM", "phi2"},
    {"falcon", "FalconForCausalLM", "falcon"},
    {"bloom", "BloomForCausalLM", "bloom"},
    {"mpt", "MptForCausalLM", "mpt"},
};

static zm_status choose_family(zm_reformat_plan *plan, const zm_log *log)
{
    const zm_model_info *info = zm_model_get_info(plan->model);
    const zm_text_family *family = zm_model_text_family(plan->model);
    const char *target = family && family->gguf == plan->to_gguf ? family->name : NULL;
    for (size_t i = 0; family && !target && i < sizeof(families) / sizeof(families[0]); i++) {
        const char *from = family->gguf ? families[i].gguf : families[i].huggingface;
        if (strcmp(from, family->name) != 0)
            continue;
        target = family->gguf ? families[i].huggingface : families[i].gguf;
        plan->class_name = families[i].class_name;
    }
    if (!target)
        return zm_fail(
            log, ZM_ERROR_UNSUPPORTED,
            "%s: models of type %s have no agreed form as %s, so it is not converted%s%s",
            info->path, info->architecture_name, plan->to_gguf ? "GGUF" : "safetensors",
            info->refused ? ": " : "", info->refused ? info->refused : "");
    plan->config = json_object();
    if (!plan->config)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
    plan->family = zm_text_family_find(target, plan->to_gguf ? NULL : plan->config);
    return ZM_OK;
}

static zm_row_order order_of(const zm_reformat_plan *plan, zm_text_slot slot)
{
    const zm_text_family *from = zm_model_text_family(plan->model), *to = plan->family;
    const bool rotated = slot == ZM_TEXT_Q || slot == ZM_TEXT_K;
    if (slot == ZM_TEXT_QKV && from->fused != to->fused)
        return to->fused == ZM_TEXT_FUSED_PARTS ? ZM_ROWS_TO_PARTS : ZM_ROWS_TO_GROUPS;
    if (rotated && from->info.rope_layout != to->info.rope_layout)
        return to->info.rope_layout == ZM_ROPE_PAIRS ? ZM_ROWS_TO_PAIRS : ZM_ROWS_TO_HALVES;
    return ZM_ROWS_SAME;
}

/* What a format leaves out of the weights of norms. */
static double added_to(const zm_reformat_plan *plan, zm_text_slot slot, const char *suffix)
{
    const bool norm = slot == ZM_TEXT_EMBEDDING_NORM || slot == ZM_TEXT_ATTENTION_NORM ||
                      slot == ZM_TEXT_MLP_NORM || slot == ZM_TEXT_LAST_NORM;
    if (!norm || strcmp(suffix, ".weight") != 0)
        return 0;
    return (double)zm_model_text_family(plan->model)->info.norm_plus_one -
           (double)plan->family->info.norm_plus_one;
}

/* NULL: out of memory. */
static char *write_name(const char *pattern, uint32_t layer, const char *suffix)
{
    char *name = malloc(ZM_TEXT_NAME);
    if (!name)
        return NULL;
    zm_tensor_pattern_name(pattern, layer, name, ZM_TEXT_NAME);
    size_t length = strlen(name);
    snprintf(name + length, ZM_TEXT_NAME - length, "%s", suffix);
    return name;
}

static zm_status add_item(zm_reformat_plan *plan, const zm_model_tensor *source, zm_text_slot slot,
                          uint32_t layer, const char *suffix, const zm_log *log)
{
    const zm_text_family *from = zm_model_text_family(plan->model), *to = plan->family;
    const char *pattern = to->slots[slot];
    const char *path = zm_model_get_info(plan->model)->path;
    if (!pattern)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s has no place in %s files of type %s, so it is not converted", path,
                       source->name, plan->to_gguf ? "GGUF" : "safetensors", to->name);
    zm_reformat_item *item = &plan->items[plan->count];
    *item = (zm_reformat_item){.source = source,
                               .made = *source,
                               .slot = slot,
                               .order = order_of(plan, slot),
                               .transposed = from->transposed != to->transposed &&
                                             strchr(pattern, '*') && source->rank == 2,
                               .added = added_to(plan, slot, suffix)};
    if (item->transposed && item->order != ZM_ROWS_SAME)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: %s cannot be put in the order of %s", path,
                       source->name, to->name);
    item->made.data = NULL;
    item->made.name = write_name(pattern, layer, suffix);
    if (!item->made.name)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
    if (item->transposed) {
        item->made.shape[0] = source->shape[1];
        item->made.shape[1] = source->shape[0];
    }
    plan->count++;
    return ZM_OK;
}

/* A head that is the token table under another name is not one of its own. */
static bool is_copy(const zm_model *model, zm_text_slot slot, const char *suffix)
{
    return slot == ZM_TEXT_HEAD && zm_model_get_info(model)->text.tied &&
           strcmp(suffix, ".weight") == 0;
}

static zm_status add_slot(zm_reformat_plan *plan, zm_text_slot slot, uint32_t layer,
                          const zm_log *log)
{
    static const char *const suffixes[] = {".weight", ".bias"};
    char root[ZM_TEXT_NAME], name[ZM_TEXT_NAME + 8];
    zm_status status = ZM_OK;
    for (size_t i = 0; i < 2 && status == ZM_OK; i++) {
        if (!zm_model_text_name(plan->model, slot, layer, root) ||
            is_copy(plan->model, slot, suffixes[i]))
            continue;
        snprintf(name, sizeof(name), "%s%s", root, suffixes[i]);
        const zm_model_tensor *source = zm_model_find_tensor(plan->model, name);
        if (source)
            status = add_item(plan, source, slot, layer, suffixes[i], log);
    }
    return status;
}

static zm_status add_items(zm_reformat_plan *plan, const zm_log *log)
{
    const zm_text_family *from = zm_model_text_family(plan->model);
    const uint32_t layers = zm_model_get_info(plan->model)->text.layers;
    zm_status status = ZM_OK;
    plan->items = zm_calloc(plan->model->tensor_count + 1, sizeof(*plan->items));
    if (!plan->items)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
    for (int s = 0; s < ZM_TEXT_SLOT_COUNT && status == ZM_OK; s++)
        if (from->slots[s] && !strchr(from->slots[s], '*') &&
            (s != ZM_TEXT_ROPE_FACTORS || plan->to_gguf)) /* config.json has what they come from */
            status = add_slot(plan, (zm_text_slot)s, 0, log);
    for (uint32_t layer = 0; layer < layers && status == ZM_OK; layer++)
        for (int s = 0; s < ZM_TEXT_SLOT_COUNT && status == ZM_OK; s++)
            if (from->slots[s] && strchr(from->slots[s], '*'))
                status = add_slot(plan, (zm_text_slot)s, layer, log);
    return status == ZM_OK ? zm_reformat_scaling_add_tensor(plan, log) : status;
}

/* safetensors: wide types first, so that every tensor is aligned to its type. */
static int compare_items(const void *left, const void *right)
{
    const zm_reformat_item *a = left, *b = right;
    const size_t size_a = zm_dtype_size(a->made.dtype), size_b = zm_dtype_size(b->made.dtype);
    if (size_a != size_b)
        return size_a > size_b ? -1 : 1;
    return strcmp(a->made.name, b->made.name);
}

static zm_status total_up(zm_reformat_plan *plan, const zm_log *log)
{
    for (size_t i = 0; i < plan->count; i++) {
        zm_model_tensor *made = &plan->items[i].made;
        made->bytes = zm_dtype_bytes(made->dtype, made->elements);
        if (!zm_add_u64(plan->output_bytes, made->bytes, &plan->output_bytes))
            return zm_fail(log, ZM_ERROR_LIMIT, "%s is too large to convert", made->name);
        plan->input_bytes += plan->items[i].source->bytes;
    }
    if (!plan->to_gguf && plan->count > 0)
        qsort(plan->items, plan->count, sizeof(*plan->items), compare_items);
    return ZM_OK;
}

zm_status zm_reformat_plan_make(const zm_model *model, bool to_gguf, zm_dtype type,
                                const zm_log *log, zm_reformat_plan *out)
{
    zm_reformat_plan plan = {.model = model, .to_gguf = to_gguf};
    zm_status status = choose_family(&plan, log);
    if (status == ZM_OK)
        status = add_items(&plan, log);
    if (status == ZM_OK)
        status = zm_reformat_choose_types(&plan, type, log);
    if (status == ZM_OK)
        status = total_up(&plan, log);
    if (status == ZM_OK)
        status = zm_reformat_describe(&plan, log);
    if (status == ZM_OK)
        status = zm_reformat_verify(&plan, log);
    if (status != ZM_OK) {
        zm_reformat_plan_finish(&plan);
        return status;
    }
    *out = plan;
    return ZM_OK;
}

void zm_reformat_plan_finish(zm_reformat_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        free((void *)(uintptr_t)plan->items[i].made.name);
    free(plan->items);
    free(plan->factors);
    free(plan->factor_values);
    zm_metadata_list_clear(&plan->values);
    json_decref(plan->config);
    *plan = (zm_reformat_plan){0};
}

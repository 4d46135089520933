/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/adapter_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/quant.h"
#include "model/model_private.h"

#define MAX_NAME 256
#define PEFT_PREFIX "base_model.model."
#define DIRECTION "direction."

typedef enum adapter_part {
    PART_WHOLE = 0, /* stands in for the model's own tensor */
    PART_A,
    PART_B,
    PART_B_BIAS,
    PART_MAGNITUDE /* of DoRA */
} adapter_part;

/* How a name ends, and how that of the model's tensor ends instead. */
typedef struct ending {
    const char *text;
    adapter_part part;
    const char *instead;
} ending;

static const ending peft_endings[] = {{".lora_A.weight", PART_A, ".weight"},
                                      {".lora_B.weight", PART_B, ".weight"},
                                      {".lora_B.bias", PART_B_BIAS, ".weight"},
                                      {".lora_embedding_A", PART_A, ".weight"},
                                      {".lora_embedding_B", PART_B, ".weight"},
                                      {".lora_magnitude_vector", PART_MAGNITUDE, ".weight"},
                                      {".lora_magnitude_vector.weight", PART_MAGNITUDE, ".weight"}};
static const ending gguf_endings[] = {{".lora_a", PART_A, ""}, {".lora_b", PART_B, ""}};

/* A base model alone has names without the family's prefix, as the model's file may. */
static const zm_model_tensor *find_tensor(const zm_model *model, const char *name)
{
    const zm_model_tensor *tensor = zm_model_find_tensor(model, name);
    const char *prefix = model->family ? model->family->prefix : NULL;
    const size_t length = prefix ? strlen(prefix) : 0;
    char full[MAX_NAME];
    if (tensor || !prefix)
        return tensor;
    if (strncmp(name, prefix, length) == 0)
        return zm_model_find_tensor(model, name + length);
    const int used = snprintf(full, sizeof(full), "%s%s", prefix, name);
    return used > 0 && (size_t)used < sizeof(full) ? zm_model_find_tensor(model, full) : NULL;
}

/* The model's tensor, or NULL. */
static const zm_model_tensor *resolve(const zm_model *model, zm_adapter_kind kind, const char *name,
                                      adapter_part *out)
{
    const bool peft = kind == ZM_ADAPTER_PEFT;
    const ending *endings = peft ? peft_endings : gguf_endings;
    const size_t count = peft ? sizeof(peft_endings) / sizeof(peft_endings[0])
                              : sizeof(gguf_endings) / sizeof(gguf_endings[0]);
    char full[MAX_NAME];
    if (peft && strncmp(name, PEFT_PREFIX, strlen(PEFT_PREFIX)) != 0)
        return NULL;
    name += peft ? strlen(PEFT_PREFIX) : 0;
    *out = PART_WHOLE;
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(name), end = strlen(endings[i].text);
        if (length <= end || strcmp(name + length - end, endings[i].text) != 0)
            continue;
        *out = endings[i].part;
        const int used =
            snprintf(full, sizeof(full), "%.*s%s", (int)(length - end), name, endings[i].instead);
        return used > 0 && (size_t)used < sizeof(full) ? find_tensor(model, full) : NULL;
    }
    return peft ? find_tensor(model, name) : NULL;
}

/* Does it write the main branch in its first values or in a layer? A table that is the head as well
 * keeps its mean, which is taken out at run time. */
static bool writes(zm_tensor_role role)
{
    return role == ZM_ROLE_WRITER_WEIGHT || role == ZM_ROLE_WRITER_BIAS || role == ZM_ROLE_TABLE ||
           role == ZM_ROLE_POSITION;
}

/* [outputs][inputs] as the model computes with it: tables have a vector in each row. */
static bool has_shape(adapter_part part, const zm_model_tensor *tensor,
                      const zm_model_tensor *target, const zm_tensor_pattern *pattern)
{
    const bool table = pattern->role == ZM_ROLE_TABLE || pattern->role == ZM_ROLE_EMBEDDING ||
                       pattern->role == ZM_ROLE_POSITION;
    const bool turned = pattern->transposed || table;
    const uint64_t outputs = target->shape[turned ? 1 : 0], inputs = target->shape[turned ? 0 : 1];
    if (part == PART_WHOLE)
        return tensor->rank == target->rank &&
               memcmp(tensor->shape, target->shape, sizeof(tensor->shape)) == 0;
    if (target->rank != 2)
        return false;
    switch (part) {
    case PART_A: return tensor->rank == 2 && tensor->shape[1] == inputs;
    case PART_B: return tensor->rank == 2 && tensor->shape[0] == outputs;
    default: return tensor->elements == outputs;
    }
}

static zm_status check_control(const zm_model *model, const char *path,
                               const zm_model_tensor *tensor, const zm_log *log)
{
    const zm_model_info *info = zm_model_get_info(model);
    if (strncmp(tensor->name, DIRECTION, strlen(DIRECTION)) != 0 || tensor->rank != 1 ||
        tensor->elements != info->text.d)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "%s: %s is no direction of %u elements, as one of %s would be", path,
                       tensor->name, info->text.d, info->path);
    return ZM_OK;
}

zm_status zm_adapter_axis(const zm_model *model, zm_adapter_kind kind, const char *path,
                          const zm_model_tensor *tensor, const zm_log *log, zm_recentre_axis *out)
{
    const char *model_path = zm_model_get_info(model)->path;
    adapter_part part = PART_WHOLE;
    *out = ZM_RECENTRE_ROWS;
    if (kind == ZM_ADAPTER_GGUF_CONTROL)
        return check_control(model, path, tensor, log);
    const zm_model_tensor *target = resolve(model, kind, tensor->name, &part);
    const zm_tensor_pattern *pattern = target ? zm_tensor_pattern_get(model, target->name) : NULL;
    if (!pattern)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: %s is for no tensor of %s", path,
                       tensor->name, model_path);
    if (!has_shape(part, tensor, target, pattern))
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: the shape of %s doesn't fit %s of %s", path,
                       tensor->name, target->name, model_path);
    if (!writes(pattern->role) || part == PART_A) {
        *out = ZM_RECENTRE_NONE;
        return ZM_OK;
    }
    if (part == PART_MAGNITUDE)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s scales the outputs of %s, which writes the main branch, by their "
                       "norms with their means (DoRA): merge the adapter into the model first",
                       path, tensor->name, target->name);
    if (part == PART_B ||
        (part == PART_WHOLE && pattern->role == ZM_ROLE_WRITER_WEIGHT && !pattern->transposed))
        *out = ZM_RECENTRE_OUTPUTS;
    return ZM_OK;
}

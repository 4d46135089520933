/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that names the architectures. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/architecture.h"
#include "model/model_private.h"
#include "model/whisper.h"

static const zm_architecture_desc *const architectures[] = {
    &zm_architecture_whisper,
    &zm_architecture_text,
    &zm_architecture_vision,
};

#define ARCHITECTURE_COUNT (sizeof(architectures) / sizeof(architectures[0]))

const zm_architecture_desc *zm_architecture_find(const char *model_type)
{
    for (size_t i = 0; i < ARCHITECTURE_COUNT; i++)
        if (architectures[i]->model_type && strcmp(architectures[i]->model_type, model_type) == 0)
            return architectures[i];
    return NULL;
}

const zm_architecture_desc *zm_architecture_get(zm_architecture architecture)
{
    for (size_t i = 0; i < ARCHITECTURE_COUNT; i++)
        if (architectures[i]->architecture == architecture)
            return architectures[i];
    return NULL;
}

const char *zm_architecture_names(void)
{
    return "whisper, " ZM_TEXT_FAMILIES ", " ZM_VISION_FAMILIES;
}

const char *zm_architecture_reason(const char *model_type)
{
    static const char sandwich[] =
        "its branches end in norms of their own (sandwich), which need the mean of what they read";
    static const char adaptive[] =
        "its norms take their weights from an input (adaLN), so that no file has them";
    static const char heads[] = "it has norms of the queries and keys of each head";
    static const char experts[] = "it chooses experts for each token";
    static const struct {
        const char *name, *reason;
    } known[] = {{"bert", ZM_POST_LN},
                 {"roberta", ZM_POST_LN},
                 {"xlm-roberta", ZM_POST_LN},
                 {"distilbert", ZM_POST_LN},
                 {"albert", ZM_POST_LN},
                 {"electra", ZM_POST_LN},
                 {"deberta", ZM_POST_LN},
                 {"mpnet", ZM_POST_LN},
                 {"bart", ZM_POST_LN},
                 {"marian", ZM_POST_LN},
                 {"openai-gpt", ZM_POST_LN},
                 {"gemma2", sandwich},
                 {"gemma3", sandwich},
                 {"gemma3_text", sandwich},
                 {"olmo2", sandwich},
                 {"glm4", sandwich},
                 {"swinv2", sandwich},
                 {"dit", adaptive},
                 {"phi3", "it has gate and up projection in one tensor"},
                 {"qwen3", heads},
                 {"mixtral", experts},
                 {"qwen2_moe", experts},
                 {"qwen2moe", experts}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, model_type) == 0)
            return known[i].reason;
    return NULL;
}

/* A layer number as the patterns mean it: digits, no leading zero. Returns its length, 0 = none. */
static size_t read_layer(const char *text, uint32_t *layer)
{
    size_t length = 0;
    uint32_t number = 0;
    while (text[length] >= '0' && text[length] <= '9' && length < 6)
        number = number * 10 + (uint32_t)(text[length++] - '0');
    if (length > 1 && text[0] == '0')
        return 0;
    *layer = number;
    return length;
}

bool zm_tensor_pattern_match(const char *pattern, const char *name, uint32_t *layer)
{
    const char *star = strchr(pattern, '*');
    *layer = 0;
    if (!star)
        return strcmp(pattern, name) == 0;
    size_t head = (size_t)(star - pattern);
    if (strncmp(pattern, name, head) != 0)
        return false;
    size_t digits = read_layer(name + head, layer);
    return digits > 0 && strcmp(star + 1, name + head + digits) == 0;
}

static const zm_tensor_pattern *find_pattern(const zm_tensor_pattern *patterns, size_t count,
                                             const char *name, uint32_t *layer)
{
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++) {
        if (!zm_tensor_pattern_match(patterns[i].name, name, &number))
            continue;
        if (layer)
            *layer = number;
        return &patterns[i];
    }
    return NULL;
}

const zm_tensor_pattern *zm_tensor_pattern_find(const zm_architecture_desc *desc, const char *name,
                                                uint32_t *layer)
{
    return find_pattern(desc->patterns, desc->pattern_count, name, layer);
}

const zm_tensor_pattern *zm_tensor_pattern_get(const zm_model *model, const char *name)
{
    uint64_t sizes[ZM_SIZE_COUNT];
    uint32_t layer = 0;
    const zm_tensor_pattern *pattern =
        find_pattern(model->patterns, model->pattern_count, name, &layer);
    if (!pattern)
        return NULL;
    model->architecture->sizes(&model->info, sizes);
    return layer < sizes[pattern->layers] ? pattern : NULL;
}

zm_tensor_role zm_tensor_role_get(const zm_model *model, const char *name)
{
    const zm_tensor_pattern *pattern = zm_tensor_pattern_get(model, name);
    return pattern ? pattern->role : ZM_ROLE_NONE;
}

void zm_tensor_pattern_name(const char *pattern, uint64_t layer, char *out, size_t size)
{
    const char *star = strchr(pattern, '*');
    if (star)
        snprintf(out, size, "%.*s%" PRIu64 "%s", (int)(star - pattern), pattern, layer, star + 1);
    else
        snprintf(out, size, "%s", pattern);
}

/* ---- forms of the main branch ---- */

/* Is it NAME.weight or NAME.bias? */
static bool belongs_to(const char *tensor, const char *name)
{
    size_t length = strlen(name);
    return strncmp(tensor, name, length) == 0 &&
           (strcmp(tensor + length, ".weight") == 0 || strcmp(tensor + length, ".bias") == 0);
}

bool zm_norm_can_fold(const zm_model *model, const zm_tensor_pattern *pattern)
{
    if (pattern->role != ZM_ROLE_NORM_WEIGHT && pattern->role != ZM_ROLE_NORM_BIAS)
        return false;
    for (size_t i = 0; i < model->pattern_count; i++)
        if (model->patterns[i].norm && belongs_to(pattern->name, model->patterns[i].norm))
            return true;
    return false;
}

uint64_t zm_model_width(const zm_model *model)
{
    uint64_t sizes[ZM_SIZE_COUNT];
    model->architecture->sizes(&model->info, sizes);
    return sizes[ZM_SIZE_D];
}

bool zm_norm_is_narrow(zm_norm norm)
{
    return norm == ZM_NORM_CRMS || norm == ZM_NORM_ORTHO;
}

int zm_tensor_pattern_axis(const zm_tensor_pattern *pattern)
{
    switch (pattern->role) {
    case ZM_ROLE_WRITER_WEIGHT: return pattern->transposed ? (int)pattern->rank - 1 : 0;
    case ZM_ROLE_WRITER_BIAS: return 0;
    case ZM_ROLE_READER_WEIGHT:
        if (!pattern->norm)
            return -1;
        return pattern->transposed ? (int)pattern->rank - 2 : (int)pattern->rank - 1;
    default: return -1;
    }
}

bool zm_tensor_is_ignored(const zm_model *model, const char *name)
{
    return (model->family && zm_text_is_ignored(name)) ||
           (model->vision && zm_vision_is_ignored(name));
}

void zm_base_name_write(const char *prefix, bool has_prefix, const char *root, const char *suffix,
                        char out[ZM_TEXT_NAME])
{
    size_t skipped = prefix ? strlen(prefix) : 0;
    bool whole = has_prefix || strncmp(root, prefix ? prefix : "", skipped) != 0;
    snprintf(out, ZM_TEXT_NAME, "%s%s", whole ? root : root + skipped, suffix);
}

const zm_model_tensor *zm_tensor_gain_get(const zm_model *model, const char *name)
{
    uint32_t layer = 0;
    const zm_tensor_pattern *pattern =
        find_pattern(model->patterns, model->pattern_count, name, &layer);
    char full[ZM_PATTERN_NAME];
    if (!pattern || !pattern->gain)
        return NULL;
    zm_tensor_pattern_name(pattern->gain, layer, full, sizeof(full));
    return zm_model_find_tensor(model, full);
}

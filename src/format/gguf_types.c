/* SPDX-License-Identifier: Apache-2.0 */
#include "format/gguf_types.h"

#include <string.h>

#include "common/alloc.h"

/* By number. Gaps are numbers that were never given or taken back without a name. */
static const struct {
    const char *name;
    zm_dtype dtype;
} types[] = {
    {"F32", ZM_F32},   {"F16", ZM_F16},   {"Q4_0", ZM_Q4_0}, {"Q4_1", ZM_Q4_1}, {"Q4_2", 0},
    {"Q4_3", 0},       {"Q5_0", ZM_Q5_0}, {"Q5_1", ZM_Q5_1}, {"Q8_0", ZM_Q8_0}, {"Q8_1", 0},
    {"Q2_K", ZM_Q2_K}, {"Q3_K", ZM_Q3_K}, {"Q4_K", ZM_Q4_K}, {"Q5_K", ZM_Q5_K}, {"Q6_K", ZM_Q6_K},
    {"Q8_K", 0},       {"IQ2_XXS", 0},    {"IQ2_XS", 0},     {"IQ3_XXS", 0},    {"IQ1_S", 0},
    {"IQ4_NL", 0},     {"IQ3_S", 0},      {"IQ2_S", 0},      {"IQ4_XS", 0},     {"I8", ZM_I8},
    {"I16", ZM_I16},   {"I32", ZM_I32},   {"I64", ZM_I64},   {"F64", ZM_F64},   {"IQ1_M", 0},
    {"BF16", ZM_BF16}, {"Q4_0_4_4", 0},   {"Q4_0_4_8", 0},   {"Q4_0_8_8", 0},   {"TQ1_0", 0},
    {"TQ2_0", 0},      {"IQ4_NL_4_4", 0}, {"IQ4_NL_4_8", 0}, {"IQ4_NL_8_8", 0}, {"MXFP4", 0},
    {"NVFP4", 0},      {"Q1_0", 0},
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

zm_dtype zm_gguf_type_find(uint32_t id, const char **name)
{
    *name = id < TYPE_COUNT ? types[id].name : NULL;
    return id < TYPE_COUNT ? types[id].dtype : ZM_DTYPE_NONE;
}

bool zm_gguf_type_id(zm_dtype dtype, uint32_t *id)
{
    for (uint32_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].dtype != dtype || dtype == ZM_DTYPE_NONE)
            continue;
        *id = i;
        return true;
    }
    return false;
}

static const zm_metadata_type value_types[] = {
    ZM_METADATA_U8,  ZM_METADATA_I8,  ZM_METADATA_U16,  ZM_METADATA_I16,    ZM_METADATA_U32,
    ZM_METADATA_I32, ZM_METADATA_F32, ZM_METADATA_BOOL, ZM_METADATA_STRING, ZM_METADATA_ARRAY,
    ZM_METADATA_U64, ZM_METADATA_I64, ZM_METADATA_F64,
};

#define VALUE_TYPE_COUNT (sizeof(value_types) / sizeof(value_types[0]))

zm_metadata_type zm_gguf_value_type_find(uint32_t id)
{
    return id < VALUE_TYPE_COUNT ? value_types[id] : ZM_METADATA_NONE;
}

uint32_t zm_gguf_value_type_id(zm_metadata_type type)
{
    uint32_t id = 0;
    while (id < VALUE_TYPE_COUNT && value_types[id] != type)
        id++;
    return id;
}

bool zm_gguf_name_valid(const char *name, uint64_t length)
{
    if (length == 0 || length > ZM_GGUF_MAX_KEY)
        return false;
    for (uint64_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return true;
}

const char *zm_gguf_measure(zm_model_tensor *tensor)
{
    uint64_t elements = 1, length = zm_dtype_block_length(tensor->dtype);
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (!zm_mul_u64(elements, tensor->shape[i], &elements))
            return "the product of its shape overflows";
    if ((tensor->rank ? tensor->shape[tensor->rank - 1] : 1) % length != 0)
        return "its rows are no whole number of blocks of its type";
    if (!zm_mul_u64(elements / length, zm_dtype_block_size(tensor->dtype), &tensor->bytes))
        return "the product of its shape overflows";
    tensor->elements = elements;
    return NULL;
}

bool zm_gguf_alignment(const zm_metadata_value *values, size_t count, uint32_t *out)
{
    int64_t alignment = ZM_GGUF_ALIGNMENT;
    for (size_t i = 0; i < count; i++)
        if (strcmp(values[i].key, ZM_GGUF_ALIGNMENT_KEY) == 0 &&
            (values[i].is_array || !zm_metadata_integer(&values[i], 0, &alignment)))
            return false;
    if (alignment < 8 || alignment > 65536 || (alignment & (alignment - 1)) != 0)
        return false;
    *out = (uint32_t)alignment;
    return true;
}

bool zm_gguf_align(uint64_t offset, uint32_t alignment, uint64_t *out)
{
    if (!zm_add_u64(offset, alignment - 1, &offset))
        return false;
    *out = offset & ~((uint64_t)alignment - 1);
    return true;
}

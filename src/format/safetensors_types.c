/* SPDX-License-Identifier: Apache-2.0 */
#include "format/safetensors_types.h"

#include <string.h>

#include "common/alloc.h"

static const char *const type_names[ZM_DTYPE_COUNT] = {
    [ZM_F32] = "F32", [ZM_F16] = "F16", [ZM_BF16] = "BF16", [ZM_F64] = "F64", [ZM_I32] = "I32",
    [ZM_I64] = "I64", [ZM_U8] = "U8",   [ZM_I16] = "I16",   [ZM_I8] = "I8",
};

const char *zm_safetensors_type_name(zm_dtype dtype)
{
    return dtype > ZM_DTYPE_NONE && dtype < ZM_DTYPE_COUNT ? type_names[dtype] : NULL;
}

zm_dtype zm_safetensors_type_find(const char *name)
{
    for (int i = ZM_DTYPE_NONE + 1; i < ZM_DTYPE_COUNT; i++)
        if (type_names[i] && strcmp(type_names[i], name) == 0)
            return (zm_dtype)i;
    return ZM_DTYPE_NONE;
}

bool zm_safetensors_name_valid(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return *name && strcmp(name, ZM_SAFETENSORS_METADATA) != 0;
}

bool zm_safetensors_measure(zm_model_tensor *tensor)
{
    uint64_t elements = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (!zm_mul_u64(elements, tensor->shape[i], &elements))
            return false;
    if (!zm_mul_u64(elements, zm_dtype_size(tensor->dtype), &tensor->bytes))
        return false;
    tensor->elements = elements;
    return true;
}

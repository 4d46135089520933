/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/common.h>

#include "common/alloc.h"

const char *zm_version(void)
{
    return ZM_VERSION_STRING;
}

const char *zm_status_name(zm_status status)
{
    static const char *const names[] = {
#define STATUS_NAME(name, message) #name,
        ZM_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    };
    return status >= 0 && status < ZM_STATUS_COUNT ? names[status] : "unknown";
}

const char *zm_status_message(zm_status status)
{
    static const char *const messages[] = {
#define STATUS_MESSAGE(name, message) message,
        ZM_STATUS_MAP(STATUS_MESSAGE)
#undef STATUS_MESSAGE
    };
    return status >= 0 && status < ZM_STATUS_COUNT ? messages[status] : "unknown";
}

static const struct {
    const char *name;
    uint32_t length; /* elements of a block */
    uint32_t size;   /* bytes of a block */
} dtypes[ZM_DTYPE_COUNT] = {
    [ZM_DTYPE_NONE] = {"none", 0, 0}, [ZM_F32] = {"f32", 1, 4},
    [ZM_F16] = {"f16", 1, 2},         [ZM_BF16] = {"bf16", 1, 2},
    [ZM_F64] = {"f64", 1, 8},         [ZM_I32] = {"i32", 1, 4},
    [ZM_I64] = {"i64", 1, 8},         [ZM_U8] = {"u8", 1, 1},
    [ZM_Q4_0] = {"q4_0", 32, 18},     [ZM_Q4_1] = {"q4_1", 32, 20},
    [ZM_Q5_0] = {"q5_0", 32, 22},     [ZM_Q5_1] = {"q5_1", 32, 24},
    [ZM_Q8_0] = {"q8_0", 32, 34},     [ZM_Q2_K] = {"q2_k", 256, 84},
    [ZM_Q3_K] = {"q3_k", 256, 110},   [ZM_Q4_K] = {"q4_k", 256, 144},
    [ZM_Q5_K] = {"q5_k", 256, 176},   [ZM_Q6_K] = {"q6_k", 256, 210},
    [ZM_I8] = {"i8", 1, 1},           [ZM_I16] = {"i16", 1, 2},
};

uint32_t zm_dtype_block_length(zm_dtype dtype)
{
    return dtype >= 0 && dtype < ZM_DTYPE_COUNT ? dtypes[dtype].length : 0;
}

size_t zm_dtype_block_size(zm_dtype dtype)
{
    return dtype >= 0 && dtype < ZM_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

uint64_t zm_dtype_bytes(zm_dtype dtype, uint64_t elements)
{
    uint32_t length = zm_dtype_block_length(dtype);
    uint64_t blocks = length ? elements / length : 0, bytes;
    return zm_mul_u64(blocks, zm_dtype_block_size(dtype), &bytes) ? bytes : UINT64_MAX;
}

size_t zm_dtype_size(zm_dtype dtype)
{
    return zm_dtype_block_length(dtype) == 1 ? dtypes[dtype].size : 0;
}

const char *zm_dtype_name(zm_dtype dtype)
{
    return dtype >= 0 && dtype < ZM_DTYPE_COUNT ? dtypes[dtype].name : "none";
}

const char *zm_norm_name(zm_norm norm)
{
    switch (norm) {
    case ZM_NORM_LAYER: return "layer_norm";
    case ZM_NORM_RMS: return "rms_norm";
    case ZM_NORM_CRMS: return "crms_norm";
    case ZM_NORM_ORTHO: return "ortho_norm";
    default: return "default";
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/common.h>

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
    size_t size;
} dtypes[ZM_DTYPE_COUNT] = {
    [ZM_DTYPE_NONE] = {"none", 0}, [ZM_F32] = {"f32", 4}, [ZM_F16] = {"f16", 2},
    [ZM_BF16] = {"bf16", 2},       [ZM_F64] = {"f64", 8}, [ZM_I32] = {"i32", 4},
    [ZM_I64] = {"i64", 8},         [ZM_U8] = {"u8", 1},
};

size_t zm_dtype_size(zm_dtype dtype)
{
    return dtype >= 0 && dtype < ZM_DTYPE_COUNT ? dtypes[dtype].size : 0;
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
    default: return "default";
    }
}

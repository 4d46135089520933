/* SPDX-License-Identifier: Apache-2.0 */
/* Types that every other header uses: status codes, element types, version, progress. */
#ifndef ZEROMEAN_COMMON_H
#define ZEROMEAN_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define ZM_API
#elif defined(__GNUC__)
#define ZM_API __attribute__((visibility("default")))
#else
#define ZM_API
#endif

#define ZM_VERSION_MAJOR 0
#define ZM_VERSION_MINOR 1
#define ZM_VERSION_PATCH 0
#define ZM_VERSION_STRING "0.1.0"

/* The version of the library that is loaded, "MAJOR.MINOR.PATCH". Static storage. Thread-safe. */
ZM_API const char *zm_version(void);

/* Every fallible call returns one of these; results come through out-pointers, which a failing
 * call leaves untouched unless it says otherwise. The reason in words goes to the log. */
#define ZM_STATUS_MAP(X)                                                        \
    X(ZM_OK, "success")                                                         \
    X(ZM_ERROR_INVALID_ARGUMENT, "an argument is invalid")                      \
    X(ZM_ERROR_OUT_OF_MEMORY, "out of memory")                                  \
    X(ZM_ERROR_NOT_FOUND, "not found")                                          \
    X(ZM_ERROR_IO, "reading or writing failed")                                 \
    X(ZM_ERROR_BAD_FORMAT, "the file is damaged or not of the expected format") \
    X(ZM_ERROR_UNSUPPORTED, "not supported")                                    \
    X(ZM_ERROR_LIMIT, "over a limit of the device")                             \
    X(ZM_ERROR_DEVICE, "the device or its driver failed")                       \
    X(ZM_ERROR_CANCELLED, "cancelled by the caller")                            \
    X(ZM_ERROR_MISMATCH, "results differ by more than the tolerance")

typedef enum zm_status {
#define ZM_STATUS_ENUM(name, message) name,
    ZM_STATUS_MAP(ZM_STATUS_ENUM)
#undef ZM_STATUS_ENUM
        ZM_STATUS_COUNT
} zm_status;

/* "ZM_OK", "ZM_ERROR_IO", ...; "unknown" for a value outside the enum. Static storage. */
ZM_API const char *zm_status_name(zm_status status);

/* The status in words, in English, without a final full stop. Static storage. */
ZM_API const char *zm_status_message(zm_status status);

/* Element types of tensors. The last ones are quantised: blocks of consecutive elements of a row,
 * laid out as in GGUF files, that share one or two scales. They are what files store; ops take them
 * only where they say so. */
typedef enum zm_dtype {
    ZM_DTYPE_NONE = 0,
    ZM_F32,
    ZM_F16,
    ZM_BF16,
    ZM_F64,
    ZM_I32,
    ZM_I64,
    ZM_U8,
    ZM_Q4_0,
    ZM_Q4_1,
    ZM_Q5_0,
    ZM_Q5_1,
    ZM_Q8_0,
    ZM_Q2_K,
    ZM_Q3_K,
    ZM_Q4_K,
    ZM_Q5_K,
    ZM_Q6_K,
    ZM_I8, /* only in files, as I16 */
    ZM_I16,
    ZM_DTYPE_COUNT
} zm_dtype;

/* Bytes of one element; 0 for a quantised type, whose elements have none of their own, and for a
 * value outside the enum. */
ZM_API size_t zm_dtype_size(zm_dtype dtype);

/* Elements of one block: 32 or 256 for a quantised type, 1 for the others; 0 for a value outside
 * the enum. A row of quantised elements is a whole number of blocks. */
ZM_API uint32_t zm_dtype_block_length(zm_dtype dtype);
/* Bytes of one block, so of one element where the type is not quantised; 0 for a value outside the
 * enum. */
ZM_API size_t zm_dtype_block_size(zm_dtype dtype);
/* Bytes of so many elements, a whole number of blocks; UINT64_MAX where 64 bits don't do. */
ZM_API uint64_t zm_dtype_bytes(zm_dtype dtype, uint64_t elements);

/* "f32", "q4_k", ...; "none" for a value outside the enum. Static storage. */
ZM_API const char *zm_dtype_name(zm_dtype dtype);

/* Which normalisation the blocks of a model use. */
typedef enum zm_norm {
    ZM_NORM_DEFAULT = 0, /* whatever the model file says */
    ZM_NORM_LAYER,       /* LayerNorm: subtracts the mean */
    ZM_NORM_RMS,         /* RMSNorm on a zero-mean main branch */
    ZM_NORM_CRMS,        /* CRMSNorm on the first d - 1 elements of one */
    ZM_NORM_ORTHO,       /* RMSNorm on a zero-mean main branch turned into its d - 1 dimensions */
    ZM_NORM_COUNT
} zm_norm;

/* "layer_norm", "rms_norm", "crms_norm", "ortho_norm"; "default" otherwise. Static storage. */
ZM_API const char *zm_norm_name(zm_norm norm);

/* Called during long work from the thread that runs it. done and total share one unit (bytes,
 * tokens, ...) and total may be 0 where it is not known. Return false to cancel: the call then
 * cleans up and returns ZM_ERROR_CANCELLED. */
typedef bool (*zm_progress_fn)(void *user, const char *stage, uint64_t done, uint64_t total);

/* What the process environment says. zm_environment_read is the only function of the library
 * that reads the environment; applications pass on the fields they want to honour. */
typedef struct zm_environment {
    char device[64];      /* ZEROMEAN_DEVICE: a device spec, "" when unset */
    char cache_dir[1024]; /* ZEROMEAN_CACHE_DIR, else $XDG_CACHE_HOME/zeromean, else
                             $HOME/.cache/zeromean; "" when none of them is usable or when
                             ZEROMEAN_CACHE_DIR is set to the empty string */
} zm_environment;

/* Not safe against a concurrent setenv. */
ZM_API void zm_environment_read(zm_environment *out);

#ifdef __cplusplus
}
#endif
#endif

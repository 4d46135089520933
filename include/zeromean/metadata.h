/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata of model files: values of a type, or arrays of them, under keys. Safetensors files have
 * strings only; GGUF files have all types (hyper-parameters, the tokenizer, chat templates).
 *
 * Thread-safety: values are read-only. */
#ifndef ZEROMEAN_METADATA_H
#define ZEROMEAN_METADATA_H

#include <zeromean/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum zm_metadata_type {
    ZM_METADATA_NONE = 0,
    ZM_METADATA_U8,
    ZM_METADATA_I8,
    ZM_METADATA_U16,
    ZM_METADATA_I16,
    ZM_METADATA_U32,
    ZM_METADATA_I32,
    ZM_METADATA_U64,
    ZM_METADATA_I64,
    ZM_METADATA_F32,
    ZM_METADATA_F64,
    ZM_METADATA_BOOL,
    ZM_METADATA_STRING,
    ZM_METADATA_ARRAY, /* only of elements: arrays in an array */
    ZM_METADATA_TYPE_COUNT
} zm_metadata_type;

/* "u8", "f32", "bool", "string", "array", ...; "none" for a value outside the enum. Static storage.
 */
ZM_API const char *zm_metadata_type_name(zm_metadata_type type);

/* As it is in the file: usually UTF-8, but not checked. */
typedef struct zm_text {
    const char *data;
    size_t length; /* there is a NUL behind it only where the string is not in an array */
} zm_text;

typedef struct zm_metadata_value {
    const char *key;
    zm_metadata_type type; /* of each element */
    bool is_array;
    uint64_t count;       /* elements; 1 unless it is an array */
    const void *numbers;  /* little-endian, one behind the other, not aligned; else NULL */
    const zm_text *texts; /* for ZM_METADATA_STRING: count of them, else NULL */
    /* For ZM_METADATA_ARRAY: count of them, each an array under the same key; else NULL. */
    const struct zm_metadata_value *arrays;
} zm_metadata_value;

/* Element index of a value, each in constant time. False, and *out untouched, when value is NULL,
 * index is not below its count, or the element is something else: an integer is any integer type
 * whose value fits, a real is any integer or float (rounded to double). */
ZM_API bool zm_metadata_integer(const zm_metadata_value *value, uint64_t index, int64_t *out);
ZM_API bool zm_metadata_real(const zm_metadata_value *value, uint64_t index, double *out);
ZM_API bool zm_metadata_bool(const zm_metadata_value *value, uint64_t index, bool *out);
ZM_API bool zm_metadata_string(const zm_metadata_value *value, uint64_t index, zm_text *out);

#ifdef __cplusplus
}
#endif
#endif

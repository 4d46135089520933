/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/half.h"
#include "format/json.h"

#define MAX_INDEX (UINT64_C(1) << 24) /* bytes of cases.json */
#define MAX_NAME 256
#define MAX_COUNT 1000000

static const zm_model_tensor *find(const zm_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->tensor_count; ++i) {
        if (strcmp(file->tensors[i].name, name) == 0) {
            return &file->tensors[i];
        }
    }
    return NULL;
}

/* The operands of a case, by their names in a list of the index. */
static zm_status operands_read(const onnx_vectors *vectors, const onnx_case *c, const json_t *names,
                               const zm_log *log, onnx_operand *operands, size_t max)
{
    if (!json_is_array(names) || json_array_size(names) > max) {
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "cases.json: %s has no list of up to %zu inputs or outputs", c->name, max);
    }
    for (size_t i = 0; i < json_array_size(names); ++i) {
        const json_t *entry = json_array_get(names, i);
        const char *name = json_string_value(entry);
        char full[MAX_NAME];
        if (json_is_null(entry)) {
            continue;
        }
        if (!name || snprintf(full, sizeof(full), "%s/%s", c->name, name) >= MAX_NAME) {
            return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                           "cases.json: operand %zu of %s is no name, or a long one", i, c->name);
        }
        operands[i] = (onnx_operand){name, find(vectors->data, full)};
        if (!operands[i].tensor || operands[i].tensor->elements == 0) {
            return zm_fail(log, ZM_ERROR_BAD_FORMAT, "vectors.safetensors: %s is %s", full,
                           operands[i].tensor ? "empty" : "missing");
        }
    }
    return ZM_OK;
}

static zm_status case_read(const onnx_vectors *vectors, const json_t *entry, size_t i,
                           const zm_log *log, onnx_case *c)
{
    c->name = zm_json_string(entry, "name");
    c->op = zm_json_string(entry, "op");
    c->attributes = json_object_get(entry, "attributes");
    if (!c->name || !c->op || !json_is_object(c->attributes)) {
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "cases.json: case %zu lacks its name, op or attributes", i);
    }
    zm_status status =
        operands_read(vectors, c, json_object_get(entry, "inputs"), log, c->in, ONNX_MAX_INPUTS);
    if (status == ZM_OK) {
        status = operands_read(vectors, c, json_object_get(entry, "outputs"), log, c->out,
                               ONNX_MAX_OUTPUTS);
    }
    if (status == ZM_OK && (!c->in[0].tensor || !c->out[0].tensor)) {
        status = zm_fail(log, ZM_ERROR_BAD_FORMAT, "cases.json: %s has no first input or output",
                         c->name);
    }
    return status;
}

static zm_status cases_read(onnx_vectors *vectors, const zm_log *log)
{
    const json_t *list = json_object_get(vectors->index, "cases");
    size_t count = json_array_size(list);
    if (count == 0) {
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "cases.json: there is no case in it");
    }
    vectors->cases = zm_calloc(count, sizeof(*vectors->cases));
    if (!vectors->cases) {
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory for %zu cases", count);
    }
    zm_status status = ZM_OK;
    for (; status == ZM_OK && vectors->count < count; ++vectors->count) {
        status = case_read(vectors, json_array_get(list, vectors->count), vectors->count, log,
                           &vectors->cases[vectors->count]);
    }
    return status;
}

zm_status onnx_vectors_open(const char *folder, const zm_log *log, onnx_vectors *out)
{
    char path[4096];
    *out = (onnx_vectors){0};
    snprintf(path, sizeof(path), "%s/cases.json", folder);
    zm_status status = zm_json_read(path, MAX_INDEX, log, &out->index);
    if (status == ZM_OK) {
        snprintf(path, sizeof(path), "%s/vectors.safetensors", folder);
        status = zm_safetensors_open(path, log, &out->data);
    }
    return status == ZM_OK ? cases_read(out, log) : status;
}

void onnx_vectors_close(onnx_vectors *vectors)
{
    free(vectors->cases);
    zm_safetensors_close(&vectors->data);
    json_decref(vectors->index);
    *vectors = (onnx_vectors){0};
}

double onnx_number(const onnx_case *c, const char *attribute, double otherwise)
{
    const json_t *value = json_object_get(c->attributes, attribute);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

uint32_t onnx_count(const onnx_case *c, const char *attribute)
{
    double value = onnx_number(c, attribute, 0);
    return value >= 0 && value <= MAX_COUNT ? (uint32_t)value : 0;
}

const char *onnx_text(const onnx_case *c, const char *attribute, const char *otherwise)
{
    const char *value = json_string_value(json_object_get(c->attributes, attribute));
    return value ? value : otherwise;
}

double onnx_element(const zm_model_tensor *tensor, uint64_t i)
{
    switch (tensor->dtype) {
    case ZM_I32: return ((const int32_t *)tensor->data)[i];
    case ZM_I64: return (double)((const int64_t *)tensor->data)[i];
    case ZM_U8: return ((const uint8_t *)tensor->data)[i];
    default: return zm_load_real(tensor->data, tensor->dtype, i);
    }
}

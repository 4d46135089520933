/* SPDX-License-Identifier: Apache-2.0 */
/* The test cases that tests/onnx/dump.py took out of the onnx package. */
#ifndef ZM_TESTS_ONNX_VECTORS_H
#define ZM_TESTS_ONNX_VECTORS_H

#include <jansson.h>

#include "format/safetensors.h"

#define ONNX_MAX_INPUTS 8
#define ONNX_MAX_OUTPUTS 4

/* An operand; tensor is NULL where the case leaves it out. */
typedef struct onnx_operand {
    const char *name;
    const zm_model_tensor *tensor;
} onnx_operand;

typedef struct onnx_case {
    const char *name, *op;
    const json_t *attributes;
    onnx_operand in[ONNX_MAX_INPUTS], out[ONNX_MAX_OUTPUTS];
} onnx_case;

typedef struct onnx_vectors {
    json_t *index;
    zm_safetensors *data;
    onnx_case *cases;
    size_t count;
} onnx_vectors;

/* Destroy *out in any case. */
zm_status onnx_vectors_open(const char *folder, const zm_log *log, onnx_vectors *out);
void onnx_vectors_close(onnx_vectors *vectors);

/* Attributes, and what they are where the case does not give them. */
double onnx_number(const onnx_case *c, const char *attribute, double otherwise);
/* A number of things; 0 where the case gives none, or nonsense. */
uint32_t onnx_count(const onnx_case *c, const char *attribute);
const char *onnx_text(const onnx_case *c, const char *attribute, const char *otherwise);

/* Element i of a tensor of any type. */
double onnx_element(const zm_model_tensor *tensor, uint64_t i);

#endif

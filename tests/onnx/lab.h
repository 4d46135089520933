/* SPDX-License-Identifier: Apache-2.0 */
/* Where an ONNX case is carried out: a device, the case's buffers, and what came of it. */
#ifndef ZM_TESTS_ONNX_LAB_H
#define ZM_TESTS_ONNX_LAB_H

#include <zeromean/ops.h>

#include "onnx/vectors.h"
#include "scratch.h"

/* Largest difference over largest expected value, by the type of the output: some roundings of
 * float32; two of the type's own where it is narrower, one of ours and one of ONNX's. */
#define ONNX_TOLERANCE_F32 1e-6
#define ONNX_TOLERANCE_F16 1.5e-3
#define ONNX_TOLERANCE_BF16 1.2e-2

#define ONNX_MAX_BUFFERS 64

typedef struct onnx_lab {
    zm_device *device;
    zm_stream *stream;
    const zm_device_info *info;
    scratch_log log;
    zm_buffer *buffers[ONNX_MAX_BUFFERS]; /* of the case */
    size_t buffer_count;
    zm_status status;     /* of the case: the first error */
    char unlike[256];     /* why our ops don't express the case; "" = they do */
    char partly[256];     /* why not all of its outputs are compared */
    char difference[256]; /* where the result is not the expected one */
    double worst;         /* error of all cases, in tolerances */
    uint64_t compared;    /* elements of its outputs */
} onnx_lab;

zm_status onnx_lab_open(onnx_lab *lab, const char *spec);
void onnx_lab_close(onnx_lab *lab);
/* Forgets the case before. */
void onnx_lab_reset(onnx_lab *lab);

/* How the elements of an op's operand lie in a tensor of ONNX. */
typedef struct onnx_view {
    uint32_t shape[4];
    uint64_t stride[4]; /* of the elements in ONNX's tensor; 0 repeats them */
    uint64_t offset;
    uint32_t inner; /* columns that ONNX has; those behind are zeros. 0 = all */
} onnx_view;

/* [rows][cols] as they lie. */
onnx_view onnx_rows(uint64_t rows, uint64_t cols);

/* Why not; the first reason counts. */
ZM_PRINTF(2, 3) void onnx_refuse(onnx_lab *lab, const char *format, ...);
/* Takes up the status of an op. */
void onnx_ran(onnx_lab *lab, zm_status status);

/* After an error all of these do nothing. */
/* The device's type for activations that ONNX has in this type. */
zm_dtype onnx_activation(const onnx_lab *lab, const zm_model_tensor *tensor);
zm_buffer *onnx_room(onnx_lab *lab, zm_dtype dtype, uint64_t elements);
zm_buffer *onnx_put(onnx_lab *lab, const zm_model_tensor *tensor, zm_dtype dtype,
                    const onnx_view *view);
/* A weight [n][k], packed for the device. */
zm_tensor onnx_put_weight(onnx_lab *lab, const zm_model_tensor *tensor, const onnx_view *view);
/* Compares a result of ours with an output of the case. */
void onnx_expect(onnx_lab *lab, const onnx_operand *expected, const zm_tensor *result,
                 const onnx_view *view);

/* One per operator of ONNX: refuses the case, or runs it and compares. */
typedef void (*onnx_express)(onnx_lab *lab, const onnx_case *c);

void onnx_layer_normalization(onnx_lab *lab, const onnx_case *c);
void onnx_rms_normalization(onnx_lab *lab, const onnx_case *c);
void onnx_softmax(onnx_lab *lab, const onnx_case *c);
void onnx_gelu(onnx_lab *lab, const onnx_case *c);
void onnx_relu(onnx_lab *lab, const onnx_case *c);
void onnx_swish(onnx_lab *lab, const onnx_case *c);
void onnx_rotary_embedding(onnx_lab *lab, const onnx_case *c);
void onnx_matmul(onnx_lab *lab, const onnx_case *c);
void onnx_gemm(onnx_lab *lab, const onnx_case *c);
void onnx_attention(onnx_lab *lab, const onnx_case *c);

#endif

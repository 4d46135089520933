#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our ops against OpenVINO's CPU device in float32, in turns.

usage: bench/compare/openvino_ops.py [GLOB] [--rounds 15] [--device SPEC] [--json FILE]

Needs build/clbench; sets up the rest by scripts/bench-setup. Weights are constants of the model.
"""
import fnmatch

import peers

peers.enter_environment()

import numpy as np  # noqa: E402
import openvino  # noqa: E402
from openvino import opset13 as ops  # noqa: E402
import quiet  # noqa: E402

RANDOM = np.random.default_rng(0)
CONFIG = {"INFERENCE_NUM_THREADS": quiet.CORES, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
          "INFERENCE_PRECISION_HINT": "f32"}


def values(*shape):
    return RANDOM.standard_normal(shape, dtype=np.float32)


def bound(model, inputs):
    """Callables: one runs a model once, one gives its first output then. inputs: by their order."""
    request = openvino.Core().compile_model(model, "CPU", CONFIG).create_infer_request()
    for i, one in enumerate(inputs):
        request.set_input_tensor(i, openvino.Tensor(one))
    request.infer()
    return request.infer, lambda: request.get_output_tensor(0).data


def read(model, inputs):
    """The same of a serialised ONNX model."""
    return bound(openvino.Core().read_model(model), inputs.values())


def compiled(result, parameters):
    """A callable that runs the model once on values of its own."""
    model = openvino.Model([result], parameters, "m")
    return bound(model, [values(*parameter.shape) for parameter in parameters])[0]


def matmul(shape):
    s = peers.sizes(shape)
    x = ops.parameter([s["m"], s["k"]], np.float32)
    return {"OpenVINO": compiled(ops.matmul(x, ops.constant(values(s["n"], s["k"])), False, True),
                                 [x])}


def rms_norm(shape):
    s = peers.sizes(shape)
    x = ops.parameter([s["rows"], s["d"]], np.float32)
    axes, eps = ops.constant(np.array([-1])), ops.constant(np.float32(1e-5))
    mean = ops.reduce_mean(ops.multiply(x, x), axes, True)
    y = ops.multiply(ops.divide(x, ops.sqrt(ops.add(mean, eps))), ops.constant(values(1, s["d"])))
    return {"OpenVINO": compiled(y, [x])}


def layer_norm(shape):
    s = peers.sizes(shape)
    x = ops.parameter([s["rows"], s["d"]], np.float32)
    y = ops.mvn(x, ops.constant(np.array([-1])), True, 1e-5, "inside_sqrt")
    y = ops.add(ops.multiply(y, ops.constant(values(1, s["d"]))), ops.constant(values(1, s["d"])))
    return {"OpenVINO": compiled(y, [x])}


def attention(rows, heads, dim):
    shape = [1, heads, rows, dim]
    q, k, v = (ops.parameter(shape, np.float32) for _ in range(3))
    y = ops.scaled_dot_product_attention(q, k, v, causal=True)
    return {"OpenVINO": compiled(y, [q, k, v])}


def cases(glob):
    if fnmatch.fnmatch("matmul", glob):
        for shape in peers.MATMULS + peers.THIN:
            yield peers.Case("matmul", shape, matmul(shape))
    for rows, d in ((2048, 1024), (512, 768)):
        shape = f"rows={rows},d={d}"
        if fnmatch.fnmatch("rms_norm", glob):
            yield peers.Case("rms_norm", shape, rms_norm(shape))
        if fnmatch.fnmatch("layer_norm", glob):
            yield peers.Case("layer_norm", shape + ",bias", layer_norm(shape))
    for rows in (128, 1024, 4096):
        if fnmatch.fnmatch("attention", glob):
            yield peers.Case("attention", f"rows={rows},causal", attention(rows, 12, 64))


if __name__ == "__main__":
    peers.main("OpenVINO", openvino.__version__.split("-")[0], cases, __doc__.splitlines()[0])

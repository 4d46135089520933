#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the node test cases of the onnx package for the ops that Zeromean has.

usage: dump.py FOLDER

FOLDER/vectors.safetensors holds every input and expected output, as CASE/NAME, and
FOLDER/cases.json what each case is: op, attributes, the names of its inputs and outputs in the order
of the operator, null where an optional one is left out. Booleans are stored as U8.
"""
import json
import pathlib
import struct
import sys
import warnings

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

OPS = ["LayerNormalization", "RMSNormalization", "MatMul", "Gemm", "Softmax", "Gelu", "Relu",
       "Swish", "Attention", "RotaryEmbedding"]
TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int32": "I32",
         "int64": "I64", "uint8": "U8", "bool": "U8"}


def attributes(node):
    found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value
            for name, value in found.items()}


def present(names, arrays):
    """{name: array} of the operands that are there."""
    names = [name for name in names if name]
    assert len(names) == len(arrays), names
    return dict(zip(names, map(np.asarray, arrays)))


def true_angles(case):
    """The tables of the package's rotary cases are random numbers, so that no position gives them.
    The same case once more, with the angles of Su et al. 2021 and what the package's own evaluator
    makes of them."""
    node = case.model.graph.node[0]
    x, cos, _, *positions = case.data_sets[0][0]
    half = cos.shape[-1]
    position = np.arange(cos.shape[-2])[:, None]
    angle = position * 10000.0 ** (-np.arange(half) / half)
    table = [np.broadcast_to(f(angle).astype(cos.dtype), cos.shape) for f in (np.cos, np.sin)]
    inputs = [x, *table, *positions]
    feed = present(node.input, inputs)
    return case.name + "_true_angles", node, inputs, ReferenceEvaluator(case.model).run(None, feed)


def cases():
    """(name, node, inputs, expected outputs); an expanded case is not one node of the op."""
    for case in collect_testcases():
        nodes = case.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in OPS or nodes[0].domain:
            continue
        for inputs, outputs in case.data_sets:
            yield case.name, nodes[0], inputs, outputs
        if nodes[0].op_type == "RotaryEmbedding":
            yield true_angles(case)


def write_safetensors(path, tensors):
    # The widest elements first: all are aligned then.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header, at = {}, 0
    for name in names:
        tensor = tensors[name]
        header[name] = {"dtype": TYPES[tensor.dtype.name], "shape": list(tensor.shape),
                        "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(np.ascontiguousarray(tensors[name]).tobytes())


def main():
    folder = pathlib.Path(sys.argv[1])
    index, tensors = [], {}
    for name, node, inputs, outputs in cases():
        operands = present(node.input, inputs) | present(node.output, outputs)
        tensors |= {f"{name}/{operand}": array for operand, array in operands.items()}
        index.append({"name": name, "op": node.op_type, "attributes": attributes(node),
                      "inputs": [operand or None for operand in node.input],
                      "outputs": [operand or None for operand in node.output]})
    missing = set(OPS) - {case["op"] for case in index}
    if missing:
        sys.exit(f"dump.py: onnx {onnx.__version__} has no cases of {', '.join(sorted(missing))}")
    write_safetensors(folder / "vectors.safetensors", tensors)
    text = json.dumps({"onnx": onnx.__version__, "cases": index}, indent=1)
    (folder / "cases.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # other cases of the package divide by zero on purpose
    main()

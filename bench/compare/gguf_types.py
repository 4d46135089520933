# SPDX-License-Identifier: Apache-2.0
"""A GGUF file with its matrices in another type."""
import os
import struct

import gguf
import numpy

ALIGNMENT = 32


def padded(size):
    return -size % ALIGNMENT


def requantise(source, target, name):
    """Writes source to target: metadata as it is, matrices as the type of that name."""
    wanted = gguf.GGMLQuantizationType[name]
    reader = gguf.GGUFReader(source)
    metadata = bytes(reader.data[24:reader.tensors[0].field.offset])
    infos, data, place = [], [], 0
    for tensor in reader.tensors:
        kind, values = tensor.tensor_type, tensor.data
        if len(tensor.shape) > 1 and kind != wanted:
            values = gguf.quants.quantize(gguf.quants.dequantize(values, kind), wanted)
            kind = wanted
        values = numpy.ascontiguousarray(values)
        label, shape = tensor.name.encode(), [int(size) for size in tensor.shape]
        infos.append(struct.pack("<Q", len(label)) + label +
                     struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, int(kind), place))
        data.append(values)
        place += values.nbytes + padded(values.nbytes)
    head = (b"GGUF" + struct.pack("<IQQ", 3, len(reader.tensors), int(reader.fields[
        "GGUF.kv_count"].parts[0][0])) + metadata + b"".join(infos))
    part = f"{target}.part"
    with open(part, "wb") as file:
        file.write(head + bytes(padded(len(head))))
        for values in data:
            file.write(values.tobytes() + bytes(padded(values.nbytes)))
    os.replace(part, target)

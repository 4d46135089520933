# SPDX-License-Identifier: Apache-2.0
"""A safetensors file as its header and its data, to change what is in it."""
import json
import struct


def read_safetensors(path):
    raw = path.read_bytes()
    size, = struct.unpack_from("<Q", raw)
    return json.loads(raw[8:8 + size]), raw[8 + size:]


def write_safetensors(path, header, data):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def part_of(header, data, tensor):
    first, last = header[tensor]["data_offsets"]
    return data[first:last]

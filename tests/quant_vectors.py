#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/quant_vectors.inc: what the Python package gguf makes of the blocks and of the
numbers of tests/quant.c, as SHA-256.

usage: quant_vectors.py > tests/quant_vectors.inc       (needs gguf and numpy from PyPI)
"""
import hashlib
import math

import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type

COUNT = 64 * 256
SEED = 7
DECODED = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
           "Q6_K"]
ENCODED = ["F16", "BF16", "Q4_0", "Q4_1", "Q8_0"]
MASK = (1 << 64) - 1


class Random:
    """tests/support/random.c"""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        return z ^ z >> 31

    def below(self, limit):
        return self.next() % limit

    def between(self, low, high):
        return low + (high - low) * ((self.next() >> 11) * 2.0**-53)


def random_bytes(size):
    random = Random(SEED)
    return np.array([random.next() & 255 for _ in range(size)], np.uint8)


def numbers():
    """fill of quant.c"""
    random = Random(SEED)
    out = []
    for _ in range(COUNT // 32):
        scale = 2.0 ** (random.below(24) - 18)
        kind = random.below(8)
        for i in range(32):
            value = random.between(-1, 1)
            if kind == 0:
                value = 0.0
            elif kind == 1:
                value = 0.625
            elif kind == 2:
                value = math.floor(value * 255) / 2
            elif kind == 3:
                value = value * value * value + (-30 if i == 5 else 0)
            elif kind == 4:
                value += 3
            out.append(value * scale)
    return np.array(out, np.float64).astype(np.float32)


def sha256(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def decoded(type_):
    length, size = GGML_QUANT_SIZES[type_]
    with np.errstate(all="ignore"):
        out = quants.dequantize(random_bytes(COUNT // length * size).reshape(1, -1), type_)
    out = out.astype(np.float32).reshape(-1)
    bits = out.view(np.uint32).copy()
    bits[np.isnan(out)] = 0x7FC00000
    return sha256(bits)


def encoded(type_):
    return sha256(quants.quantize(numbers().reshape(1, -1), type_))


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Made by quant_vectors.py; do not edit. */")
    for name in DECODED:
        type_ = Type[name]
        code = f'"{encoded(type_)}"' if name in ENCODED else "NULL"
        print(f'{{ZM_{name},\n "{decoded(type_)}",\n {code}}},')


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/image_vectors.inc: what Pillow makes of the picture of tests/image.c in other sizes,
as FNV-1a, and what the image processors of the Python package transformers make of it for a model,
as two sums.

usage: image_vectors.py > tests/image_vectors.inc   (needs pillow 11, numpy, transformers from PyPI)
"""
import json

import numpy as np
from PIL import Image
from transformers import BitImageProcessor, CLIPImageProcessor, DeiTImageProcessor, ViTImageProcessor

SIZES = [(11, 7, 5, 4), (11, 7, 23, 17), (11, 7, 3, 20), (11, 7, 11, 9), (1, 1, 4, 3), (2, 3, 1, 1),
         (200, 150, 64, 48), (150, 201, 67, 90), (64, 48, 224, 224), (300, 2, 7, 5), (640, 427, 224, 224)]
# Bytes of files as they are found: class, fields of preprocessor_config.json, picture, side.
PREPARED = [
    (ViTImageProcessor, dict(size=dict(height=6, width=6)), (23, 17), 6),
    (ViTImageProcessor, dict(size=dict(height=6, width=6), resample=3, do_rescale=False), (5, 4), 6),
    (ViTImageProcessor, dict(do_resize=False, do_normalize=False), (8, 8), 8),
    (DeiTImageProcessor, dict(size=dict(height=9, width=9), crop_size=dict(height=6, width=6)),
     (31, 12), 6),
    (CLIPImageProcessor, dict(size=dict(shortest_edge=8), crop_size=dict(height=7, width=7)),
     (31, 12), 7),
    (CLIPImageProcessor, dict(size=dict(shortest_edge=5), crop_size=dict(height=8, width=8),
                              image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.25, 2.0]), (12, 31), 8),
    (BitImageProcessor, dict(size=dict(shortest_edge=8), crop_size=dict(height=6, width=6),
                             rescale_factor=0.01), (12, 12), 6),
]


def picture(width, height):
    x, y, c = np.meshgrid(np.arange(width), np.arange(height), np.arange(3), indexing="xy")
    values = x * 37 + y * 91 + c * 53 + (x * y * 7) % 61
    return values.astype(np.uint32).astype(np.uint8)


def fnv(data):
    out = 0xCBF29CE484222325
    for byte in data:
        out = ((out ^ byte) * 0x100000001B3) & (1 << 64) - 1
    return out


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by image_vectors.py. */")
    print("static const struct {\n    uint32_t from[2], to[2];\n    uint64_t hashes[2]; /* bilinear, "
          "bicubic */\n} resized[] = {")
    for width, height, *to in SIZES:
        image = Image.fromarray(picture(width, height))
        hashes = [fnv(image.resize(to, kind).tobytes())
                  for kind in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)]
        print(f"    {{{{{width}, {height}}}, {{{to[0]}, {to[1]}}}, "
              f"{{0x{hashes[0]:016x}u, 0x{hashes[1]:016x}u}}}},")
    print("};\n\nstatic const struct {\n    const char *config;\n    uint32_t size[2], side;\n"
          "    double sum, weighted; /* of value i: all, and times i * 7919 % 101 */\n} prepared[] = {")
    for kind, fields, size, side in PREPARED:
        image = Image.fromarray(picture(*size))
        values = kind(**fields)(image, return_tensors="np")["pixel_values"][0].astype(np.float64)
        assert values.shape == (3, side, side), values.shape
        flat = values.ravel()
        weights = np.arange(flat.size) * 7919 % 101
        config = json.dumps(json.dumps(dict(fields, image_processor_type=kind.__name__.removesuffix("Pil"))))
        print(f"    {{{config}, {{{size[0]}, {size[1]}}}, {side}, {flat.sum():.12g}, "
              f"{(flat * weights).sum():.12g}}},")
    print("};")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""zeromean embed: images and texts, from files to numbers.

usage: cli_embed.py PROGRAM
"""
import json
import math
import os
import re
import struct
import sys
import zlib

import tap
import vision_reference
from program import ROOT, Program
from text_math import distance, float32
from vision_reference import CHANNELS, Clip, SIDE, Vit

HOST = ("--device", "host")
MEAN, STD = [0.25, 0.5, 0.75], [0.5, 0.25, 0.125]
START, END = 35, 36


def tokenizer():
    """CLIP's kind: the last character of a word has a mark; words are lower case."""
    words = [*"abcdefgh", *(c + "</w>" for c in "abcdefgh"), "ab", "ab</w>", "abc</w>", "cd</w>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    vocabulary.update({"<|startoftext|>": START, "<|endoftext|>": END})
    special = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [dict(special, id=START, content="<|startoftext|>"),
                         dict(special, id=END, content="<|endoftext|>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
            {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "'s|'t|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"},
             "behavior": "Removed", "invert": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", END],
                           "cls": ["<|startoftext|>", START], "trim_offsets": False,
                           "add_prefix_space": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<|endoftext|>",
                  "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
                  "fuse_unk": False, "vocab": vocabulary,
                  "merges": ["a b", "a b</w>", "ab c</w>", "c d</w>"]}}


# As the Python package tokenizers has them.
TEXTS = {"Ab abc  abcd\tb": [35, 17, 18, 16, 19, 9, 36], "h": [35, 15, 36], "aba": [35, 16, 8, 36]}


def write_png(path, width, height, rows):
    """rows: bytes of red, green and blue."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    lines = b"".join(b"\0" + row for row in rows)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" +
                     chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))
    return path


def byte(c, i, j):
    return (i * 53 + j * 31 + c * 97) % 256


class Embed(Program):
    def setUp(self):
        super().setUp()
        self.picture = write_png(self.scratch / "a.png", SIDE, SIDE, [
            bytes(byte(c, i, j) for j in range(SIDE) for c in range(CHANNELS))
            for i in range(SIDE)])

    def model(self, family, name="model", **preprocessor):
        """Its folder, and what it makes of the picture and of the first text."""
        source = family()
        vision_reference.pixels = lambda: [
            float32((byte(c, i, j) / 255 - MEAN[c]) / STD[c])
            for c in range(CHANNELS) for i in range(SIDE) for j in range(SIDE)]
        vision_reference.TOKENS = next(iter(TEXTS.values()))
        expected = source.outputs()
        source.write(self.scratch / name)
        fields = dict(size=SIDE, crop_size=SIDE, image_mean=MEAN, image_std=STD)
        (self.scratch / name / "preprocessor_config.json").write_text(
            json.dumps(dict(fields, **preprocessor)))
        (self.scratch / name / "tokenizer.json").write_text(json.dumps(tokenizer()))
        return self.scratch / name, expected

    def test_images_and_texts(self):
        model, expected = self.model(Clip)
        got = self.json("embed", model, self.picture, "-p", next(iter(TEXTS)), *HOST)
        image, text = got["items"]
        self.assertEqual(text["tokens"], vision_reference.TOKENS)
        self.assertLess(distance(image["embedding"], expected["embedding"]), 1e-5)
        self.assertLess(distance(text["embedding"], expected["text"]), 1e-5)
        self.assertNotIn("logits", image)
        unit = self.json("embed", model, self.picture, "--normalize", *HOST)["items"][0]
        self.assertAlmostEqual(math.fsum(v * v for v in unit["embedding"]), 1, 5)
        lines = self.ok("embed", model, self.picture, "-p", "h", *HOST).splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual([float(v) for v in lines[0].split()], image["embedding"])

    def test_a_converted_classifier(self):
        model, expected = self.model(Vit)
        self.ok("convert", model, self.scratch / "rms")
        for path in (model, self.scratch / "rms"):
            item, = self.json("embed", path, self.picture, *HOST)["items"]
            self.assertLess(distance(item["logits"], expected["logits"]), 1e-5)
            self.assertLess(distance(item["embedding"], expected["embedding"]), 1e-5)

    def test_tokens(self):
        model, _ = self.model(Clip)
        for text, ids in TEXTS.items():
            self.assertEqual(self.ok("tokenize", model, "-p", text).split(), [str(i) for i in ids])

    def test_json_md_explains_every_key(self):
        def keys(value):
            if isinstance(value, dict):
                yield from value
                for inner in value.values():
                    yield from keys(inner)
            for inner in value if isinstance(value, list) else []:
                yield from keys(inner)
        text = (ROOT / "docs/json.md").read_text(encoding="utf-8")
        explained = set(re.findall(r"`([a-z0-9_]+)`", text))
        outputs = [self.json("embed", self.model(Clip)[0], self.picture, "-p", "h", *HOST),
                   self.json("embed", self.model(Vit, "vit")[0], self.picture, *HOST),
                   self.json("inspect", self.scratch / "model")]
        for output in outputs:
            self.assertIn(output["schema"], text)
            self.assertEqual(set(keys(output)) - explained, set())

    def test_failures(self):
        clip, vit = self.model(Clip)[0], self.model(Vit, "vit")[0]
        broken = self.scratch / "broken.png"
        broken.write_bytes(self.picture.read_bytes()[:60])
        for words, *arguments in (
                ("reads no text", vit, "-p", "a"),
                ("broken.png: cannot be read as a picture", vit, broken),
                ("none.png", vit, self.scratch / "none.png"),
                ("neither a PNG nor a JPEG", vit, vit / "config.json"),
                ("makes no embeddings", ROOT / "share/bible-gpt2", self.picture),
                ("has 10 tokens, 9 are possible", clip, "-p", "a b c d e f g h")):
            self.assertIn(words, self.line(1, "embed", *arguments, *HOST))
        self.model(Vit, "other", size=8)
        self.assertIn("takes pictures of 12 x 12, its preprocessor makes 8 x 8",
                      self.line(1, "embed", self.scratch / "other", self.picture, *HOST))
        self.assertIn("neither an IMAGE nor a --prompt", self.usage("embed", vit))
        self.usage("embed")
        for command in ("generate", "perplexity"):
            self.assertIn("a vit model writes no text", self.line(1, command, vit, self.picture))

    def test_graph(self):
        model, _ = self.model(Clip)
        text = self.ok("graph", model, *HOST)
        self.assertIn("patch_embedding", text)
        self.assertIn("embedding", self.ok("graph", model, "--part", "decoder", *HOST))


if __name__ == "__main__":
    Program.path = os.path.abspath(sys.argv.pop(1))
    tap.main()

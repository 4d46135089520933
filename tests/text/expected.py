#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/text, what the test text_encode compares with: small tokenizers, and the ids that
the package tokenizers gives to some hard lines.

usage: expected.py: in a Python that has the packages tokenizers and sentencepiece
"""
import json
import pathlib

import compare
import corpus
from compare import NFC, QWEN2, isolated, then_bytes

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "data" / "text"
SMALL = {
    "llama-3": compare.llama3,
    "qwen2": lambda **size: compare.byte_level(then_bytes(isolated(QWEN2)), NFC, **size),
    "falcon": compare.falcon,
    "llama-2": compare.sentencepiece_like,
    "unigram": lambda **size: compare.unigram(True, prepend_scheme="first", split=False, **size),
}


def small_text():
    return [line.decode(errors="replace").replace("\0", "") for line in corpus.lines(600, seed=3)
            if len(line) < 200 and max(line, default=0) < 0xE0]


def main():
    compare.TEXT = small_text()
    lines = [line for line in corpus.lines(400, seed=4) if len(line) < 100][:50]
    FOLDER.mkdir(exist_ok=True)
    for name, make in SMALL.items():
        made = make(size=600)
        described = json.loads(made.to_str())
        cases = [[line.hex(), made.encode(line.decode(errors="replace")).ids] for line in lines]
        text = json.dumps({"tokenizer": described, "cases": cases}, ensure_ascii=False,
                          separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

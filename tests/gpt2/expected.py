#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/bible-gpt2.json: what share/bible-gpt2 says, calculated in float64 by numpy.

usage: expected.py: in a Python that has numpy and tokenizers (scripts/train-model makes one in
build/train-venv). Nothing here is shared with the library or with the training.
"""
import json
import pathlib
import struct

import numpy
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "share/bible-gpt2"
PROMPTS = ("In the beginning", "And the LORD said unto Moses,", "Blessed are they that")
NEW_TOKENS = 32
MARGIN = 0.005  # between the best and the second best: float32 must not change the choice
LONG_PROMPT = 200  # tokens
FIRST_LOGITS = 48


def read_tensors(path):
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            first, end = (8 + size + offset for offset in entry["data_offsets"])
            values = numpy.frombuffer(data[first:end], "<f2").astype(numpy.float64)
            tensors[name.removeprefix("transformer.")] = values.reshape(entry["shape"])
    return tensors


class Model:
    def __init__(self, folder):
        self.tensors = read_tensors(folder / "model.safetensors")
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / numpy.sqrt((x * x).mean(-1, keepdims=True) + self.config["layer_norm_epsilon"])
        return x * self.tensors[name + ".weight"] + self.tensors[name + ".bias"]

    def linear(self, name, x):
        return x @ self.tensors[name + ".weight"] + self.tensors[name + ".bias"]

    def attention(self, layer, x):
        heads = self.config["n_head"]
        n, width = x.shape
        q, k, v = (part.reshape(n, heads, -1).swapaxes(0, 1)
                   for part in numpy.split(self.linear(layer + "attn.c_attn", x), 3, axis=1))
        scores = q @ k.swapaxes(1, 2) / numpy.sqrt(width // heads)
        scores[:, numpy.triu(numpy.ones((n, n), bool), 1)] = -numpy.inf
        scores = numpy.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ v
        return self.linear(layer + "attn.c_proj", mixed.swapaxes(0, 1).reshape(n, width))

    def feed_forward(self, layer, x):
        x = self.linear(layer + "mlp.c_fc", x)
        x = 0.5 * x * (1 + numpy.tanh(numpy.sqrt(2 / numpy.pi) * (x + 0.044715 * x ** 3)))
        return self.linear(layer + "mlp.c_proj", x)

    def logits(self, ids):
        """Of the last token."""
        x = self.tensors["wte.weight"][ids] + self.tensors["wpe.weight"][:len(ids)]
        for i in range(self.config["n_layer"]):
            layer = f"h.{i}."
            x = x + self.attention(layer, self.norm(layer + "ln_1", x))
            x = x + self.feed_forward(layer, self.norm(layer + "ln_2", x))
        return self.norm("ln_f", x[-1]) @ self.tensors["wte.weight"].T


def greedy(model, ids):
    """The ids that follow, and the smallest margin of a choice."""
    ids, margins = list(ids), []
    for _ in range(NEW_TOKENS):
        logits = model.logits(ids)
        second, best = numpy.sort(logits)[-2:]
        margins.append(best - second)
        ids.append(int(logits.argmax()))
    return ids[-NEW_TOKENS:], min(margins)


def continuations(model, tokenizer):
    for prompt in PROMPTS:
        ids = tokenizer.encode(prompt).ids
        new, margin = greedy(model, ids)
        if margin < MARGIN or model.config["eos_token_id"] in new:
            raise SystemExit(f"expected.py: another prompt than '{prompt}', please: {margin:.4f}")
        yield {"prompt": prompt, "ids": ids, "continued": new, "margin": round(margin, 4),
               "text": tokenizer.decode(new)}


def last_logits(model, ids):
    logits = model.logits(ids)
    return {"ids": ids, "norm": float(numpy.linalg.norm(logits)), "best": int(logits.argmax()),
            "first": [float(f"{x:.9g}") for x in logits[:FIRST_LOGITS]]}


def main():
    model = Model(MODEL)
    tokenizer = tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    continued = list(continuations(model, tokenizer))
    text = [i for c in continued for i in c["ids"] + c["continued"]]
    made = {"greedy": continued,
            "logits": [last_logits(model, continued[0]["ids"]),
                       last_logits(model, (text * LONG_PROMPT)[:LONG_PROMPT])]}
    path = ROOT / "tests/data/bible-gpt2.json"
    path.write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="ascii")
    for case in continued:
        print(f"{case['margin']:.3f} {case['prompt']}|{case['text']}")


if __name__ == "__main__":
    main()

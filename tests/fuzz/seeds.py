#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models of language as GGUF files of 2 kB, for fuzz_gguf to begin with.

usage: seeds.py FOLDER
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tiny_model  # noqa: E402

SPACE = "\u2581".encode()
PIECES = [b"<unk>", b"</s>", b"a", b"b", SPACE, b"ab", SPACE + b"a", b"<0x41>"]
LETTERS = [b"<s>", b"</s>", b"a", b"b", "\u0120".encode(), b"ab", "\u0120a".encode()]
SEEDS = {
    "llama": (PIECES, {
        b"tokenizer.ggml.scores": [0.0, 0.0, -3.0, -4.0, -2.0, -1.0, -1.5, 0.0],
        b"tokenizer.ggml.token_type": [2, 3, 1, 1, 1, 1, 1, 6], b"tokenizer.ggml.bos_token_id": 1,
        b"tokenizer.ggml.eos_token_id": 1, b"tokenizer.ggml.unknown_token_id": 0}),
    "gpt2": (LETTERS, {
        b"tokenizer.ggml.pre": b"gpt-2", b"tokenizer.ggml.merges": [b"a b", "\u0120 a".encode()],
        b"tokenizer.ggml.token_type": [3, 3, 1, 1, 1, 1, 1],
        b"tokenizer.ggml.eos_token_id": 1, b"tokenizer.chat_template": b"<|im_start|>"}),
}
SEEDS["t5"] = SEEDS["llama"]
ROPE = {b"llama.rope.scaling.type": b"yarn", b"llama.rope.scaling.factor": 4.0,
        b"llama.rope.scaling.original_context_length": 64, b"llama.rope.freq_base": 1e4}


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, (tokens, more) in SEEDS.items():
        path = folder / f"seed-{name}"
        values = {b"tokenizer.ggml.model": name.encode(), b"tokenizer.ggml.tokens": tokens, **more}
        if name == "t5":
            values |= ROPE
        tiny_model.write_llama(path, tokens, values, sizes=(4, 1, 2, 1, 4))
        path.write_bytes(b"\0" + path.read_bytes())  # the fuzzer's choice: a file as it is


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What docs/json.md says, held against what the program prints.

usage: cli_json.py PROGRAM
"""
import os
import re
import sys

import tap
import tiny_model
from program import ROOT, Program, write_wav

HOST = ("--device", "host")


class Documentation(Program):
    def keys(self, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from self.keys(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from self.keys(inner)

    def test_json_md_explains_every_key(self):
        model = tiny_model.write(self.scratch / "model")
        wav = write_wav(self.scratch / "a.wav", 1)
        out = self.scratch / "out"
        language, words = tiny_model.write_language(self.scratch / "a.gguf"), out / "config.json"
        outputs = [self.json("devices"), self.json("devices", "--profiles"),
                   self.json("convert", model, out),
                   self.json("inspect", out, "--tensors"), self.json("check", model, out, *HOST),
                   self.json("transcribe", out, wav, *HOST, "--timestamps"),
                   self.json("generate", language, "-p", "a", "-n", "2", *HOST),
                   self.json("perplexity", language, words, *HOST),
                   self.json("tokenize", language, words)]
        text = (ROOT / "docs/json.md").read_text(encoding="utf-8")
        explained = set(re.findall(r"`([a-z0-9_]+)`", text))
        for output in outputs:
            self.assertIn(output["schema"], text)
            self.assertEqual(set(self.keys(output)) - explained, set())


if __name__ == "__main__":
    Program.path = os.path.abspath(sys.argv.pop(1))
    tap.main()

# SPDX-License-Identifier: Apache-2.0
"""Every family of decoders of text, small and with random weights, against text_reference.py.

usage: text_models.py TEXT_LOGITS DEVICE...
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

import tap
import text_gguf
from text_reference import (FAMILIES, TOKENS, Falcon, GptBigcode, Gptj, Gpt2, Llama, Mpt, Opt)

PIECES = [5, 1, 1, 2]  # of the tokens
PROGRAM, DEVICES = sys.argv[1], sys.argv[2:]


def distance(got, expected):
    error = math.fsum((a - b) ** 2 for a, b in zip(got, expected))
    return math.sqrt(error / math.fsum(b * b for b in expected))


class Families(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.expected = {}  # of each file
        for family in FAMILIES:
            model, name = family(), family.__name__
            cls.expected[name] = model.logits()
            model.write(cls.folder / name)
            if name in text_gguf.FAMILIES:
                cls.expected[name + ".gguf"] = cls.expected[name]
                text_gguf.write(model, cls.folder / (name + ".gguf"))

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def run_program(self, device, *names, tokens=TOKENS, pieces=PIECES):
        numbers = [",".join(map(str, part)) for part in (tokens, pieces)]
        return subprocess.run([PROGRAM, device, *numbers, *(self.folder / n for n in names)],
                              capture_output=True, text=True, timeout=240)

    def check(self, device, budget):
        names = list(self.expected)
        done = self.run_program(device, *names)
        self.assertEqual(done.returncode, 0, done.stderr)
        decoder, text = json.JSONDecoder(), done.stdout.strip()
        for name in names:
            rows, end = decoder.raw_decode(text)
            text = text[end:].strip()
            last = [sum(PIECES[:i + 1]) - 1 for i in range(len(PIECES))]
            self.assertEqual(len(rows), len(last) + 1)
            for row, place in zip(rows, last + last[-1:]):
                error = distance(row, self.expected[name][place])
                with self.subTest(family=name, device=device, position=place):
                    self.assertLessEqual(error, budget)

    def test_budgets(self):
        """Each device; one that computes in float64 has to be exact."""
        for device in DEVICES:
            self.check(device, 1e-12 if device.endswith("f64") else 1e-5)

    def test_split(self):
        """A layer on each of two devices."""
        if "opencl" not in DEVICES:
            self.skipTest("needs two kinds of device")
        self.check("host,opencl", 1e-5)

    def test_long_prompt(self):
        """More tokens than a run takes at once: as if they had come in other pieces."""
        model = Llama()
        model.logits()
        model.config = dict(model.config, max_position_embeddings=531)
        model.write(self.folder / "long")
        tokens, rows = [i * 7 % 37 for i in range(530)], []
        for pieces in [[1, 529], [500, 30]]:
            done = self.run_program("host", "long", tokens=tokens, pieces=pieces)
            self.assertEqual(done.returncode, 0, done.stderr)
            rows.append(json.loads(done.stdout))
        self.assertEqual([len(r) for r in rows], [5, 3])  # one of each run
        self.assertLessEqual(distance(rows[0][-1], rows[1][-1]), 1e-5)
        self.assertGreater(distance(rows[0][1], rows[1][-1]), 1e-3)

    def assert_refused(self, family, reason, **changes):
        model = family()
        model.logits()
        model.config = dict(model.config, **changes)
        name = f"{family.__name__}-{len(list(self.folder.iterdir()))}"
        model.write(self.folder / name)
        done = self.run_program("host", name)
        self.assertEqual(done.returncode, 1)
        self.assertIn(reason, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_converted(self):
        """What the converter would write is refused until it is held against the original."""
        model = Gpt2()
        model.logits()
        model.write(self.folder / "converted", {"zeromean.norm": "rms_norm"})
        done = self.run_program("host", "converted")
        self.assertEqual(done.returncode, 1)
        self.assertIn("converted models of type gpt2 are not supported", done.stderr)

    def test_refusals(self):
        """What the blocks can't express: field and value."""
        for family, reason, changes in [
                (Llama, 'rope_scaling.type is "yarn"', {"rope_scaling": {"type": "yarn"}}),
                (Llama, 'rope_scaling.rope_type is "llama3"',
                 {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}),
                (Llama, "rope_scaling.factor is 0", {"rope_scaling": {"factor": 0}}),
                (Llama, "model_type", {"model_type": 7}),
                (Llama, "gemma is not supported", {"model_type": "gemma"}),
                (Llama, 'hidden_act "mish" is not supported', {"hidden_act": "mish"}),
                (Llama, "hidden_size is missing", {"hidden_size": ...}),
                (Llama, "do not fit a width", {"num_key_value_heads": 4}),
                (Llama, "rms_norm_eps is -1", {"rms_norm_eps": -1}),
                (Llama, "num_hidden_layers is 2.5", {"num_hidden_layers": 2.5}),
                (Llama, "input_layernorm.weight [24] is missing", {"num_hidden_layers": 3}),
                (Llama, "has no part in llama", {"num_hidden_layers": 1}),
                (Gpt2, "scale_attn_by_inverse_layer_idx is true",
                 {"scale_attn_by_inverse_layer_idx": True}),
                (Opt, "do_layer_norm_before is false", {"do_layer_norm_before": False}),
                (Opt, "word_embed_proj_dim 12", {"word_embed_proj_dim": 12}),
                (Falcon, "alibi is true", {"alibi": True}),
                (Mpt, "attn_config.qk_ln is true", {"attn_config": {"qk_ln": True}}),
                (GptBigcode, "multi_query is false", {"multi_query": False}),
                (Gptj, "rotary_dim is 9", {"rotary_dim": 9}),
                (Gptj, "expected pairs", {"rotary_dim": 3})]:
            with self.subTest(family=family.__name__, reason=reason):
                self.assert_refused(family, reason, **changes)


    def test_gguf_refusals(self):
        """A file that can't be run opens; the session says why."""
        for reason, changes in [
                ('rope.scaling.type is "ya?rn"', {"rope.scaling.type": "ya\nrn"}),
                ("expert_count is 8", {"expert_count": 8}),
                ("attention.head_count is 6.5", {"attention.head_count": 6.5}),
                ("blk.2.attn_norm.weight [24] is missing", {"block_count": 3})]:
            with self.subTest(reason=reason):
                model = Llama()
                model.logits()
                text_gguf.write(model, self.folder / "refused.gguf", changes)
                done = self.run_program("host", "refused.gguf")
                self.assertEqual(done.returncode, 1)
                self.assertIn("models of type llama cannot be run: ", done.stderr)
                self.assertIn(reason, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)


if __name__ == "__main__":
    tap.main()

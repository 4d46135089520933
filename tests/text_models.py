# SPDX-License-Identifier: Apache-2.0
"""Every family of decoders of text, small and with random weights, against text_reference.py.

Those that have LayerNorm are converted as well, and held against the same reference.

usage: text_models.py TEXT_LOGITS CONVERT_MODELS DEVICE...
"""
import array
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import tap
import text_blocks
import text_gguf
from safetensors_file import part_of, read_safetensors, write_safetensors
from text_math import distance
from text_reference import (Bloom, D, FAMILIES, TOKENS, Falcon, GptBigcode, Gptj, Gpt2, Llama, Llama3,
                            Mpt, Opt, float32)

RMS_NORM = ("Llama", "Qwen2", "Mistral", "Gemma")  # families that have no LayerNorm
PIECES = [5, 1, 1, 2]  # of the tokens
PROGRAM, CONVERT, DEVICES = sys.argv[1], sys.argv[2], sys.argv[3:]


def converted(name, kind):
    root, point, suffix = name.partition(".")
    return f"{root}-{kind}{point}{suffix}"


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
                if name == "Llama3":  # whose factors are a tensor of float32
                    model.factors = [float32(factor) for factor in model.factors]
                    cls.expected[name + ".gguf"] = model.logits()
                text_gguf.write(model, cls.folder / (name + ".gguf"))
        cls.originals = [name for name in cls.expected if not name.startswith(RMS_NORM)]
        for kind in ("default", "f64"):
            pairs = [(cls.folder / name, cls.folder / converted(name, kind))
                     for name in cls.originals]
            done = cls.convert(kind, *pairs)
            assert done.returncode == 0, done.stderr

    @staticmethod
    def convert(kind, *pairs):
        return subprocess.run([CONVERT, kind, *(path for pair in pairs for path in pair)],
                              capture_output=True, text=True, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def run_program(self, device, *names, tokens=TOKENS, pieces=PIECES):
        numbers = [",".join(map(str, part)) for part in (tokens, pieces)]
        return subprocess.run([PROGRAM, device, *numbers, *(self.folder / n for n in names)],
                              capture_output=True, text=True, timeout=240)

    def logits(self, device, names):
        done = self.run_program(device, *names)
        self.assertEqual(done.returncode, 0, done.stderr)
        decoder, text = json.JSONDecoder(), done.stdout.strip()
        for name in names:
            rows, end = decoder.raw_decode(text)
            text = text[end:].strip()
            yield name, rows

    def largest_error(self, expected, rows):
        """Of the last token of each piece, and of the last one again."""
        last = [sum(PIECES[:i + 1]) - 1 for i in range(len(PIECES))]
        self.assertEqual(len(rows), len(last) + 1)
        return max(distance(row, expected[place]) for row, place in zip(rows, last + last[-1:]))

    def check(self, device, budget):
        kind = "f64" if device.endswith("f64") else "default"
        expected = dict(self.expected)
        expected.update((converted(name, kind), self.expected[name]) for name in self.originals)
        for name, rows in self.logits(device, expected):
            with self.subTest(family=name, device=device):
                self.assertLessEqual(self.largest_error(expected[name], rows), budget)

    def test_budgets(self):
        """Each device; one that computes in float64 has to be exact."""
        for device in DEVICES:
            self.check(device, 1e-12 if device.endswith("f64") else 1e-5)

    def test_norm_at_load(self):
        """Converted while it is loaded: the same bits as of the converted file."""
        files = dict(self.logits("host", [converted(name, "default") for name in self.originals]))
        for name, rows in self.logits("host", [name + "+rms" for name in self.originals]):
            with self.subTest(family=name):
                self.assertEqual(rows, files[converted(name.removesuffix("+rms"), "default")])
        done = self.run_program("host", "Llama+rms")  # which has that norm
        self.assertEqual(done.returncode, 0, done.stderr)

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

    def mistake(self, name, tensor, values):
        """The converted model with other values in one tensor: its name."""
        wrong = f"{name}-wrong-{tensor}"
        folder = self.folder / converted(name, "default")
        shutil.copytree(folder, self.folder / wrong)
        path = self.folder / wrong / "model.safetensors"
        header, data = read_safetensors(path)
        first, last = header[tensor]["data_offsets"]
        assert last - first == len(values)
        write_safetensors(path, header, data[:first] + values + data[last:])
        return wrong

    def test_one_left_out(self):
        """Each writer that keeps its mean is seen; where the main branch begins, the mean is taken
        out at run time."""
        seen, harmless = [], []
        for name in self.originals:
            if name.endswith(("Half", ".gguf")):
                continue
            before, old = read_safetensors(self.folder / name / "model.safetensors")
            after, new = read_safetensors(
                self.folder / converted(name, "default") / "model.safetensors")
            for tensor in set(before) & set(after) - {"__metadata__"}:
                values = part_of(before, old, tensor)
                if values != part_of(after, new, tensor):
                    first = re.search(r"wte|wpe|embed", tensor)
                    (harmless if first else seen).append(self.mistake(name, tensor, values))
        self.assertGreater(len(seen), 60)
        self.assertGreater(len(harmless), 5)
        for wrong, rows in self.logits("host", seen + harmless):
            error = self.largest_error(self.expected[wrong.partition("-wrong-")[0]], rows)
            with self.subTest(wrong=wrong):
                if wrong in harmless:
                    self.assertLess(error, 1e-5)
                else:
                    self.assertGreater(error, 1e-4)

    def test_recentred_head(self):
        """A table that is the head as well reads the mean."""
        for name in ("Gpt2", "Bloom", "Opt", "Mpt", "Falcon"):
            header, data = read_safetensors(
                self.folder / converted(name, "default") / "model.safetensors")
            tensor = next(t for t in header if re.search(r"wte|word_embeddings.w|embed_tokens", t))
            rows = array.array("f", part_of(header, data, tensor))
            for first in range(0, len(rows), D):
                mean = math.fsum(rows[first:first + D]) / D
                for i in range(first, first + D):
                    rows[i] -= mean
            wrong = self.mistake(name, tensor, rows.tobytes())
            (_, logits), = self.logits("host", [wrong])
            with self.subTest(family=name):
                self.assertGreater(self.largest_error(self.expected[name], logits), 1e-3)

    def test_norm_swapped_alone(self):
        """RMSNorm on weights that keep their means, and metadata that fit no model."""
        model = Gpt2()
        model.logits()
        model.write(self.folder / "swapped", {"zeromean.norm": "rms_norm"})
        (_, logits), = self.logits("host", ["swapped"])
        self.assertGreater(self.largest_error(self.expected["Gpt2"], logits), 0.05)
        for family, norm in ((Gpt2, "crms_norm"), (Llama, "layer_norm")):
            model = family()
            model.logits()
            model.write(self.folder / norm, {"zeromean.norm": norm})
            done = self.run_program("host", norm)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"the norm {norm} is not supported", done.stderr)

    def test_still_layer_norm(self):
        """Who knows nothing of the conversion reads the same model."""
        for name in self.originals:
            if name.endswith(".gguf"):
                continue
            plain = f"{name}-plain"
            shutil.copytree(self.folder / converted(name, "f64"), self.folder / plain)
            path = self.folder / plain / "model.safetensors"
            header, data = read_safetensors(path)
            del header["__metadata__"]
            write_safetensors(path, header, data)
            (_, rows), = self.logits("host:f64", [plain])
            with self.subTest(family=name):
                self.assertLess(self.largest_error(self.expected[name], rows), 1e-12)

    def test_forms(self):
        """Folded norms and main branches of one element less, and back: the same in float64."""
        variants = ("Base", "Half", "Sequential", "40", "Whole", ".gguf")
        names = [name for name in self.originals if not name.endswith(variants)]
        self.assertEqual(len(names), 10)
        expected = {}
        for form in ("fold", "crms", "ortho"):
            for kind, before in ((f"f64:{form}", ""), ("f64:ln", f"-{form}")):
                after = before + "-" + kind.partition(":")[2]
                pairs = [(self.folder / (name + before), self.folder / (name + after))
                         for name in names]
                done = self.convert(kind, *pairs)
                self.assertEqual(done.returncode, 0, done.stderr)
                expected.update((name + after, self.expected[name]) for name in names)
        for name, rows in self.logits("host:f64", expected):
            with self.subTest(model=name):
                self.assertLessEqual(self.largest_error(expected[name], rows), 1e-12)

    def test_forms_of_devices(self):
        """What only some families have, in parts of one element less."""
        for name in ("Gpt2", "Bloom", "GptNeox"):  # a tied head, a norm in front, a head of its own
            pair = self.folder / name, self.folder / f"{name}-narrow"
            done = self.convert("default:crms", pair)
            self.assertEqual(done.returncode, 0, done.stderr)
            for device in set(DEVICES) - {"host:f64"}:
                (_, rows), = self.logits(device, [pair[1].name])
                with self.subTest(model=name, device=device):
                    self.assertLessEqual(self.largest_error(self.expected[name], rows), 1e-5)

    def test_forms_of_gguf(self):
        for form in ("fold", "crms", "ortho"):
            done = self.convert(f"f64:{form}", (self.folder / "Gpt2.gguf", self.folder / "x.gguf"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("a GGUF file has no form for", done.stderr)
            done = self.convert(f"default:{form}", (self.folder / "Gpt2", self.folder / "x.gguf"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("GGUF has no form for", done.stderr)
        folder = self.folder / "Gpt2", self.folder / "Gpt2-folded"
        self.assertEqual(self.convert("default:fold", folder).returncode, 0)
        done = self.convert("default", (folder[1], self.folder / "x.gguf"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("its norms have no weights", done.stderr)
        self.assertFalse((self.folder / "x.gguf").exists())

    def test_gguf_output(self):
        """One file, complete or absent, and nothing that was there is lost."""
        source, there = self.folder / "Gpt2.gguf", self.folder / "there.gguf"
        there.write_bytes(b"mine")
        (self.folder / "folder.gguf").mkdir()
        before = set(self.folder.iterdir())
        for out, reason in ((there, "exists already"), (self.folder / "folder.gguf", ".gguf: "),
                            (self.folder / "none" / "out.gguf", "no such directory")):
            done = self.convert("default", (source, out))
            with self.subTest(out=out):
                self.assertEqual(done.returncode, 1)
                self.assertIn(reason, done.stderr)
        self.assertEqual(there.read_bytes(), b"mine")
        self.assertEqual(set(self.folder.iterdir()), before)

    def test_nothing_to_convert(self):
        for name in ("Llama", "Qwen2", "Mistral", "Llama.gguf"):
            out = self.folder / f"rms-{name}"
            done = self.convert("default", (self.folder / name, out))
            with self.subTest(family=name):
                self.assertEqual(done.returncode, 1)
                self.assertIn("has no LayerNorm: there is nothing to convert", done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
                self.assertFalse(out.exists())

    def test_refusals(self):
        """What the blocks can't express: field and value."""
        for family, reason, changes in [
                (Llama, "rope_scaling.factor is missing", {"rope_scaling": {"type": "yarn"}}),
                (Llama, "rope_scaling.low_freq_factor is missing",
                 {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}),
                (Llama, "high_freq_factor 1 is not above low_freq_factor 1",
                 {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1,
                                   "high_freq_factor": 1, "original_max_position_embeddings": 8}}),
                (Llama, "rope_scaling.factor is 0, expected a number in 1e-06 to 1e+06",
                 {"rope_scaling": {"type": "linear", "factor": 0}}),
                (Llama, "rope_scaling.rope_type is missing", {"rope_scaling": {"factor": 2}}),
                (Llama, "rope_scaling.rope_type is missing", {"rope_scaling": [1]}),
                *((Llama, f'rope_scaling.rope_type is "{kind}", which is not supported; supported '
                   "are default, linear, llama3 and yarn",
                   {"rope_scaling": {"rope_type": kind, "factor": 2.0}})
                  for kind in ("dynamic", "longrope")),
                (Llama, "rope_scaling.truncate is false",
                 {"rope_scaling": {"type": "yarn", "factor": 2, "truncate": False}}),
                (Llama, "rope_scaling.mscale is 1",
                 {"rope_scaling": {"type": "yarn", "factor": 2, "mscale": 1}}),
                (Llama, "beta_fast 1 is not above beta_slow 1",
                 {"rope_scaling": {"type": "yarn", "factor": 2, "beta_fast": 1}}),
                (Llama, "rope_parameters for each kind of layer are not supported",
                 {"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
                (Llama, "model_type", {"model_type": 7}),
                (Llama, "gemma2 is not supported: its branches end in norms of their own",
                 {"model_type": "gemma2"}),
                (Llama, 'hidden_act "mish" is not supported', {"hidden_act": "mish"}),
                (Llama, "hidden_size is missing", {"hidden_size": ...}),
                (Llama, "do not fit a width", {"num_key_value_heads": 4}),
                (Llama, "rms_norm_eps is -1", {"rms_norm_eps": -1}),
                (Llama, "num_hidden_layers is 2.5", {"num_hidden_layers": 2.5}),
                (Llama, "input_layernorm.weight [24] is missing", {"num_hidden_layers": 3}),
                (Llama, "has no part in llama", {"num_hidden_layers": 1}),
                (Gpt2, "scale_attn_by_inverse_layer_idx is true",
                 {"scale_attn_by_inverse_layer_idx": True}),
                (Llama, "bert is not supported: it is Post-LN", {"model_type": "bert"}),
                (Llama, "gemma2 is not supported: its branches end in norms",
                 {"model_type": "gemma2"}),
                (Llama, "dit is not supported: its norms take their weights from an input",
                 {"model_type": "dit"}),
                (Opt, "do_layer_norm_before is false, which is not supported for opt; only true "
                 "is: it is Post-LN", {"do_layer_norm_before": False}),
                (Bloom, "only false is: it is Post-LN",
                 {"apply_residual_connection_post_layernorm": True}),
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
                ('rope.scaling.type is "ya?rn", which is not supported; supported are none, '
                 "linear and yarn", {"rope.scaling.type": "ya\nrn"}),
                ('rope.scaling.type is "llama3"', {"rope.scaling.type": "llama3"}),
                ("rope.scaling.yarn_ext_factor is 0.5",
                 {"rope.scaling.type": "yarn", "rope.scaling.yarn_ext_factor": 0.5}),
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

    def test_gguf_factors(self):
        """A tensor that is read before there are shapes to hold it against."""
        for factors, reason in [([1.0] * 7, "rope_freqs.weight is no vector of 8 f32"),
                                ([1.0] * 7 + [0.0], "rope_freqs.weight has 0, expected 1e-06 to")]:
            model = Llama3()
            model.logits()
            model.factors = factors
            text_gguf.write(model, self.folder / "factors.gguf")
            done = self.run_program("host", "factors.gguf")
            self.assertEqual(done.returncode, 1)
            self.assertIn(reason, done.stderr)

    def test_unknown(self):
        """What is known is said, all of it."""
        model = Llama()
        model.logits()
        text_gguf.write(model, self.folder / "unknown.gguf")
        raw = (self.folder / "unknown.gguf").read_bytes()
        for name, reason in [
                ("mamba", ", ".join(dict.fromkeys(f[0] for f in text_gguf.FAMILIES.values()))),
                ("qwen3", "it has norms of the queries and keys of each head")]:
            (self.folder / "unknown.gguf").write_bytes(raw.replace(b"llama", name.encode()))
            done = self.run_program("host", "unknown.gguf")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"models of type {name} cannot be run: ", done.stderr)
            self.assertIn(reason, done.stderr)
        names = ", ".join(dict.fromkeys(family.config["model_type"] for family in FAMILIES))
        self.assert_refused(Llama, f"is not supported; supported: whisper, {names}, vit",
                            model_type="mamba")


    def test_blocks(self):
        """Weights of mixed quantised types: each device computes what the first one does."""
        text_blocks.write(self.folder / "blocks.gguf")
        rows = {}
        for device in DEVICES:
            done = self.run_program(device, "blocks.gguf", tokens=TOKENS[:6], pieces=[5, 1])
            self.assertEqual(done.returncode, 0, done.stderr)
            rows[device] = json.loads(done.stdout)
            for row, first in zip(rows[device], rows[DEVICES[0]]):
                self.assertGreater(max(map(abs, row)), 0.1)
                with self.subTest(device=device):
                    self.assertLessEqual(distance(row, first), 1e-5)


if __name__ == "__main__":
    tap.main()

# SPDX-License-Identifier: Apache-2.0
"""Every family of models of images, small and with random weights, against vision_reference.py,
before and after conversion.

usage: vision_models.py VISION_EMBED CONVERT_MODELS TEST_STRUCTURE DEVICE...
"""
import array
import json
import math
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

import tap
from safetensors_file import part_of, read_safetensors, write_safetensors
from text_math import distance
from vision_reference import (Clip, ClipTextAlone, Deit, DeitTeacher, Dinov2, FAMILIES, TOKENS, Vit,
                              pixels)

PROGRAM, CONVERT, STRUCTURE, DEVICES = *sys.argv[1:4], sys.argv[4:]


class Families(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        (cls.folder / "pixels").write_bytes(array.array("f", pixels()).tobytes())
        cls.expected = {}
        for family in FAMILIES:
            model, name = family(), family.__name__
            cls.expected[name] = model.outputs()
            model.write(cls.folder / name)
        for kind in ("default", "f64"):
            pairs = [(cls.folder / name, cls.folder / f"{name}-{kind}") for name in cls.expected]
            done = subprocess.run([CONVERT, kind, *(path for pair in pairs for path in pair)],
                                  capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def run_program(self, device, *names):
        return subprocess.run([PROGRAM, device, self.folder / "pixels", ",".join(map(str, TOKENS)),
                               *(self.folder / n for n in names)],
                              capture_output=True, text=True, timeout=240)

    def outputs(self, device, names):
        done = self.run_program(device, *names)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, line in zip(names, done.stdout.splitlines(), strict=True):
            yield name, json.loads(line)

    def largest_error(self, name, got):
        expected = self.expected[name.partition("-")[0]]
        self.assertEqual(set(got), set(expected))
        return max(distance(got[what], expected[what]) for what in got)

    def check(self, device, budget, families=None):
        kind, families = "f64" if device.endswith("f64") else "default", families or self.expected
        names = [*families, *(f"{name}-{kind}" for name in families)]
        for name, got in self.outputs(device, names):
            with self.subTest(model=name, device=device):
                self.assertLessEqual(self.largest_error(name, got), budget)

    def test_budgets(self):
        """Each device; one that computes in float64 has to be exact."""
        few = ["VitPooled", "DeitTeacher", "Dinov2Half", "Clip"]  # kernels take long to compile
        for device in DEVICES:
            self.check(device, 1e-12 if device.endswith("f64") else 1e-5,
                       few if device.startswith("opencl") else None)

    def test_split(self):
        """A layer on each of two devices."""
        if "opencl" not in DEVICES:
            self.skipTest("needs two kinds of device")
        self.check("host,opencl", 1e-5, ["DeitTeacher", "Clip"])

    def test_norm_at_load(self):
        """Converted while it is loaded, gains included: the same bits as of the converted file."""
        files = dict(self.outputs("host", [f"{name}-default" for name in self.expected]))
        for name, got in self.outputs("host", [f"{name}+rms" for name in self.expected]):
            with self.subTest(model=name):
                self.assertEqual(got, files[name.removesuffix("+rms") + "-default"])

    def test_still_layer_norm(self):
        """Who knows nothing of the conversion reads the same model."""
        names = []
        for name in self.expected:
            plain = f"{name}-plain"
            shutil.copytree(self.folder / f"{name}-f64", self.folder / plain)
            header, data = read_safetensors(self.folder / plain / "model.safetensors")
            self.assertEqual(header.pop("__metadata__")["zeromean.norm"], "rms_norm")
            write_safetensors(self.folder / plain / "model.safetensors", header, data)
            names.append(plain)
        for name, got in self.outputs("host:f64", names):
            with self.subTest(model=name):
                self.assertLess(self.largest_error(name, got), 1e-12)

    def mistake(self, name, tensors):
        """The converted model with the original's values in some tensors: its name."""
        wrong = f"{name}-wrong-{'-'.join(tensors)}"[:200]
        shutil.copytree(self.folder / f"{name}-default", self.folder / wrong)
        old_header, old = read_safetensors(self.folder / name / "model.safetensors")
        path = self.folder / wrong / "model.safetensors"
        header, data = read_safetensors(path)
        for tensor in tensors:
            first, last = header[tensor]["data_offsets"]
            values = part_of(old_header, old, tensor)
            if len(values) < last - first:
                values = array.array("f", struct.unpack(f"{len(values) // 2}e", values)).tobytes()
            data = data[:first] + values + data[last:]
        write_safetensors(path, header, data)
        return wrong

    def test_one_left_out(self):
        """Each writer that keeps its mean is seen, what begins the main branch among them: but for
        a text's tokens and positions, whose mean is taken out at run time."""
        seen, harmless = [], []
        for name in self.expected:
            before, old = read_safetensors(self.folder / name / "model.safetensors")
            after, new = read_safetensors(self.folder / f"{name}-default" / "model.safetensors")
            for tensor in set(before) & set(after) - {"__metadata__"}:
                if part_of(before, old, tensor) == part_of(after, new, tensor):
                    continue
                ours = re.match(r"text_model.embeddings", tensor)
                (harmless if ours else seen).append(self.mistake(name, [tensor]))
        self.assertGreater(len(seen), 80)
        self.assertEqual(len(harmless), 4)
        for wrong, got in self.outputs("host", seen + harmless):
            error = self.largest_error(wrong, got)
            with self.subTest(wrong=wrong):
                if wrong in harmless:
                    self.assertLess(error, 1e-5)
                else:
                    self.assertGreater(error, 1e-4)

    def test_gains_of_a_converted_model(self):
        """They are 1, and are part of the weights in front of them."""
        for name in ("Dinov2", "Dinov2Half"):
            header, data = read_safetensors(self.folder / f"{name}-default" / "model.safetensors")
            gains = [tensor for tensor in header if "lambda" in tensor]
            self.assertEqual(len(gains), 4)
            for tensor in gains:
                values = array.array("f", part_of(header, data, tensor))
                self.assertEqual(set(values), {1.0})

    def test_tables(self):
        """Each wrong role of a tensor is refused, as are gains of the wrong writer."""
        for name, roles, gains in (("Vit", 250, 0), ("DeitTeacher", 250, 0), ("Dinov2", 250, 8),
                                   ("Clip", 400, 0)):
            done = subprocess.run([STRUCTURE, self.folder / name], capture_output=True, text=True,
                                  timeout=60)
            with self.subTest(model=name):
                self.assertEqual(done.returncode, 0, done.stderr)
                tried = [int(number) for number in done.stdout.split()]
                self.assertGreater(tried[0], roles)
                self.assertEqual(tried[1], gains)

    def test_norm_swapped_alone(self):
        """RMSNorm on weights that keep their means."""
        for family in (Vit, Dinov2, Clip, ClipTextAlone):
            model, name = family(), f"{family.__name__}-swapped"
            model.outputs()
            model.write(self.folder / name, {"zeromean.norm": "rms_norm"})
            (_, got), = self.outputs("host", [name])
            with self.subTest(family=name):
                self.assertGreater(max(distance(got[what], expected) for what, expected in
                                       self.expected[family.__name__].items()), 0.01)

    def assert_refused(self, family, reason, drop=(), add=(), **changes):
        model = family()
        model.outputs()
        model.config = dict(model.config, **changes)
        for tensor in drop:
            del model.tensors[tensor]
        for tensor, shape in add:
            model.tensors[tensor] = (shape, array.array("f", [0.5] * math.prod(shape)))
        name = f"refused-{len(list(self.folder.iterdir()))}"
        model.write(self.folder / name)
        done = self.run_program("host", name)
        with self.subTest(reason=reason):
            self.assertEqual(done.returncode, 1)
            self.assertIn(reason, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_refusals(self):
        """Files are not believed, and what is not supported is said."""
        vision, text = Clip.config["vision_config"], Clip.config["text_config"]
        for family, reason, changes in [
                (Vit, "hidden_size is 0, expected a whole number", {"hidden_size": 0}),
                (Vit, "5 heads do not fit a width of 24", {"num_attention_heads": 5}),
                (Vit, "are not cut into patches of 5 x 5", {"patch_size": 5}),
                (Vit, "are not cut into patches of 16 x 16", {"patch_size": 16}),
                (Vit, "image_size is 100000", {"image_size": 100000}),
                (Vit, "image_size is [12,12]",
                 {"image_size": [12, 12]}),
                (Vit, 'hidden_act "mish" is not supported', {"hidden_act": "mish"}),
                (Vit, "position_embeddings has the shape [1][10][24], expected [1][5][24]",
                 {"image_size": 8}),
                (Vit, "layernorm_before.weight [24] is missing", {"num_hidden_layers": 3}),
                (Vit, "has no part in vit", {"num_hidden_layers": 1}),
                (Vit, "has no part in vit", {"add": [("vit.encoder.layer.0.lambda", [24])]}),
                (Vit, "is missing",
                 {"drop": ["vit.embeddings.cls_token"]}),
                (Vit, "intermediate.dense.bias [40] is missing",
                 {"drop": ["vit.encoder.layer.1.intermediate.dense.bias"]}),
                (Dinov2, "use_swiglu_ffn is true", {"use_swiglu_ffn": True}),
                (Dinov2, "layer_scale1.lambda1 [24] is missing",
                 {"drop": ["encoder.layer.0.layer_scale1.lambda1"]}),
                (DeitTeacher, "has classifiers of which", {"drop": ["cls_classifier.weight",
                                                                    "cls_classifier.bias"]}),
                (Deit, "has classifiers of which",
                 {"add": [("cls_classifier.weight", [5, 24]), ("cls_classifier.bias", [5]),
                          ("distillation_classifier.weight", [5, 24]),
                          ("distillation_classifier.bias", [5])]}),
                (Clip, "visual_projection.weight [7][24] is missing",
                 {"drop": ["visual_projection.weight"]}),
                (Clip, "vision_config.hidden_size is -1",
                 {"vision_config": dict(vision, hidden_size=-1)}),
                (Clip, "text_config.eos_token_id is 37", {"text_config": dict(text, eos_token_id=37)}),
        ]:
            self.assert_refused(family, reason, **changes)


if __name__ == "__main__":
    tap.main()

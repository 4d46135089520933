# SPDX-License-Identifier: Apache-2.0
"""Quantised Pre-LN files run as they are, and what the converter makes of them.

usage: text_quantised.py TEXT_LOGITS CONVERT_MODELS QUANTISE_GGUF ZEROMEAN|none DEVICE...
"""
import array
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import text_reference

text_reference.D = 96  # rows of whole blocks

import tap
import text_gguf
from text_math import distance

BIBLE = pathlib.Path(__file__).resolve().parent.parent / "share/bible-gpt2"
LOGITS, CONVERT, QUANTISE, PROGRAM, *DEVICES = sys.argv[1:]
TYPES = ("q8_0", "q4_1")
TOKENS, PIECES = "5,11,36,0,7,11,2,30,19", "5,1,1,2"
FORMATS = {"F16": "e", "F32": "f"}


class Bible:
    """The trained model as text_gguf takes models."""
    kv_heads, ff, eps = 4, 512, 1e-5
    sizes = {"embedding_length": 128, "block_count": 5, "attention.head_count": 4,
             "context_length": 256}

    def __init__(self):
        raw = (BIBLE / "model.safetensors").read_bytes()
        size, = struct.unpack_from("<Q", raw)
        self.tensors = {}
        for name, one in json.loads(raw[8:8 + size]).items():
            if name != "__metadata__":
                first, last = one["data_offsets"]
                letter = FORMATS[one["dtype"]]
                count = (last - first) // struct.calcsize(letter)
                values = struct.unpack_from(f"<{count}{letter}", raw, 8 + size + first)
                self.tensors[name] = (one["shape"], array.array("f", values))


def wide(family):
    """A family of text_reference.py with rows of whole blocks; its tensors have large means."""
    model = type(family.__name__, (family,), {"dim": 16, "ff": 4 * text_reference.D})()
    model.sizes = {"embedding_length": text_reference.D}
    model.logits()
    return model


class Quantised(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        bible = Bible()
        bible.__class__ = type("Gpt2", (Bible,), {})
        models = {"bible": bible, "gpt2": wide(text_reference.Gpt2),
                  "neox": wide(text_reference.GptNeox)}
        cls.files = []
        for name, model in models.items():
            plain = cls.folder / f"{name}.gguf"
            text_gguf.write(model, plain, model.sizes)
            for kind in TYPES:
                cls.files.append(f"{name}-{kind}.gguf")
                subprocess.run([QUANTISE, kind, plain, cls.folder / cls.files[-1]], check=True,
                               timeout=60)
        cls.exact = dict(zip(cls.files, cls.logits("host:f64", cls.files)))

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    @classmethod
    def logits(cls, device, names):
        done = subprocess.run([LOGITS, device, TOKENS, PIECES, *(cls.folder / n for n in names)],
                              capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        decoder, text = json.JSONDecoder(), done.stdout.strip()
        while text:
            rows, end = decoder.raw_decode(text)
            text = text[end:].strip()
            yield rows

    def convert(self, kind, suffix, names):
        """Names of the outputs, and what the converter reports."""
        outputs = [name.replace(".gguf", f"-{suffix}.gguf") for name in names]
        pairs = [self.folder / n for pair in zip(names, outputs) for n in pair]
        done = subprocess.run([CONVERT, kind, *pairs], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return outputs, json.loads(done.stdout)

    def largest(self, name, rows):
        return max(distance(a, b) for a, b in zip(rows, self.exact[name]))

    def test_as_they_are(self):
        """Blocks stay packed and LayerNorm is deferred: the same as in float64."""
        for device in DEVICES:
            for name, rows in zip(self.files, self.logits(device, self.files)):
                with self.subTest(device=device, file=name):
                    self.assertLess(self.largest(name, rows), 1e-5)

    def test_decoded(self):
        """As a floating type the conversion of what the blocks mean is exact."""
        outputs, _ = self.convert("f64", "decoded", self.files)
        for name, rows in zip(self.files, self.logits("host:f64", outputs)):
            with self.subTest(file=name):
                self.assertLess(self.largest(name, rows), 1e-12)

    def test_kept(self):
        for name in self.files[::4]:
            out = self.folder / "kept.gguf"
            done = subprocess.run([CONVERT, "default", self.folder / name, out],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"blk\.\d\.(attn_output|ffn_down)\.weight is q[48]_[01]")
            self.assertIn("runs exactly as it is through the deferred LayerNorm", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertFalse(out.exists())

    def test_lossy(self):
        """The same types again, of which the worst tensor's error is told."""
        outputs, reports = self.convert("lossy", "lossy", self.files)
        results = zip(self.files, outputs, reports, self.logits("host", outputs))
        for name, output, (recentred, requantised, rounding), rows in results:
            error = self.largest(name, rows)
            with self.subTest(file=name):
                self.assertEqual(requantised, 2 * (5 if name.startswith("bible") else 2))
                self.assertGreater(recentred, requantised)
                self.assertTrue(1e-3 < rounding < (0.02 if "q8" in name else 0.3), rounding)
                self.assertTrue(1e-6 < error < 10 * rounding, error)
                before, after = ((self.folder / n).stat().st_size for n in (name, output))
                self.assertLess(abs(after - before), 4096)

    @unittest.skipIf(PROGRAM == "none", "the program is not built")
    def test_interrupted_measurement(self):
        """The file is complete by then, which the program says."""
        source, out = self.folder / "bible-q8_0.gguf", self.folder / "interrupted.gguf"
        for _ in range(8):  # the measurement may be quicker than the signal
            out.unlink(missing_ok=True)
            with subprocess.Popen([PROGRAM, "convert", source, out, "--lossy", "--json",
                                   "--device", "host:f64"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) as process:
                while process.poll() is None and not out.exists():
                    time.sleep(5e-4)
                process.send_signal(signal.SIGINT)
                report, said = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out.exists()), (0, True), said)
            if json.loads(report)["logits_relative_l2"] is None:
                break
        self.assertIsNone(json.loads(report)["logits_relative_l2"])
        self.assertIn("interrupted.gguf is complete; only its error could not be measured", said)

    @unittest.skipIf(PROGRAM == "none", "the program is not built")
    def test_program(self):
        """No norm is left in the graph of packed weights; --lossy tells what it costs."""
        source, out = self.folder / "bible-q8_0.gguf", self.folder / "told.gguf"
        done = subprocess.run([PROGRAM, "graph", source, "--device", "host"], capture_output=True,
                              text=True, timeout=60, check=True)
        self.assertIn("deferred-norm 11,", done.stdout)
        self.assertNotRegex(done.stdout, r"(?m)^\d+ layer_norm")
        environment = dict(os.environ, ZEROMEAN_DEVICE="host")
        done = subprocess.run([PROGRAM, "convert", source, out, "--lossy", "--json"], check=True,
                              capture_output=True, text=True, timeout=60, env=environment)
        report = json.loads(done.stdout)
        self.assertEqual((report["requantised"], report["recentred"]), (10, 20))
        self.assertTrue(1e-6 < report["logits_relative_l2"] < 0.02, report)
        self.assertEqual(report["device"]["spec"], "host")
        done = subprocess.run([PROGRAM, "convert", source, out, "--lossy", "--overwrite",
                               "--device", "host:f64"], check=True, capture_output=True, text=True,
                              timeout=60, env=environment)
        self.assertIn("device host:f64", done.stderr)
        none = self.folder / "none.gguf"
        for more, said in ((["--device", "host"], "no device is used"),
                           (["--lossy", "--device", "none"], "none")):
            done = subprocess.run([PROGRAM, "convert", source, none, *more], capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual((done.returncode, none.exists()), (2, False), done.stderr)
            self.assertIn(said, done.stderr)
        done = subprocess.run([PROGRAM, "inspect", out, "--json"], check=True, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(json.loads(done.stdout)["model"]["norm"], "rms_norm")
        done = subprocess.run([PROGRAM, "convert", out, self.folder / "again.gguf", "--json"],
                              capture_output=True, text=True, timeout=60, check=True)
        again = json.loads(done.stdout)
        self.assertEqual((again["copied"], again["recentred"]), (True, 0))
        self.assertEqual(again["output_bytes"], again["input_bytes"])
        for path, code, said in ((source, 1, "not the output of a conversion"), (out, 0, "")):
            size = path.stat().st_size
            done = subprocess.run([PROGRAM, "convert", self.folder / "again.gguf", path,
                                   "--overwrite"], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, path.stat().st_size), (code, size), done.stderr)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    del sys.argv[1:]
    tap.main()

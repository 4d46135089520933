# SPDX-License-Identifier: Apache-2.0
"""share/bible-gpt2, a trained model, against what tests/gpt2/expected.py calculated.

Its conversion is held against the same.

usage: text_bible.py TEXT_LOGITS CONVERT_MODELS DEVICE...
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "share/bible-gpt2"
EXPECTED = json.loads((ROOT / "tests/data/bible-gpt2.json").read_text(encoding="ascii"))
BOUNDS = {"host:f64": 1e-7}  # what a session gives is float32
BOUND = 1e-5
LIMITS = {"host": 1 << 18, "host:f64": 1 << 19, "opencl": 5 << 15}  # half of the table, and more


class Bible(unittest.TestCase):
    program = None
    convert = None
    devices = []

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        for kind in ("f64", "default"):
            subprocess.run([cls.convert, kind, MODEL, f"{cls.scratch.name}/{kind}"], check=True,
                           stdout=subprocess.DEVNULL, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def logits(self, device, ids, pieces):
        """Of both models: of the last token of each piece, then again of the last."""
        kind = "f64" if "f64" in device else "default"
        for model in (MODEL, f"{self.scratch.name}/{kind}"):
            done = subprocess.run([self.program, device, ",".join(map(str, ids)),
                                   ",".join(map(str, pieces)), model],
                                  capture_output=True, text=True, check=False, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            rows = json.loads(done.stdout)
            self.assertEqual(len(rows), len(pieces) + 1)
            yield rows

    def assert_close(self, device, logits, case):
        first = case["first"]
        off = math.hypot(*(x - y for x, y in zip(logits, first))) / math.hypot(*first)
        bound = BOUNDS.get(device, BOUND)
        self.assertLess(off, bound)
        self.assertLess(abs(math.hypot(*logits) / case["norm"] - 1), bound)
        self.assertEqual(logits.index(max(logits)), case["best"])

    def test_logits(self):
        for device in self.devices:
            for case in EXPECTED["logits"]:
                count = len(case["ids"])
                for rows in self.logits(device, case["ids"], [count - 1, 1]):
                    for row in rows[1:]:
                        with self.subTest(device=device, tokens=count):
                            self.assert_close(device, row, case)

    def test_parts(self):
        """Table and head are larger than a buffer of the device can be."""
        case = EXPECTED["greedy"][0]
        for device in self.devices:
            whole = list(self.logits(device, case["ids"], [len(case["ids"]) - 1, 1]))
            for devices in [device, f"{device},{device}"]:
                with self.subTest(devices=devices):
                    parts = list(self.logits(f"{devices}@{LIMITS[device]}", case["ids"],
                                             [len(case["ids"]) - 1, 1]))
                    self.assertTrue(whole == parts)

    def test_greedy(self):
        for device in self.devices:
            for case in EXPECTED["greedy"]:
                ids = case["ids"] + case["continued"][:-1]
                pieces = [len(case["ids"])] + [1] * (len(case["continued"]) - 1)
                for rows in self.logits(device, ids, pieces):
                    with self.subTest(device=device, prompt=case["prompt"]):
                        self.assertEqual([row.index(max(row)) for row in rows[:-1]],
                                         case["continued"])


if __name__ == "__main__":
    Bible.program, Bible.convert, Bible.devices = sys.argv[1], sys.argv[2], sys.argv[3:]
    del sys.argv[1:]
    tap.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the program converts, and checks.

usage: cli_convert.py PROGRAM
"""
import os
import sys

import tap
import tiny_model
from program import Program, write_wav

HOST = ("--device", "host")


class Convert(Program):
    def setUp(self):
        super().setUp()
        self.model = tiny_model.write(self.scratch / "model")
        self.wav = write_wav(self.scratch / "a.wav", 1.5)
        self.out = self.scratch / "out"

    def test_convert_and_check(self):
        self.assertIn("recentred", self.ok("convert", self.model, self.out))
        self.assertEqual(self.json("inspect", self.out)["model"]["norm"], "rms_norm")
        report = self.json("check", self.model, self.out, *HOST)
        self.assertTrue(report["equal"])
        self.assertEqual(report["schema"], "zeromean.check/1")
        self.assertLess(report["final_relative_l2"], 1e-5)
        self.ok("check", self.model, self.out, *HOST, "--audio", self.wav, "--tokens", "4")
        report = self.json("check", "--truth", self.model, self.out, *HOST, "--tokens=4")
        self.assertEqual(report["device_a"]["real_type"], "f64")
        self.assertEqual(report["device_b"]["spec"], "host")
        self.assertEqual(report["verdict"], "float32")

    def test_check_page(self):
        page = self.scratch / "check.html"
        other = tiny_model.write(self.scratch / "other", seed=2)
        report = self.json("check", self.model, self.model, *HOST, "--tokens=2", "--html", page)
        text = page.read_text(encoding="utf-8")
        self.assertEqual(text.count("<svg"), 2)
        self.assertEqual(text.count("<tr>"), len(report["rows"]) + 1)
        self.assertIn("the same function", text)
        done = self.run_program("check", self.model, other, *HOST, "--tokens=2", "--html", page)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not the same function", page.read_text(encoding="utf-8"))
        page = self.scratch / "no" / "page"
        done = self.run_program("check", self.model, self.model, *HOST, "--tokens=2", "--html", page)
        self.assertEqual(done.returncode, 1)
        self.assertIn(os.fsencode(page), done.stderr)

    def test_check_sees_a_difference(self):
        other = tiny_model.write(self.scratch / "other", seed=2)
        done = self.run_program("check", self.model, other, *HOST)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"differ", done.stderr)
        self.assertIn(b"final", done.stdout)

    def test_convert_leaves_what_is_there(self):
        self.out.mkdir()
        (self.out / "mine").write_text("x")
        self.assertIn("--overwrite", self.failure("convert", self.model, self.out))
        self.assertEqual([path.name for path in self.out.iterdir()], ["mine"])

    def test_convert_overwrites_when_told(self):
        first = self.json("convert", self.model, self.out)
        self.assertEqual(first["schema"], "zeromean.convert/1")
        again = self.json("convert", self.model, self.out, "--overwrite")
        self.assertEqual(first, again)
        self.assertEqual(self.json("inspect", self.out)["model"]["norm"], "rms_norm")

    def test_convert_twice_copies(self):
        self.assertFalse(self.json("convert", self.model, self.out)["copied"])
        again = self.scratch / "again"
        self.assertIn("only copied", self.ok("convert", self.out, again))
        self.assertEqual((again / "model.safetensors").read_bytes(),
                         (self.out / "model.safetensors").read_bytes())
        self.assertTrue(self.json("convert", self.out, again, "--overwrite")["copied"])

    def test_convert_forms(self):
        """Each form says what it is, is the same function, and leads back."""
        back = self.scratch / "back"
        for arguments, norm in ((("rms", "--fold"), "rms_norm"), (("crms",), "crms_norm"),
                                (("ortho",), "ortho_norm")):
            report = self.json("convert", self.model, self.out, "--overwrite", "--norm", *arguments)
            self.assertEqual((report["norm"], report["folded"]), (norm, True))
            shown = self.ok("inspect", self.out)
            self.assertRegex(shown, rf"norm +{norm}, folded, eps")
            self.assertTrue(self.json("inspect", self.out)["model"]["folded"])
            self.ok("check", self.model, self.out, "--device", "host", "--tokens", "4")
            report = self.json("convert", self.out, back, "--overwrite", "--norm", "ln")
            self.assertEqual((report["norm"], report["folded"]), ("layer_norm", False))
            self.ok("check", self.model, back, "--device", "host", "--tokens", "4")
        self.assertIn("LayerNorm keeps", self.failure("convert", self.model, self.out, "--norm",
                                                      "ln", "--fold", "--overwrite"))

    def test_convert_type(self):
        self.ok("convert", self.model, self.out, "--type", "f16")
        tensors = self.json("inspect", self.out, "--tensors")["tensors"]
        self.assertEqual({tensor["dtype"] for tensor in tensors}, {"f16"})

    def test_check_says_how_many_tokens_there_can_be(self):
        done = self.run_program("check", self.model, self.model, *HOST, "--tokens", "100000")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr.decode(), r"room for \d+ tokens, not for 100000")


if __name__ == "__main__":
    Program.path = os.path.abspath(sys.argv.pop(1))
    tap.main()

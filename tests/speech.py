#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Whisper model on real speech, before and after conversion.

usage: speech.py PROGRAM MODEL-NAME

The expected tokens are those of CTranslate2 4.8 in float32, greedy.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import program
import tap
from program import Program

TEXT = ("And Mr. John Dashwood had then leisure to consider how much there might be prudently in his "
        "power to do for them. He was not an ill-disposed young man. Unless to be rather cold-hearted "
        "and rather selfish{} is to be ill-disposed. Had he married a more amiable woman, he might "
        "have been made still more respectable than he was. He might even have been made amiable "
        "himself.")
# By the model: text; how many tokens, the first twelve, the last three; language; peak memory.
EXPECTED = {
    "whisper-tiny.en": (
        TEXT.format(","), 87,
        [843, 1770, 13, 1757, 16189, 3822, 550, 788, 24638, 284, 2074, 703], [3379, 2241, 13],
        "", 500 << 20),
    "whisper-base": (
        TEXT.format(""), 89,
        [400, 2221, 13, 2619, 23453, 6092, 632, 550, 31339, 281, 1949, 577], [9364, 3647, 13],
        "en", 700 << 20),
}


class Speech(Program):
    name = None

    @classmethod
    def setUpClass(cls):
        cls.model = program.required("ZEROMEAN_MODELS_DIR") / cls.name
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.wav = program.speech(cls.folder / "speech.wav")
        cls.converted = cls.folder / "converted"
        done = cls().run_program("convert", cls.model, cls.converted)
        if done.returncode:
            sys.exit(f"convert {cls.model}: {done.stderr.decode()}")
        # Memory is that of transcribing, not that of PoCL's compiler at the first run.
        for model in (cls.model, cls.converted):
            cls().run_program("transcribe", model, cls.wav)

    def check_transcript(self, model, norm, *options):
        text, count, first, last, language, memory = EXPECTED[self.name]
        said = self.json("transcribe", model, self.wav, *options)
        (clip,) = said["files"]
        self.assertEqual(clip["text"], text)
        self.assertEqual(clip["language"], language)
        self.assertEqual(len(clip["tokens"]), count)
        self.assertEqual(clip["tokens"][:12], first)
        self.assertEqual(clip["tokens"][-3:], last)
        self.assertAlmostEqual(clip["audio_seconds"], 24.73, places=2)
        self.assertEqual(said["norm"], norm)
        return said

    def check_memory(self, said):
        if "ASAN_OPTIONS" not in os.environ:  # the sanitizer's shadow counts as well
            self.assertLess(said["peak_rss_bytes"], EXPECTED[self.name][-1])

    def test_pre_ln(self):
        said = self.check_transcript(self.model, "layer_norm")
        self.assertEqual(said["device"]["backend"], "opencl")
        self.check_memory(said)

    def test_pre_rmsnorm(self):
        said = self.check_transcript(self.converted, "rms_norm")
        self.assertEqual(said["device"]["backend"], "opencl")
        self.check_memory(said)

    def test_forms(self):
        """Folded norms, CRMSNorm and a turned main branch, and back from each: the same tokens."""
        if self.name != "whisper-base":
            self.skipTest("one model will do")
        form, back = self.folder / "form", self.folder / "back"
        for arguments, norm in ((("rms", "--fold"), "rms_norm"), (("crms",), "crms_norm"),
                                (("ortho",), "ortho_norm")):
            for source, to, wanted in ((self.model, form, arguments), (form, back, ("ln",))):
                with self.subTest(norm=arguments[0], to=wanted):
                    self.ok("convert", source, to, "--overwrite", "--norm", *wanted)
                    self.check_transcript(to, norm if to == form else "layer_norm")
                    self.ok("check", self.model, to, "--audio", self.wav)

    def test_split(self):
        said = self.check_transcript(self.model, "layer_norm", "--device", "opencl,host", "--split",
                                     "3,1")
        self.assertEqual([part["share"] for part in said["split"]], [3, 1])

    def test_streamed_text(self):
        self.assertEqual(self.ok("transcribe", self.model, self.wav), EXPECTED[self.name][0] + "\n")

    def test_timestamps(self):
        lines = self.ok("transcribe", self.model, self.wav, "--timestamps").splitlines()
        self.assertGreater(len(lines), 2)
        for line in lines:
            self.assertRegex(line, r"^\[\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}\] \S")
        starts = [line[1:13] for line in lines]
        self.assertEqual(starts, sorted(starts))
        self.assertIn("Dashwood", lines[0])

    def test_segments_come_as_they_are_decoded(self):
        """With ten times the work behind the first segment, it doesn't come near the end."""
        start = time.monotonic()
        with subprocess.Popen([self.path, "transcribe", self.model, self.wav, "--timestamps",
                               "--repeat", "10"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            self.assertIn(b"-->", process.stdout.readline())
            first = time.monotonic() - start
            process.communicate(timeout=300)
        self.assertLess(first, 0.7 * (time.monotonic() - start))

    def test_same_function(self):
        report = self.json("check", self.model, self.converted, "--audio", self.wav)
        rows = {row["what"]: row for row in report["rows"]}
        self.assertLess(rows["encoder.output"]["relative_l2"], 1e-5)
        self.assertLess(rows["logits"]["relative_l2"], 1e-5)
        self.assertEqual(report["tokens"], report["tokens_equal"])
        self.assertGreater(len(report["rows"]), 9)

    def test_same_function_on_synthetic_input(self):
        self.ok("check", self.model, self.converted)


if __name__ == "__main__":
    Program.path = os.path.abspath(sys.argv.pop(1))
    Speech.name = sys.argv.pop(1)
    tap.main()

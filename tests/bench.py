#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A benchmark whose set-up fails says so in one line.

usage: bench.py SOURCE-ROOT
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import tap


class SetUp(unittest.TestCase):
    """The scripts in a tree of their own, with stand-ins for what they call."""
    root = None

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.tree = pathlib.Path(scratch.name)
        for name in ("bench", "scripts"):
            shutil.copytree(self.root / name, self.tree / name)
        (self.tree / "bin").mkdir()

    def stand_in(self, name, text):
        path = self.tree / name
        path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def error_of(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "PATH": f"{self.tree}/bin:{os.environ['PATH']}"})
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def test_the_benchmark_leaves_it_to_the_set_up_to_say_why(self):
        self.stand_in("scripts/bench-setup", "echo 'bench-setup: no network' >&2; exit 1")
        error = self.error_of(sys.executable, self.tree / "bench/compare/whisper.py")
        self.assertEqual(error, "bench-setup: no network\n")

    def test_a_python_without_venv_gets_it_installed(self):
        self.stand_in("bin/python3", "exit 1")
        self.stand_in("scripts/setup", 'echo "setup: asked for $*" >&2; exit 1')
        error = self.error_of(self.tree / "scripts/bench-setup", "whisper-tiny.en")
        self.assertIn("python3-venv", error)
        self.assertIn("asked for --bench", error)

    def test_a_build_that_fails_is_one_line(self):
        self.stand_in("scripts/setup", "exit 0")
        self.stand_in("bin/meson", "printf 'one\\ntwo\\n'; exit 1")
        self.assertIn("two", self.error_of(self.tree / "scripts/bench-setup", "whisper-tiny.en"))

    def test_a_model_that_cannot_be_fetched_is_one_line(self):
        self.stand_in("scripts/setup", "exit 0")
        self.stand_in("bin/meson", "exit 0")
        self.stand_in("bin/ninja", "exit 0")
        self.stand_in("scripts/fetch-model", "echo 'fetch-model: no' >&2; exit 1")
        self.assertIn("fetch-model: no",
                      self.error_of(self.tree / "scripts/bench-setup", "whisper-tiny.en"))


if __name__ == "__main__":
    SetUp.root = pathlib.Path(sys.argv.pop(1))
    tap.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A benchmark whose set-up fails says so in one line.

usage: bench.py SOURCE-ROOT
"""
import importlib
import itertools
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
        self.stand_in("scripts/setup", 'echo "setup: asked" >&2; exit 1')
        error = self.error_of(self.tree / "scripts/bench-setup", "whisper-tiny.en")
        self.assertIn("venv", error)
        self.assertIn("setup: asked", error)

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



class Peers(unittest.TestCase):
    """How other engines are timed, without any of them."""

    def setUp(self):
        sys.path.insert(0, str(SetUp.root / "bench/compare"))
        self.addCleanup(sys.path.pop, 0)
        self.peers = importlib.import_module("peers")

    def test_every_script_compiles(self):
        for path in (SetUp.root / "bench/compare").glob("*.py"):
            compile(path.read_text(encoding="utf-8"), str(path), "exec")

    def test_turns_alternate_and_ratios_are_of_one_round(self):
        turns = []
        times = {"ours": itertools.count(1), "theirs": itertools.count(2, 2)}

        def engine(name):
            def run():
                turns.append(name)
                return next(times[name])
            return run
        race = self.peers.Race({name: engine(name) for name in times}, 2, [])
        count = len(race.times["ours"])
        self.assertEqual(len(race.times["theirs"]), count)
        self.assertEqual(race.ratio("theirs", "ours"), (2, 2, 2))
        self.assertEqual(turns[:6], ["ours", "theirs"] * 2 + ["theirs", "ours"])

    def test_the_interval_holds_the_median_with_95_percent(self):
        self.assertEqual(self.peers.interval(range(1, 16)), (4, 12))
        self.assertEqual(self.peers.interval([3, 1, 2]), (1, 3))


if __name__ == "__main__":
    SetUp.root = pathlib.Path(sys.argv.pop(1))
    tap.main()

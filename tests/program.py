# SPDX-License-Identifier: Apache-2.0
"""Running the program zeromean from tests."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import wave

ROOT = pathlib.Path(__file__).resolve().parent.parent


def required(variable):
    """A folder that scripts/test names; without it the test fails, it doesn't skip."""
    path = pathlib.Path(os.environ.get(variable) or f"${variable} is not set")
    if not path.is_dir():
        sys.exit(f"{path}: no such folder; run the tests by scripts/test, or set {variable}")
    return path


def speech(path):
    """The five clips of LibriVox in one file: 24.7 s."""
    clips = sorted(map(str, required("ZEROMEAN_TEST_SPEECH").glob("*.wav")))
    if len(clips) != 5:
        sys.exit(f"{len(clips)} clips of speech instead of five")
    subprocess.run([sys.executable, ROOT / "scripts/join-wav", path, *clips], check=True)
    return path


def write_wav(path, seconds, rate=16000, channels=1):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        count = int(seconds * rate) * channels
        out.writeframes(struct.pack(f"<{count}h", *((i * 7919) % 20011 - 10005 for i in range(count))))
    return path


class Program(unittest.TestCase):
    """A test case with the program and a scratch folder of its own."""
    path = None

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def run_program(self, *arguments, env=None, timeout=300, **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([self.path, *map(str, arguments)], stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=timeout,
                              env={**os.environ, **(env or {})}, **options)

    def ok(self, *arguments, **options):
        done = self.run_program(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def json(self, *arguments, **options):
        text = self.ok(*arguments, "--json", **options)
        self.assertEqual(text.count("\n"), 1, "one object on one line")
        return json.loads(text)

    def line(self, code, *arguments, **options):
        """The program fails with this code and one line, and puts nothing on stdout."""
        done = self.run_program(*arguments, **options)
        error = done.stderr.decode()
        self.assertEqual(done.returncode, code, f"{arguments}: {error}")
        self.assertEqual(error.count("\n"), 1, f"{arguments}: not one line: {error}")
        self.assertTrue(error.startswith("zeromean: "), error)
        self.assertLess(len(error), 600, error)
        self.assertEqual(done.stdout or b"", b"", arguments)
        return error

    def usage(self, *arguments, **options):
        error = self.line(2, *arguments, **options)
        self.assertIn("--help'", error)
        return error

    def failure(self, *arguments, **options):
        return self.line(1, *arguments, **options)

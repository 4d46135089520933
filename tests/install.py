# SPDX-License-Identifier: Apache-2.0
"""What is installed is enough to build and run a program of somebody else.

usage: install.py BUILD-FOLDER SOURCE-ROOT COMPILER...
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import tap


class Install(unittest.TestCase):
    build = root = compiler = None

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.place = pathlib.Path(scratch.name)
        cls.out = cls.run_it("meson", "install", "-C", cls.build, "--no-rebuild", "--destdir",
                             cls.place)
        (cls.headers,) = cls.place.rglob("zeromean.h")
        (cls.description,) = cls.place.rglob("zeromean.pc")

    @classmethod
    def run_it(cls, *command, **env):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=120, check=False, env={**os.environ, **env})
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def pkg_config(self, *options):
        return self.run_it("pkg-config", *options, "zeromean",
                           PKG_CONFIG_PATH=str(self.description.parent),
                           PKG_CONFIG_SYSROOT_DIR=str(self.place)).split()

    def test_every_header(self):
        expected = {path.name for path in (self.root / "include/zeromean").iterdir()}
        self.assertEqual({path.name for path in self.headers.parent.iterdir()}, expected)
        self.assertEqual(self.headers.parent.name, "zeromean")

    def test_version(self):
        text = (self.root / "include/zeromean/common.h").read_text(encoding="utf-8")
        version = re.search(r'ZM_VERSION_STRING "(.*)"', text)[1]
        self.assertEqual(self.pkg_config("--modversion"), [version])

    def test_soname(self):
        libraries = {path.name for path in self.place.rglob("libzeromean.so*")}
        self.assertEqual(len(libraries), 3, libraries)  # .so, .so.MAJOR, .so.MAJOR.MINOR.PATCH
        self.assertIn("libzeromean.so.0", libraries)

    def test_a_program_is_built_and_runs(self):
        program = self.place / "example"
        self.run_it(*self.compiler, "-std=c11", self.root / "tests/readme_example.c", "-o", program,
                    *self.pkg_config("--cflags", "--libs"))
        (library,) = self.place.rglob("libzeromean.so")
        done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60,
                              env={**os.environ, "LD_LIBRARY_PATH": str(library.parent)})
        self.assertEqual((done.returncode, done.stdout), (1, "failed\n"),
                         done.stderr)


if __name__ == "__main__":
    Install.build, Install.root = map(pathlib.Path, sys.argv[1:3])
    Install.compiler = sys.argv[3:]
    del sys.argv[1:]
    tap.main()

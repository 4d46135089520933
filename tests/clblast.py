#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CLBlast as a kernel of matmul: right where it is there, and a reason in words where it isn't.

usage: clblast.py CHECKOP
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import tap


class CLBlast(unittest.TestCase):
    checkop = None

    def check(self, *arguments, **environment):
        return subprocess.run(
            [self.checkop, "--device", "opencl", "--op", "matmul", "--kernel", "clblast",
             *arguments], capture_output=True, text=True, timeout=300, check=False,
            env={**os.environ, **environment})

    def test_the_cases_that_are_products_and_no_more(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        line = re.search(r"^matmul +clblast +(\d+) cases, .*, ok", done.stdout, re.M)
        self.assertTrue(line, done.stdout)
        self.assertGreater(int(line[1]), 20)

    def test_a_broken_library_is_a_refusal(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "libclblast.so.1").write_bytes(b"no library")
            done = self.check("--case", "7", LD_LIBRARY_PATH=folder)
        self.assertRegex(done.stdout, r"matmul +clblast +refused: CLBlast is not there: ")
        self.assertIn("0 passed, 0 failed", done.stdout)


if __name__ == "__main__":
    CLBlast.checkop = sys.argv[1]
    tap.main()

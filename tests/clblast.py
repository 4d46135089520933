#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CLBlast in the tools: right where it is there, and a reason in words where it isn't.

usage: clblast.py CHECKOP CLBENCH built|left-out
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import tap

SHAPE = "m=7,n=33,k=65"


class CLBlast(unittest.TestCase):
    checkop, clbench, built = None, None, False

    def setUp(self):
        # Found before the one of the system, and no library at all.
        self.folder = tempfile.TemporaryDirectory()
        pathlib.Path(self.folder.name, "libclblast.so.1").write_bytes(b"no library")
        self.addCleanup(self.folder.cleanup)

    def run_tool(self, *command, missing=False):
        environment = dict(os.environ)
        if missing:
            environment["LD_LIBRARY_PATH"] = self.folder.name
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False,
                              env=environment)

    def check(self, *options, **missing):
        return self.run_tool(self.checkop, "--device", "opencl", "--op", "matmul", "--kernel",
                             "clblast", *options, **missing)

    def time(self, *options, **missing):
        done = self.run_tool(self.clbench, "op", "matmul", "--device", "opencl", "--shape", SHAPE,
                             "--no-peak", "--time", "0.05", "--json", *options, **missing)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)["rows"][0]

    def test_the_cases_that_are_products_and_no_more(self):
        if not self.built:
            self.skipTest("built without CLBlast")
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        line = re.search(r"^matmul +clblast +(\d+) cases, .*, ok", done.stdout, re.M)
        self.assertTrue(line, done.stdout)
        self.assertGreater(int(line[1]), 20)

    def test_it_is_timed_against_ours(self):
        if not self.built:
            self.skipTest("built without CLBlast")
        for kernel in "cpu", "gpu_direct":
            row = self.time("--kernel", kernel, "--vs", "clblast")
            self.assertEqual((row["status"], row["kernel"], row["versus"]["kernel"]),
                             ("ok", kernel, "clblast"), row)
            self.assertGreater(row["versus"]["seconds"]["median"], 0)

    def test_it_is_not_there(self):
        done = self.check("--case", "7", missing=True)
        self.assertRegex(done.stdout, r"matmul +clblast +refused: CLBlast is not there: ")
        self.assertEqual(done.returncode, 1, done.stdout)
        row = self.time("--kernel", "clblast", missing=True)
        self.assertEqual(row["status"], "unsupported", row)
        self.assertIn("CLBlast is not there: ", row["reason"])

    def test_nothing_else_needs_it(self):
        row = self.time(missing=True)
        self.assertEqual((row["status"], row["kernel"] != "clblast"), ("ok", True), row)


if __name__ == "__main__":
    CLBlast.checkop, CLBlast.clbench, built = sys.argv[1:4]
    CLBlast.built = built == "built"
    tap.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The check of the kernels is checked: it fails when something is wrong, and when nothing ran.

usage: checkop.py CHECKOP SHADER-FOLDER
"""
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

import tap


class Checkop(unittest.TestCase):
    checkop = shaders = None

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def run_it(self, *options, device="opencl"):
        return subprocess.run([self.checkop, "--device", device, *options], capture_output=True,
                              text=True, timeout=120, check=False)

    def fails(self, words, *options, **more):
        done = self.run_it(*options, **more)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, words)
        return done.stdout

    def spoil(self):
        """Kernel sources whose add adds y to itself from the third element on."""
        shaders = self.folder / "planted ones"
        shutil.copytree(self.shaders, shaders)
        kernel = shaders / "cpu/add.cl"
        text = kernel.read_text(encoding="utf-8")
        spoilt = text.replace("LOAD_ACT(p, i) +", "LOAD_ACT(i > 1 ? q : p, i) +")
        self.assertNotEqual(text, spoilt)
        kernel.write_text(spoilt, encoding="utf-8")
        return shaders

    def test_a_failure_is_repeated_by_the_command_it_prints(self):
        out = self.fails("FAILED", "--op", "add", "--kernel", "cpu", "--small", "--seed", "7",
                         "--repeat", "3", "--shaders", self.spoil())
        case, reason, again = re.search(r"(case \d+): .*\n +(.*)\n +again: checkop (.*)\n",
                                        out).groups()
        command = shlex.split(again)
        self.assertEqual(command[command.index("--repeat") + 1], "3")
        self.assertEqual(command[command.index("--seed") + 1], "7")
        done = subprocess.run([self.checkop, *command], capture_output=True, text=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(case, done.stdout)
        self.assertIn(reason, done.stdout)

    def test_without_the_fault_it_passes(self):
        done = self.run_it("--op", "add", "--kernel", "cpu", "--small", "--shaders", self.shaders)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_named_candidate_that_runs_nothing_fails(self):
        self.fails(r"add +ref +refused: the reference runs on the host device only; it ran nothing, "
                   "FAILED", "--op", "add", "--kernel", "ref", "--small")
        self.fails("it ran nothing, FAILED", "--op", "add", "--kernel", "[cr]*", "--small")
        self.fails("it ran nothing, FAILED", "--op", "add", "--kernel", "cpu", device="host")

    def test_a_family_that_refuses_all_fails_unnamed(self):
        out = self.fails(r"top_k +gpu +refused: work-groups of 16 items are over the limit; it ran "
                         "nothing, FAILED", "--op", "top_k", "--small", "--work-group", "8")
        self.assertRegex(out, r"top_k +cpu .* ok\n")

    def test_a_case_of_which_nothing_ran_fails(self):
        self.fails("copy +nothing ran: FAILED", "--op", "copy", "--kernel", "gpu_tile", "--case",
                   "0")

    def test_other_families_may_refuse_unasked(self):
        done = self.run_it("--op", "add", device="host")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"add +gpu +refused: ")
        self.assertIn("\n2 candidates ran nothing, for the reasons above\n1 passed", done.stdout)

    def test_options_that_leave_nothing_to_do_are_named(self):
        for words, options in (("has a case 99999;", ("--op", "add", "--case", "99999")),
                               ("no op matches --op zz;", ("--op", "zz")),
                               ("matches --kernel zz;", ("--op", "add", "--kernel", "zz"))):
            done = self.run_it(*options, device="host")
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(words, done.stderr)

    def test_numbers_that_will_not_do(self):
        for option, number in (("--seed", str(2**64)), ("--seed", "-1"), ("--seed", "1x"),
                               ("--seed", ""), ("--case", str(2**63)), ("--repeat", "0")):
            done = self.run_it("--op", "add", option, number, device="host")
            self.assertEqual((done.returncode, done.stdout), (2, ""), number)
            self.assertIn(f"'{number}' is not a number", done.stderr)
        self.assertEqual(self.run_it("--op", "add", "--kernel", "ref", "--case", "0", "--seed",
                                     str(2**64 - 1), device="host").returncode, 0)

    def test_a_kernel_that_no_case_reaches_fails(self):
        out = self.fails("cpu/argmax.cl: no case reaches it\n", "--op", "add", "--kernel", "cpu",
                         "--small", "--cover", "cpu/a[dr]*")
        self.assertNotIn("cpu/add.cl", out)
        self.fails("cpu/add.cl: no case reaches it with -DACT_TYPE=2\n", "--op", "add", "--kernel",
                   "cpu", "--case", "0", "--cover", "cpu/add.cl")
        self.fails("0 kernel files match nowhere/", "--op", "add", "--kernel", "cpu", "--case", "0",
                   "--cover", "nowhere/*")

    def test_bits_tell_results_apart(self):
        def bits(seed):
            path = self.folder / "bits"
            done = self.run_it("--op", "add", "--kernel", "cpu", "--small", "--seed", seed,
                               "--bits", path)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return path.read_text(encoding="ascii").splitlines()
        first = bits("1")
        self.assertRegex(first[0], r"^add cpu \d+ [0-9a-f]{64}$")
        self.assertEqual(first, bits("1"))
        self.assertTrue(all(a != b for a, b in zip(first, bits("2"))))


if __name__ == "__main__":
    Checkop.checkop, shaders = sys.argv[1:3]
    Checkop.shaders = pathlib.Path(shaders)
    tap.main()

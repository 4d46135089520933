#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The modules of SPIR-V: valid, and right on a driver that takes them.

usage: spirv.py MODULE-FOLDER TEST-PROGRAMS

ZEROMEAN_TEST_INTEL_OPENCL may name the folder of Intel's OpenCL runtime for CPUs (libintelocl.so;
PyPI: intel-opencl-rt and intel-cmplr-lib-rt), the one driver that takes SPIR-V without a GPU.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import tap

INTEL = os.environ.get("ZEROMEAN_TEST_INTEL_OPENCL")


class Modules(unittest.TestCase):
    folder = programs = None

    def validate(self, path):
        return subprocess.run(["spirv-val", "--target-env", "opencl2.1", path],
                              capture_output=True, text=True, check=False)

    def test_every_module_is_valid(self):
        modules = sorted(self.folder.glob("*.spv"))
        self.assertGreater(len(modules), 100)
        for module in modules:
            done = self.validate(module)
            self.assertEqual(done.returncode, 0, f"{module.name}: {done.stderr}")

    def test_a_spoilt_module_is_not(self):
        data = next(self.folder.glob("*.spv")).read_bytes()
        with tempfile.NamedTemporaryFile(suffix=".spv") as spoilt:
            spoilt.write(data[:len(data) // 2 // 4 * 4])
            spoilt.flush()
            self.assertNotEqual(self.validate(spoilt.name).returncode, 0)

    @unittest.skipUnless(INTEL, "ZEROMEAN_TEST_INTEL_OPENCL names no runtime that takes SPIR-V")
    def test_kernels_made_from_modules_are_right(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "intel.icd").write_text(f"{INTEL}/libintelocl.so\n",
                                                         encoding="utf-8")
            environment = {**os.environ, "OCL_ICD_VENDORS": folder, "LD_LIBRARY_PATH": INTEL}
            done = subprocess.run([self.programs, "--run", "opencl:intel"], capture_output=True,
                                  text=True, timeout=1100, check=False, env=environment)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        ops = re.findall(r"^(\w+): (\d+) cases, 0 failed, (\d+) modules", done.stdout, re.M)
        self.assertEqual(len(ops), done.stdout.count("\n"))
        self.assertGreater(len(ops), 15)
        for op, cases, modules in ops:
            self.assertGreater(int(cases), 0, op)
            self.assertGreater(int(modules), 0, op)



if __name__ == "__main__":
    Modules.folder = pathlib.Path(sys.argv[1])
    Modules.programs = sys.argv[2]
    tap.main()

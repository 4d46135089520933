#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/setup installs, on machines that are made up.

usage: packages.py SOURCE-ROOT
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import tap

TOOLS = ("awk", "basename", "bash", "cat", "dirname", "env", "grep", "id", "mktemp", "rm", "tail")
DPKG_QUERY = "while read -r name; do echo \"installed $name\"; done <'{0}/installed'"
APT_GET = """echo "$*" >>'{0}/asked'
for word; do
    case $word in
    -*) ;;
    *) echo "$word" >>'{0}/installed' ;;
    esac
done"""


class Machine(unittest.TestCase):
    root = None

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        (self.folder / "installed").touch()
        self.program("dpkg-query", DPKG_QUERY.format(self.folder))
        self.program("apt-get", APT_GET.format(self.folder))
        self.program("sudo", '"$@"')
        self.release()

    def program(self, name, text=""):
        path = self.bin / name
        path.write_text(f"#!{shutil.which('bash')}\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def release(self, *names):
        """The packages that apt-get could install, as far as they matter."""
        self.program("apt-cache", "\n".join(f"echo {name}" for name in ("clang-format", *names)))

    def set_up(self, *options):
        """What it says, and which packages were asked for."""
        asked = self.folder / "asked"
        asked.unlink(missing_ok=True)
        done = subprocess.run([self.root / "scripts/setup", *options], capture_output=True,
                              text=True, timeout=60, check=False, env={"PATH": str(self.bin)})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout, set(asked.read_text().split()) if asked.exists() else set()

    def test_the_demo_gets_what_it_needs(self):
        _, asked = self.set_up()
        self.assertLessEqual({"gcc", "meson", "pocl-opencl-icd", "pocketsphinx-testdata"}, asked)
        self.assertFalse(asked & {"libcmocka-dev", "g++", "shellcheck", "libclblast-dev", "valgrind"})
        self.assertFalse([name for name in asked if "clang" in name or "spirv" in name], asked)
        self.assertEqual(self.set_up(), ("", set()))

    def test_the_tests_get_more_and_all_of_them_the_most(self):
        self.release("clang-14", "llvm-spirv-14")
        _, asked = self.set_up("--tests")
        self.assertLessEqual({"gcc", "libcmocka-dev", "clang-14", "llvm-spirv-14"}, asked)
        self.assertNotIn("valgrind", asked)
        _, asked = self.set_up("--full")
        self.assertIn("valgrind", asked)
        self.assertNotIn("libcmocka-dev", asked)

    def test_compilers_of_one_version(self):
        for names, version in ((("clang-14", "clang-15", "llvm-spirv-15", "llvm-spirv-14"), 14),
                               (("clang-9", "llvm-spirv-9", "clang-18", "llvm-spirv-18", "clang-19",
                                 "llvm-spirv-19", "clang-20", "llvm-spirv-21"), 19)):
            with self.subTest(version=version):
                (self.folder / "installed").write_text("")
                self.release(*names)
                _, asked = self.set_up("--tests")
                compilers = {name for name in asked if re.fullmatch(r"(clang|llvm-.*)-\d+", name)}
                self.assertEqual(compilers,
                                 {f"clang-{version}", f"llvm-spirv-{version}"})

    def test_a_release_without_them(self):
        self.release("clang-20", "llvm-spirv-21")
        said, asked = self.set_up("--tests")
        self.assertIn("going on without SPIR-V: ", said)
        self.assertIn("libcmocka-dev", asked)
        said, asked = self.set_up("--tests")
        self.assertEqual((said.count("\n"), asked), (1, set()))

    def test_compilers_that_are_there_from_elsewhere(self):
        for name in ("clang-17", "llvm-spirv-17"):
            self.program(name)
        self.release("clang-14", "llvm-spirv-14")
        _, asked = self.set_up("--tests")
        self.assertFalse(asked & {"clang-14", "llvm-spirv-14"})
        self.assertEqual(self.set_up("--tests"), ("", set()))


if __name__ == "__main__":
    Machine.root = pathlib.Path(sys.argv.pop(1)).resolve()
    tap.main()

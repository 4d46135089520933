#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""README.md shows the example that is compiled, and names only files that exist.

usage: readme.py README.md readme_example.c
"""
import pathlib
import re
import sys
import unittest

import tap


class Readme(unittest.TestCase):
    readme = example = None

    def test_the_example_is_the_compiled_one(self):
        block = re.search(r"```c\n(.*?)```", self.readme.read_text(encoding="utf-8"), re.S)
        code = self.example.read_text(encoding="utf-8").split("\n", 1)[1]
        self.assertEqual(block[1], code)

    def test_links_lead_somewhere(self):
        root = self.readme.parent
        for page in [*root.glob("*.md"), *root.glob("docs/*.md")]:
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_scripts_that_are_named_exist(self):
        root = self.readme.parent
        for page in [*root.glob("*.md"), *root.glob("docs/*.md")]:
            for name in re.findall(r"`((?:scripts|bench|tests|src|include|docs)/[\w./-]*\w)",
                                   page.read_text(encoding="utf-8")):
                self.assertTrue((root / name).exists(), f"{page.name}: {name}")


if __name__ == "__main__":
    Readme.example = pathlib.Path(sys.argv.pop(2))
    Readme.readme = pathlib.Path(sys.argv.pop(1))
    tap.main()

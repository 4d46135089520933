#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a program can watch over: who includes whom, and what stays where.

usage: layering.py ROOT
"""
import pathlib
import re
import sys
import tempfile
import unittest

import tap

# What a folder of src may include besides itself, common/ and the public headers. Adding a folder
# means adding a line here.
MAY_INCLUDE = {
    "common": [],
    "device": [],
    "opencl": ["device/", "shaders/chain.h", "shaders/shaders.h"],
    "host": ["device/", "ref/"],
    "ref": ["shaders/args.h"],
    "ops": ["device/", "format/json.h", "shaders/args.h", "shaders/hash.h"],
    "graph": ["ops/", "device/"],
    "format": [],
    "model": ["format/"],
    "convert": ["model/", "format/", "text/exchange.h"],
    "session": ["model/", "convert/"],
    "check": [],
    "text": ["format/"],
    "audio": ["format/"],
    "image": ["format/"],
    "transcribe": [],
    "generate": [],
    "cli": [],
}

# Words that may stand only in the files whose path matches: (what, pattern, allowed files).
ONLY_IN = [
    ("OpenCL header", r'^\s*#\s*include\s*[<"](CL|OpenCL)/', r"src/opencl/"),
    ("Vulkan header", r'^\s*#\s*include\s*[<"]vulkan/', r"src/vulkan/"),
    ("name of a backend", r"\bzm_backend_(opencl|vulkan|host)\b",
     r"src/device/(registry\.c|device\.h)|src/(opencl|vulkan|host)/"),
    ("environment", r"\b(secure_)?getenv\s*\(", r"src/common/environment\.c"),
    ("output", r"\b(printf|vprintf|puts|putchar|perror|fprintf|fputs|fputc)\s*\(|\bstd(out|err)\b",
     r"src/cli/"),
    ("end of the process", r"\b(abort|exit|_exit|_Exit|quick_exit|assert)\s*\(", r"src/cli/"),
    ("compiler extension", r"__attribute__|__builtin_|__asm|\b__declspec|#\s*pragma\b",
     r"src/common/compiler\.h|include/zeromean/common\.h"),
]

FOLDER_PREFIXES = tuple(folder + "/" for folder in MAY_INCLUDE)

FOLDERS = ["include", "src", "shaders", "tests", "bench", "scripts", ".ci"]
TOP_FILES = ["meson.build", "meson_options.txt", ".clang-format", ".clang-tidy", ".editorconfig",
             ".gitignore"]
NO_COMMENTS = {".json", ".md", ".txt", ".wav", ".flac", ".ogg", ".bin", ".safetensors", ".raw"}
MAX_LINES = 600

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
LITERAL_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.S)


def code_only(text):
    """The text without comments, and without strings except in #include lines."""
    def blank(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if match[0][0] == '"' and text[start:match.start()].lstrip().startswith("#"):
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])

    return LITERAL_OR_COMMENT.sub(blank, text)


def check_includes(path, text):
    parts = path.split("/")
    if parts[0] == "include":
        for kind, name in INCLUDE.findall(text):
            if kind == '"' or ("/" in name and not name.startswith("zeromean/")):
                yield f"{path}: a public header includes {name}"
        return
    if len(parts) < 3 or parts[1] not in MAY_INCLUDE:
        yield f"{path}: unknown place; add the folder to MAY_INCLUDE in tests/layering.py"
        return
    allowed = [parts[1] + "/", "common/", "zeromean/", *MAY_INCLUDE[parts[1]]]
    for kind, name in INCLUDE.findall(text):
        if kind == "<" and not name.startswith(("zeromean/", "shaders/", *FOLDER_PREFIXES)):
            continue  # the system's or another library's
        if not name.startswith(tuple(allowed)):
            yield f"{path}: {parts[1]}/ may not include {name}"


def check_words(path, text):
    for what, pattern, allowed in ONLY_IN:
        if re.match(allowed, path):
            continue
        for match in re.finditer(pattern, text, re.M):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {what} in the wrong place: {match[0].strip()}"


def files(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                yield path
    yield from (root / name for name in TOP_FILES if (root / name).exists())


def violations(root):
    """All broken rules of a source tree, as lines of text."""
    found = []
    for file in files(root):
        path = file.relative_to(root).as_posix()
        if file.suffix in NO_COMMENTS or path.startswith("tests/data/"):
            continue
        text = file.read_text(encoding="utf-8")
        lines = text.splitlines()
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]):
            found.append(f"{path}: no SPDX line at the top")
        if len(lines) > MAX_LINES:
            found.append(f"{path}: {len(lines)} lines, more than {MAX_LINES}")
        if path.startswith(("src/", "include/")) and file.suffix in (".c", ".h"):
            code = code_only(text)
            found += check_includes(path, code)
            found += check_words(path, code)
    return found


SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class Tester(unittest.TestCase):
    """Would a broken rule be seen?"""

    def seen(self, path, text, spdx=SPDX):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            file = root / path
            file.parent.mkdir(parents=True)
            file.write_text(spdx + text, encoding="utf-8")
            return violations(root)

    def assertSeen(self, path, text, words, spdx=SPDX):
        found = self.seen(path, text, spdx)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_clean_files_pass(self):
        self.assertEqual(self.seen("src/ops/a.c", '#include "shaders/args.h"\n#include <math.h>\n'
                                   '#include "device/device.h"\nvoid zm_exit_all(void);\n'), [])
        self.assertEqual(self.seen("src/cli/a.c", 'int main(void) { printf("x"); exit(1); }\n'), [])
        self.assertEqual(self.seen("src/common/environment.c", 'x = getenv("A");\n'), [])
        self.assertEqual(self.seen("src/opencl/a.c", "#include <CL/cl.h>\n"), [])

    def test_words_in_comments_and_strings_pass(self):
        self.assertEqual(self.seen("src/ops/a.c", '/* getenv( abort( */ // printf(\n'
                                   'const char *a = "exit(1) \\" CL/cl.h";\n'), [])

    def test_upward_include(self):
        self.assertSeen("src/device/a.c", '#include "ops/op.h"\n', "device/ may not include ops/op.h")
        self.assertSeen("src/ops/a.c", '#include "opencl/opencl.h"\n', "ops/ may not include")
        self.assertSeen("src/ref/a.c", '#include "device/device.h"\n', "ref/ may not include")
        self.assertSeen("src/check/a.c", '#  include "session/session.h"\n', "check/ may not include")
        self.assertSeen("src/model/a.c", '#include <session/session.h>\n', "model/ may not include")
        self.assertSeen("src/cli/a.c", '#include "model/weights.h"\n', "cli/ may not include")

    def test_include_without_folder(self):
        self.assertSeen("src/ops/a.c", '#include "op.h"\n', "ops/ may not include op.h")

    def test_unknown_folder(self):
        self.assertSeen("src/kernels/a.c", "\n", "unknown place")
        self.assertSeen("src/a.c", "\n", "unknown place")

    def test_private_header_in_public_one(self):
        self.assertSeen("include/zeromean/a.h", '#include "common/log.h"\n', "a public header includes")
        self.assertSeen("include/zeromean/a.h", "#include <shaders/args.h>\n", "a public header includes")

    def test_opencl_header(self):
        self.assertSeen("src/ops/a.c", "#include <CL/cl.h>\n", "OpenCL header")
        self.assertSeen("src/device/a.c", "# include <CL/cl_ext.h>\n", "OpenCL header")

    def test_backend_named(self):
        self.assertSeen("src/ops/a.c", "x = &zm_backend_opencl;\n", "name of a backend")

    def test_environment(self):
        self.assertSeen("src/session/a.c", 'x = getenv("HOME");\n', "environment")
        self.assertSeen("src/cli/a.c", 'x = getenv ("HOME");\n', "environment")

    def test_output(self):
        self.assertSeen("src/ops/a.c", 'printf("x");\n', "output")
        self.assertSeen("src/ops/a.c", "x = stderr;\n", "output")

    def test_end_of_process(self):
        self.assertSeen("src/ops/a.c", "abort();\n", "end of the process")
        self.assertSeen("src/ops/a.c", "  exit (1);\n", "end of the process")
        self.assertSeen("src/ops/a.c", "assert(x);\n", "end of the process")

    def test_compiler_extension(self):
        self.assertSeen("src/ops/a.c", "int a __attribute__((aligned(16)));\n", "compiler extension")

    def test_spdx(self):
        for path in ("src/ops/a.c", "tests/a.py", "scripts/a", "shaders/cpu/a.cl"):
            with self.subTest(path=path):
                self.assertSeen(path, "\n", "no SPDX line", spdx="")

    def test_long_file(self):
        self.assertSeen("src/ops/a.c", "\n" * 600, "601 lines")


class Tree(unittest.TestCase):
    root = None

    def test_the_house_rules_hold(self):
        found = violations(self.root)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_there_was_something_to_look_at(self):
        self.assertGreater(sum(1 for _ in files(self.root)), 50)

    def test_every_folder_of_the_table_exists(self):
        for folder in MAY_INCLUDE:
            self.assertTrue((self.root / "src" / folder).is_dir(), folder)


if __name__ == "__main__":
    Tree.root = pathlib.Path(sys.argv.pop(1))
    tap.main()

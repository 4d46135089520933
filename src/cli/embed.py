#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn a text file into a C string.

usage: embed.py NAME IN OUT.c

A byte array, because ISO C promises only 4095 characters of string literal.
"""
import pathlib
import sys

name, source, out = sys.argv[1:]
data = pathlib.Path(source).read_bytes() + b"\0"
rows = [",".join(map(str, data[i : i + 24])) for i in range(0, len(data), 24)]
pathlib.Path(out).write_text(
    "/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by embed.py. */\n"
    f"extern const char {name}[];\nconst char {name}[] = {{\n" + ",\n".join(rows) + "};\n",
    encoding="ascii")

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn the kernel sources into one C file of byte arrays.

usage: embed.py SHADER_DIR OUT.c OUT.d

Byte arrays, because ISO C promises only 4095 characters of string literal. Lines of the form
#include "file" are replaced by the file (searched beside the kernel, then in SHADER_DIR), each file
once per kernel, so that a driver's compiler needs no include path.
"""
import hashlib
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def resolve(path, root, seen):
    seen.append(path)
    text = path.read_text(encoding="ascii")

    def substitute(match):
        for folder in (path.parent, root):
            file = folder / match[1]
            if file.exists():
                return "" if file in seen else resolve(file, root, seen)
        sys.exit(f"{path}: cannot find {match[1]}")

    return INCLUDE.sub(substitute, text)


def main():
    root, out, depfile = map(pathlib.Path, sys.argv[1:4])
    kernels = sorted(root.glob("*/*.cl"))
    depends, arrays, table, hashed = [], [], [], hashlib.sha256()
    for kernel in kernels:
        seen = []
        data = resolve(kernel, root, seen).encode("ascii")
        depends += seen
        hashed.update(data)
        name = f"source_{len(table)}"
        rows = [",".join(map(str, data[i : i + 24])) for i in range(0, len(data), 24)]
        arrays.append(f"static const unsigned char {name}[] = {{\n" + ",\n".join(rows) + "};\n")
        table.append(f'    {{"{kernel.relative_to(root)}", {name}, sizeof({name})}},\n')
    table = table or ["    {NULL, NULL, 0},\n"]
    out.write_text(
        "/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by embed.py. */\n"
        '#include "shaders/shaders.h"\n\n#include "shaders/hash.h"\n\n' + "\n".join(arrays)
        + "\nconst zm_shader zm_shaders[] = {\n" + "".join(table) + "};\n"
        + f"const size_t zm_shader_count = {len(kernels)};\n"
        + f'const char zm_shader_hash[65] = "{hashed.hexdigest()}";\n',
        encoding="ascii",
    )
    depfile.write_text(f"{out}: " + " ".join(map(str, dict.fromkeys(depends))) + "\n")


if __name__ == "__main__":
    main()

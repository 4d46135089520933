#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compile kernels of the gpu family ahead of time, and make one C file of the modules.

usage: spirv.py SHADER_DIR CLANG LLVM-SPIRV OUT.c OUT.d

Which ones, and with which options, is in spirv.list. The modules themselves stay beside OUT.c in
the folder spirv, for spirv-val.
"""
import array
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

import embed

# Optimising is the driver's business.
CLANG = ["-x", "cl", "-target", "spir64", "-O2", "-Xclang", "-disable-llvm-passes", "-emit-llvm",
         "-c"]
# With what OpenCL C needs for sub-groups, and without what not every device has that has those:
# generic pointers, and what builds on them.
OLDEST = ["-cl-std=CL1.2"]
SUB_GROUPS = ["-cl-std=CL3.0", "-Xclang", "-cl-ext=-__opencl_c_generic_address_space,"
              "-__opencl_c_pipes,-__opencl_c_device_enqueue"]


def read_list(path):
    lines = [line for line in path.read_text(encoding="ascii").splitlines() if line[0] != "#"]
    return [line.partition(" ")[::2] for line in lines]


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")


def compile_one(clang, llvm_spirv, source, options, module):
    """One module, as text of a C array of words: of bytes it takes the C compiler five times as
    long."""
    text = module.with_suffix(".cl")
    text.write_text(source, encoding="ascii")
    language = SUB_GROUPS if "-DSUB_GROUPS=1" in options else OLDEST
    run(clang, *CLANG, *language, *options.split(), text, "-o", module.with_suffix(".bc"))
    run(llvm_spirv, "--spirv-max-version=1.0", module.with_suffix(".bc"), "-o", module)
    data = module.read_bytes()
    for suffix in (".cl", ".bc"):
        module.with_suffix(suffix).unlink()
    words = array.array("I", data)
    return ",\n".join(",".join(map(hex, words[i:i + 8])) for i in range(0, len(words), 8))


def main():
    root, clang, llvm_spirv, out, depfile = map(pathlib.Path, sys.argv[1:6])
    folder = out.parent / "spirv"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    depends, jobs = [root / "spirv.list"], []
    entries = read_list(root / "spirv.list")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, (name, options) in enumerate(entries):
            seen = []
            source = embed.resolve(root / "gpu" / f"{name}.cl", root, seen)
            depends += seen
            jobs.append(pool.submit(compile_one, clang, llvm_spirv, source, options,
                                    folder / f"{i:03d}-{name}.spv"))
    with open(out, "w", encoding="ascii") as c:
        c.write("/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by spirv.py. */\n"
                '#include <stdint.h>\n\n#include "shaders/shaders.h"\n\n')
        for i, job in enumerate(jobs):
            c.write(f"static const uint32_t module_{i}[] = {{\n{job.result()}}};\n")
        c.write("\nconst zm_shader_module zm_shader_modules[] = {\n")
        for i, (name, options) in enumerate(entries):
            c.write(f'    {{"{name}", "{options}", (const unsigned char *)module_{i}, '
                    f"sizeof(module_{i})}},\n")
        c.write(f"}};\nconst size_t zm_shader_module_count = {len(entries)};\n")
    depfile.write_text(f"{out}: " + " ".join(map(str, dict.fromkeys(depends))) + "\n")


if __name__ == "__main__":
    main()

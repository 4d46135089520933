#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our matmul against OpenBLAS, as numpy brings it, in turns.

usage: bench/compare/openblas_ops.py [GLOB] [--rounds 15] [--device SPEC] [--json FILE]

Needs build/clbench; sets up the rest by scripts/bench-setup. Weights lie as [k][n] and as [n][k]
(transposed); the faster of the two counts.
"""
import fnmatch
import os

import peers

peers.enter_environment()
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS"):
    os.environ.pop(variable, None)  # before numpy loads it

import numpy as np  # noqa: E402


def matmul(shape):
    s, random = peers.sizes(shape), np.random.default_rng(0)
    x = random.standard_normal((s["m"], s["k"]), dtype=np.float32)
    w = random.standard_normal((s["k"], s["n"]), dtype=np.float32)
    turned = np.ascontiguousarray(w.T).T
    out = np.empty((s["m"], s["n"]), dtype=np.float32)
    return {"OpenBLAS": lambda: np.matmul(x, w, out=out),
            "transposed": lambda: np.matmul(x, turned, out=out)}


def cases(glob):
    if fnmatch.fnmatch("matmul", glob):
        for shape in peers.MATMULS + peers.THIN + ["m=1,n=8192,k=4096"]:
            yield peers.Case("matmul", shape, matmul(shape))


def version():
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas['version']} ({blas['name']}, numpy {np.__version__})"


if __name__ == "__main__":
    peers.main("OpenBLAS", version(), cases, __doc__.splitlines()[0])

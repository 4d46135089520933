# SPDX-License-Identifier: Apache-2.0
"""Results of clbench, made up."""


def row(shape, median, **fields):
    """A row that took so many seconds."""
    return {"op": "matmul", "shape": shape, "type": "f32", "weight_type": "f32", "kernel": "cpu",
            "status": "ok", "reason": "", "flops": 2e9, "bytes": 4e6,
            "seconds": {"median": median, "low": median * .99, "high": median * 1.01,
                        "least": median * .98, "spread": .01, "samples": 20, "batch": 3,
                        "dropped": 0, "noisy": False}, **fields}


def result(*rows, gflops=200):
    return {"schema": "clbench.result/1", "version": "0.1.0", "command": "op",
            "date": "2026-01-02T03:04:05Z",
            "device": {"spec": "opencl:0", "name": "<Device> & co", "platform": "P",
                       "driver": "1"},
            "host": {"processor": "\"Chip\"", "processors": 2},
            "peak": {"status": "ok", "reason": "", "gflops": gflops,
                     "fma": [{"width": 16, "chains": 12, "gflops": gflops, "spread": 0.01}],
                     "streams": [{"kind": kind, "bytes": 4 ** i, "gbps": 100 / i, "spread": .02}
                                 for i in range(7, 15) for kind in ("copy", "read")],
                     "launch_seconds": 2e-6, "wait_seconds": None},
            "rows": list(rows)}

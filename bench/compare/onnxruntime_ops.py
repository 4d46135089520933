#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our ops against onnxruntime's CPU provider, in turns.

usage: bench/compare/onnxruntime_ops.py [GLOB] [--rounds 15] [--device SPEC] [--json FILE]

Needs build/clbench; sets up the rest by scripts/bench-setup. Weights are constants of the graph, so
that onnxruntime packs them ahead of time; inputs and outputs are bound.
"""
import fnmatch

import peers

peers.enter_environment()

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from graphs import Graph, causal_mask  # noqa: E402
import quiet  # noqa: E402


def bound(model, inputs, optimise=True):
    """Callables: one runs a serialised model once, one gives its first output then."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = quiet.CORES
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    made = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = made.io_binding()
    for name, values in inputs.items():
        binding.bind_cpu_input(name, values)
    for output in made.get_outputs():
        binding.bind_output(output.name, "cpu")

    def run():
        made.run_with_iobinding(binding)
    run()
    return run, lambda: binding.copy_outputs_to_cpu()[0]


def session(graph, optimise=True):
    """A callable that runs the graph once."""
    return bound(graph.model(), graph.inputs, optimise)[0]


def variants(graphs, optimise=True):
    """Those of the graphs that this version has kernels for."""
    found, reasons = {}, []
    for name, graph in graphs.items():
        try:
            found[name] = session(graph, optimise)
        except Exception as error:  # whatever it may be: the next spelling may do
            reasons.append(f"{name}: {str(error).splitlines()[0][:100]}")
    if not found:
        raise SystemExit("\n".join(reasons))
    return found


def matmul(shape):
    s, graph = peers.sizes(shape), Graph()
    x = graph.input("x", s["m"], s["k"])
    graph.output("MatMul", [x, graph.constant("w", s["k"], s["n"])], s["m"], s["n"])
    return {"onnxruntime": session(graph)}


def norm(kind, rows, d):
    graph = Graph()
    x, g = graph.input("x", rows, d), graph.constant("g", d)
    operands = [x, g] + ([graph.constant("b", d)] if kind == "LayerNormalization" else [])
    graph.output(kind, operands, rows, d, axis=-1, epsilon=1e-5)
    return graph


def rms_norms(rows, d):
    return variants({kind: norm(kind, rows, d)
                     for kind in ("SimplifiedLayerNormalization", "RMSNormalization")})


def layer_norms(rows, d):
    return variants({"LayerNormalization": norm("LayerNormalization", rows, d)})


def norm_cases():
    for rows, d in ((2048, 1024), (512, 768)):
        shape = f"rows={rows},d={d}"
        yield peers.Case("rms_norm", shape, rms_norms(rows, d))
        yield peers.Case("layer_norm", shape + ",bias", layer_norms(rows, d))


def residual_norms(rows, d, fused):
    """x + residual and its norm; both come out."""
    graph = Graph(rank=3)
    x, r = graph.input("x", 1, rows, d), graph.input("r", 1, rows, d)
    g, b = graph.constant("g", d), graph.constant("b", d)
    if fused == "SkipSimplifiedLayerNormalization":
        graph.outputs(fused, [x, r, g], [(1, rows, d), None, None, (1, rows, d)], contrib=True,
                      epsilon=1e-5)
    else:
        total = graph.output("Add", [x, r], 1, rows, d)
        graph.output("LayerNormalization", [total, g, b], 1, rows, d, axis=-1, epsilon=1e-5)
    return graph


def unfused_residual_norm(rows, d):
    return variants({"Add + LayerNormalization": residual_norms(rows, d, None)}, optimise=False)


def fused_residual_norm(rows, d):
    name = "SkipSimplifiedLayerNormalization"
    return variants({name: residual_norms(rows, d, name)})


def residual_cases():
    for rows, d in ((2048, 1024), (512, 768)):
        shape = f"rows={rows},d={d},residual"
        yield peers.Case("rms_norm", shape, unfused_residual_norm(rows, d), note="unfused")
        yield peers.Case("rms_norm", shape, fused_residual_norm(rows, d), note="fused")


def attention_graphs(rows, heads, dim):
    width, every = heads * dim, {}
    graph = every["MultiHeadAttention"] = Graph(rank=3)
    q, k, v = (graph.input(name, 1, rows, width) for name in "qkv")
    graph.output("MultiHeadAttention", [q, k, v], 1, rows, width, contrib=True, num_heads=heads,
                 unidirectional=1)
    graph = every["Attention"] = Graph(opset=23)
    q, k, v = (graph.input(name, 1, heads, rows, dim) for name in "qkv")
    graph.output("Attention", [q, k, v], 1, heads, rows, dim, is_causal=1)
    graph = every["GroupQueryAttention"] = Graph(rank=3)
    q, k, v = (graph.input(name, 1, rows, width) for name in "qkv")
    empty = [graph.input(name, 1, heads, 0, dim) for name in ("pk", "pv")]
    lengths = [graph.integers("length", [rows - 1], (1, 1)), graph.integers("total", [rows], (1,))]
    graph.outputs("GroupQueryAttention", [q, k, v, *empty, *lengths],
                  [(1, rows, width), (1, heads, rows, dim), (1, heads, rows, dim)], contrib=True,
                  num_heads=heads, kv_num_heads=heads)
    if rows <= 1024:  # the scores of all heads in memory
        graph = every["MatMul + Softmax"] = Graph()
        q, v = (graph.input(name, 1, heads, rows, dim) for name in "qv")
        k = graph.input("k", 1, heads, dim, rows)
        scores = graph.node("Mul", [graph.node("MatMul", [q, k]), graph.value(dim ** -0.5)])
        masked = graph.node("Add", [scores, graph.value(causal_mask(rows))])
        graph.output("MatMul", [graph.node("Softmax", [masked], axis=-1), v], 1, heads, rows, dim)
    return every


def attention(rows, heads, dim):
    return variants(attention_graphs(rows, heads, dim))


def attention_cases():
    for rows in (128, 1024, 4096):
        yield peers.Case("attention", f"rows={rows},causal", attention(rows, 12, 64))


def cases(glob):
    if fnmatch.fnmatch("matmul", glob):
        for shape in peers.MATMULS + peers.THIN:
            yield peers.Case("matmul", shape, matmul(shape))
    norms = [case for make in (norm_cases, residual_cases) for case in make()
             ] if any(fnmatch.fnmatch(op, glob) for op in ("rms_norm", "layer_norm")) else []
    yield from (case for case in norms if fnmatch.fnmatch(case.op, glob))
    if fnmatch.fnmatch("attention", glob):
        yield from attention_cases()


if __name__ == "__main__":
    np.seterr(all="ignore")
    peers.main("onnxruntime", onnxruntime.__version__, cases, __doc__.splitlines()[0])

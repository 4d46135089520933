#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The speed table: our ops against onnxruntime, OpenBLAS, OpenVINO and the ceilings, as Markdown.

usage: bench/compare/table.py [GLOB] [--rounds 15] [--device SPEC] [--brief] [--json FILE]

GLOB picks lines by their work ("sgemm*", "*4096*"). Needs build/clbench; sets up the rest by
scripts/bench-setup. All engines of a line take turns in one run; then clbench times the same row in
turns with the kernels that show its ceiling. Takes about ten minutes; the machine should be idle.
"""
import argparse
import fnmatch
import json
import pathlib
import subprocess
import sys

import peers

peers.enter_environment()

import openblas_ops  # noqa: E402  before anything else that loads numpy
import onnxruntime_ops  # noqa: E402
import openvino_ops  # noqa: E402
import quiet  # noqa: E402

ENGINES = {"onnxruntime": onnxruntime_ops.onnxruntime.__version__,
           "OpenBLAS": openblas_ops.version(),
           "OpenVINO": openvino_ops.openvino.__version__.split("-")[0]}
COLUMNS = [*ENGINES, "our own", "ceiling"]
LARGE = {"m=512,n=3072,k=768", "m=1500,n=2048,k=512", "m=2048,n=1024,k=1024"}
DRAM_BOUND = "m=1,n=24576,k=8192"  # 768 MiB in F32: no cache holds it, not even half of it
HOPELESS = 1.5  # spellings that take so much longer than the best one are not timed further


class Line:
    """One line of the table. theirs: column -> {spelling: callable}; own: name -> what clbench is
    asked for besides (op, shape, weight type); least: column -> the ratio that is asked for, or for
    "ceiling" the percent; "peers" asks it of the best of all engines."""

    def __init__(self, work, op, shape, theirs, least, own=None, weight_type="f32", bound=None):
        self.work, self.op, self.shape, self.weight_type = work, op, shape, weight_type
        self.theirs, self.least, self.own, self.bound = theirs, least, own or {}, bound


def matmul_line(work, shape, least):
    # A line's engines are made when its turn comes: a callable without arguments makes them.
    s = peers.sizes(shape)
    own = {"F16 weights": ("matmul", shape, "f16")}
    return Line(f"{work} {s['m']}x{s['k']}x{s['n']}", "matmul", shape,
                lambda: {"onnxruntime": onnxruntime_ops.matmul(shape),
                         "OpenBLAS": openblas_ops.matmul(shape),
                         "OpenVINO": openvino_ops.matmul(shape)},
                {"F16 weights": 0.95, **least}, own, bound="fma")


def matmul_lines():
    for shape in peers.MATMULS:
        least = {"onnxruntime": 1.0, "OpenBLAS": 1.1}
        yield matmul_line("sgemm", shape, {**least, "ceiling": 95} if shape in LARGE else least)
    for shape in peers.THIN:
        yield matmul_line("thin sgemm", shape, {"OpenBLAS": 1.0})
    s = peers.sizes(DRAM_BOUND)
    yield Line(f"matvec from DRAM 1x{s['k']}x{s['n']}", "matmul", DRAM_BOUND, dict,
               {"F16 weights": 1.7}, {"F16 weights": ("matmul", DRAM_BOUND, "f16")})


def norm_lines():
    rows, d = 2048, 1024
    shape = f"rows={rows},d={d}"
    size = f"{rows}x{d}"
    yield Line(f"rms_norm {size}", "rms_norm", shape,
               lambda: {"onnxruntime": onnxruntime_ops.rms_norms(rows, d),
                        "OpenVINO": openvino_ops.rms_norm(shape)},
               {"onnxruntime": 1.2, "ceiling": 85}, bound="bandwidth")
    yield Line(f"residual + rms_norm {size}, to Add + LayerNormalization", "rms_norm",
               shape + ",residual",
               lambda: {"onnxruntime": onnxruntime_ops.unfused_residual_norm(rows, d)},
               {"onnxruntime": 3.0})
    yield Line(f"residual + rms_norm {size}, to one fused op", "rms_norm", shape + ",residual",
               lambda: {"onnxruntime": onnxruntime_ops.fused_residual_norm(rows, d)}, {})
    yield Line(f"layer_norm {size}", "layer_norm", shape + ",bias",
               lambda: {"onnxruntime": onnxruntime_ops.layer_norms(rows, d),
                        "OpenVINO": openvino_ops.layer_norm(shape)},
               {"rms_norm": 1 / 1.25}, {"rms_norm": ("rms_norm", shape, "f32")})


def attention_lines():
    for rows in (128, 1024, 4096):
        yield Line(f"causal attention 12x64, {rows} tokens", "attention", f"rows={rows},causal",
                   lambda rows=rows: {
                       "onnxruntime": onnxruntime_ops.attention(rows, 12, 64),
                       "OpenVINO": openvino_ops.attention(rows, 12, 64)},
                   {"onnxruntime": 1.0, "OpenVINO": 1.0})


def lines(glob):
    every = [*matmul_lines(), *norm_lines(), *attention_lines()]
    return [line for line in every if fnmatch.fnmatch(line.work, glob)]


def hopeful(spellings):
    """Those that may turn out to be the fastest one."""
    if len(spellings) == 1:
        return spellings
    seconds = {name: min(peers.block(call) for _ in range(2)) for name, call in spellings.items()}
    best = min(seconds.values())
    return {name: spellings[name] for name in spellings if seconds[name] < HOPELESS * best}


class Result:
    """What came of a comparison. least None: it was only asked how it is."""

    def __init__(self, column, against, seconds, value, low, high, least):
        self.column, self.against, self.seconds = column, against, seconds
        self.value, self.low, self.high, self.least = value, low, high, least

    def verdict(self):
        if self.least is None:
            return None
        if self.value >= self.least:
            return "met"
        return "within noise" if self.high >= self.least else "missed"


def race(line, options):
    """([Result], seconds of ours, note, device); the results are None if clbench can't."""
    asked = {"zeromean": (line.op, line.shape, line.weight_type), **line.own}
    ours = {name: peers.Clbench(*what, device=options.device) for name, what in asked.items()}
    bad = [c.row["reason"] for c in ours.values() if c.row["status"] != "ok"]
    engines, spellings = {name: c.run for name, c in ours.items()}, {}
    if not bad:
        for column, made in line.theirs().items():
            spellings[column] = {f"{column}: {name}": call for name, call in hopeful(made).items()}
            engines.update((name, lambda call=call: peers.block(call))
                           for name, call in spellings[column].items())
        run = peers.Race(engines, options.rounds, [c.process.pid for c in ours.values()])
    for c in ours.values():
        c.close()
    if bad:
        return None, None, bad[0], None
    results = []
    for column, names in [*spellings.items(), *(("our own", [name]) for name in line.own)]:
        best = min(names, key=run.median)
        against = best.removeprefix(f"{column}: ")
        # of our own, the other one is what is asked about if it is the same op in another type
        inverse = column == "our own" and against != "rms_norm"
        ratio = run.ratio("zeromean", best) if inverse else run.ratio(best, "zeromean")
        results.append(Result(column, against, run.median(best), *ratio,
                              line.least.get(against if column == "our own" else column)))
    return results, run.median("zeromean"), run.note, ours["zeromean"].device


def ceiling(line, options):
    """Result, note: percent of what the device can do."""
    command = [peers.PROGRAM, "op", line.op, "--shape", line.shape, "--json"]
    command += ["--device", options.device] if options.device else []
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    row = json.loads(done.stdout)["rows"][0] if done.stdout else {}
    bound = row.get("ceiling")
    if not bound:
        return None, "no ceiling"
    seconds = row["seconds"]
    percent = bound["percent"]
    least = line.least.get("ceiling")
    if least is not None and bound["kind"] != line.bound:
        return None, f"the ceiling is of {bound['kind']}"
    # the interval of the time stands for that of the percent
    low, high = (percent * seconds["median"] / seconds[key] for key in ("high", "low"))
    return Result("ceiling", bound["kind"], bound["seconds"], percent, low, high, least), \
        "ceiling NOISY" if seconds["noisy"] else ""


def cell(results, column, brief):
    result = next((r for r in results if r.column == column), None)
    if result is None:
        return ""
    if column == "ceiling":
        return f"{result.value:.0f} % of {result.against}"
    what = f"{result.against}: " if column == "our own" else ""
    if brief:
        return f"{what}{result.value:.2f}x"
    return (f"{what}{result.seconds * 1e3:.3f} ms, {result.value:.2f}x "
            f"[{result.low:.2f}, {result.high:.2f}]")


def verdict(results, least):
    """In words: which of the things asked for were not reached, or not measured."""
    asked = [r for r in results if r.least is not None]
    known = {r.against if r.column == "our own" else r.column for r in asked}
    short = [f"{name} not measured" for name in least if name not in known]
    for r in asked:
        if r.verdict() != "met":
            name = r.against if r.column == "our own" else r.column
            unit = (" %", 0) if r.column == "ceiling" else ("x", 2)
            short.append(f"{name} {r.value:.{unit[1]}f} of {r.least:g}{unit[0]}"
                         + (" (within noise)" if r.verdict() == "within noise" else ""))
    return "; ".join(short) or ("met" if asked else "")


def print_head():
    print("| work | zeromean | " + " | ".join(COLUMNS) + " | asked for |")
    print("|---|" + "---|" * (len(COLUMNS) + 2), flush=True)


def time_line(line, options):
    """Prints it; returns it as data."""
    results, seconds, note, device = race(line, options)
    if results is None:
        print(f"| {line.work} | not timed: {note} |" + " |" * (len(COLUMNS) + 1), flush=True)
        return {"work": line.work, "reason": note}
    reached, of_ceiling = ceiling(line, options)
    results += [reached] if reached else []
    note = "; ".join(text for text in (note, of_ceiling) if text)
    noisy = " **noisy**" if "NOISY" in note else ""
    short = verdict(results, line.least)
    print(f"| {line.work} | {seconds * 1e3:.3f} ms{noisy} | "
          + " | ".join(cell(results, column, options.brief) for column in COLUMNS)
          + f" | {short}{', but noisy' if noisy and short else ''} |",
          flush=True)
    print(f"{line.work}: {note}", file=sys.stderr, flush=True)
    return {"work": line.work, "op": line.op, "shape": line.shape, "seconds": seconds, "note": note,
            "device": device, "results": [{**vars(r), "verdict": r.verdict()} for r in results]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", nargs="?", default="*", metavar="GLOB", help="only these lines")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", help="of clbench")
    parser.add_argument("--brief", action="store_true", help="ratios without times and intervals")
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    options = parser.parse_args()
    chosen = lines(options.work)
    if not chosen:
        sys.exit(f"no line of the table is called {options.work}")
    if not peers.PROGRAM.exists():
        sys.exit(f"{peers.PROGRAM} is not there; build it first")
    print(f"{peers.processor()}, {quiet.CORES} threads each; "
          + ", ".join(f"{name} {version}" for name, version in ENGINES.items()) + ".")
    print("Times are medians of calls, ratios medians over rounds with their 95 % interval; above 1 "
          "zeromean is faster, or F16 weights faster than F32.\n")
    print_head()
    rows = [time_line(line, options) for line in chosen]
    if options.json:
        pathlib.Path(options.json).write_text(
            json.dumps({"processor": peers.processor(), "engines": ENGINES, "lines": rows}, indent=1)
            + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

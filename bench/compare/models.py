#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole models: the forms of `clbench model` against onnxruntime and OpenVINO, as Markdown.

usage: bench/compare/models.py [GLOB] [--rounds 11] [--all] [--device SPEC] [--brief] [--json FILE]

GLOB picks lines by their work ("gpt2*", "host*"). Needs build/clbench; sets up the rest by
scripts/bench-setup. Float32, the same weights for all; an engine whose output differs is a failure.
All engines and forms of a line take turns in one run. --all asks the other engines also where
nothing is asked for of them. Takes about five minutes; the machine should be idle.
"""
import argparse
import fnmatch
import json
import pathlib
import statistics
import sys

import peers

peers.enter_environment()

import numpy as np  # noqa: E402
import networks  # noqa: E402
import onnxruntime_ops  # noqa: E402
import openvino_ops  # noqa: E402
import quiet  # noqa: E402

ENGINES = {"onnxruntime": onnxruntime_ops.onnxruntime.__version__,
           "OpenVINO": openvino_ops.openvino.__version__.split("-")[0]}
BIND = {"onnxruntime": onnxruntime_ops.bound, "OpenVINO": openvino_ops.read}
LN, RMS = ("ln", "ln-fused", "ln-deferred"), ("rms", "rms-fused", "rms-deferred")
FUSED, DEFERRED = "ln-fused", "rms-deferred"
TOLERANCE = 1e-4  # relative L2 error, as clbench has it between forms
CLOSE = 1.2       # spellings that take so much longer than the best one are not timed further
TINY = "d=64,heads=1,ff=64,tokens=1,layers=12"  # next to no work: the host is what takes time
COLUMNS = [*ENGINES, "Pre-RMS to Pre-LN", "other"]


def duration(seconds):
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.2f} us"


class Figure:
    """One figure. asked: at least so much, or at most; None: it was only asked how it is."""

    def __init__(self, column, name, value, low, high, unit="x", asked=None, at_most=False):
        self.column, self.name, self.value, self.low, self.high = column, name, value, low, high
        self.unit, self.asked, self.at_most = unit, asked, at_most

    def verdict(self):
        if self.asked is None:
            return None
        sign = -1 if self.at_most else 1
        if sign * self.value >= sign * self.asked:
            return "met"
        best = self.low if self.at_most else self.high
        return "within noise" if sign * best >= sign * self.asked else "missed"

    def cell(self, brief):
        span = "" if brief else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.name + ': ' if self.name else ''}{self.value:.2f}{self.unit}{span}"


class Models(peers.Served):
    """A network in several forms."""

    def __init__(self, shape, forms, options, decode=False):
        super().__init__("model", "--shape", shape, "--norm", ",".join(forms),
                         *(["--decode"] if decode else []), device=options.device)
        self.rows = {row["form"]: row for row in self.head["rows"]}
        self.forms, self.index = forms, {form: i for i, form in enumerate(self.rows)}
        self.sizes = self.head["sizes"]
        bad = [f"{form}: {self.rows[form]['reason']}" for form in forms
               if self.rows[form]["status"] != "ok"]
        if bad:
            self.close()
            sys.exit("; ".join(bad))

    def ask_form(self, form, word=""):
        return self.ask(self.index[form], word)

    def seconds(self, form):
        return self.ask_form(form)["seconds"]

    def ops_seconds(self, form, is_counted):
        """By the device's clock, of one run."""
        ops = self.ask_form(form, "ops")["ops"]
        return sum(op["seconds"] for name, op in ops.items() if is_counted(name))

    def host_seconds(self, form):
        """Of the host, for each operation of a run."""
        answer = self.ask_form(form, "host")
        return answer["seconds"] / answer["operations"]


class Line:
    """One line of the table. ask(line, options) -> (seconds of ours and in which form, [Figure],
    note, device)."""

    def __init__(self, work, ask, shape, **how):
        self.work, self.ask, self.shape, self.how = work, ask, shape, how


# ---- other engines ----

def check(name, output, wanted):
    got = output.astype(np.float64).reshape(wanted.shape)
    got = got - got.mean(-1, keepdims=True)
    error = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    if not error <= TOLERANCE:
        sys.exit(f"{name} computes something else: relative L2 error {error:.2g}")
    return error


def spellings(ours):
    """{engine: {spelling: callable}}, the fastest ones only; all have been checked."""
    wanted = np.array(ours.ask_form(ours.forms[0], "output")["values"])
    wanted = wanted.reshape(-1, ours.sizes["d"])
    made = {engine: {} for engine in BIND}
    for spelling in networks.SPELLINGS:
        network = networks.Network(ours.sizes, spelling)
        model = network.model()
        for engine, bind in BIND.items():
            try:
                run, read = bind(model, network.inputs)
            except Exception as error:  # whatever it may be: the next spelling may do
                print(f"{engine}: {spelling}: {str(error).splitlines()[0][:200]}", file=sys.stderr)
                continue
            error = check(f"{engine}: {spelling}", read(), wanted)
            quiet.settle()
            seconds = min(peers.block(run) for _ in range(2))
            made[engine][spelling] = seconds, run
            print(f"{engine}: {spelling}: {duration(seconds)}, relative L2 error {error:.1e}",
                  file=sys.stderr, flush=True)
    for engine, runs in made.items():
        if not runs:
            sys.exit(f"{engine} takes no spelling")
        best = min(seconds for seconds, _ in runs.values())
        made[engine] = {name: run for name, (seconds, run) in runs.items()
                        if seconds < CLOSE * best}
    return made


# ---- lines ----

def best_of(run, names):
    return min(names, key=run.median)


def ask_model(line, options, decode=False, asked=None, rounds=60):
    """Our best form against all engines, and against our best Pre-LN."""
    forms, asked = (*LN, *RMS), asked or {}
    ours = Models(line.shape, forms, options, decode)
    theirs = spellings(ours) if asked or options.all else {}
    engines = {form: lambda form=form: ours.seconds(form) for form in forms}
    if decode:
        engines["read"] = lambda: ours.seconds("read")
    for engine, runs in theirs.items():
        engines.update((f"{engine}: {name}", lambda call=call: peers.block(call))
                       for name, call in runs.items())
    run = peers.Race(engines, min(rounds, options.rounds), [ours.process.pid])
    ours.close()
    best = best_of(run, forms)
    figures = []
    for engine, runs in theirs.items():
        name = best_of(run, [f"{engine}: {spelling}" for spelling in runs])
        figures.append(Figure(engine, duration(run.median(name)),
                              *run.ratio(name, best), asked=asked.get(engine)))
        print(f"{line.work}: {name}", file=sys.stderr)
    ln, rms = best_of(run, LN), best_of(run, RMS)
    figures.append(Figure("Pre-RMS to Pre-LN", f"{rms} to {ln}", *run.ratio(ln, rms)))
    if decode:
        scale = 100 * ours.rows[best]["bytes"] / ours.rows["read"]["bytes"]
        rate = [scale * x for x in run.ratio("read", best)]
        figures.append(Figure("other", "of DRAM read", *rate, unit=" %", asked=asked.get("read")))
    return run.median(best), best, figures, run.note, ours.device


def is_norm(op):
    return "norm" in op or op in ("row_statistics", "add", "recentre")


def ask_norms(line, options):
    """Time in norm and residual by the device's clock; a deferred norm is also in the products."""
    forms = (FUSED, DEFERRED, "none")
    ours = Models(line.shape, forms, options)
    kinds = {"norms": is_norm, "products": lambda op: op == "matmul"}
    engines = {f"{kind} {form}": lambda form=form, is_kind=is_kind: ours.ops_seconds(form, is_kind)
               for kind, is_kind in kinds.items() for form in forms}
    run = peers.Race(engines, options.rounds, [ours.process.pid])
    ours.close()
    norms = f"norms {DEFERRED}", f"norms {FUSED}"
    more = [np.array(run.times[f"norms {form}"]) + run.times[f"products {form}"]
            - run.times["products none"] for form in (DEFERRED, FUSED)]
    shares = list(more[0] / more[1])
    figures = [Figure("other", f"of {FUSED}", *(100 * x for x in run.ratio(*norms)), unit=" %",
                      asked=20, at_most=True),
               Figure("other", "with what products take longer than without norms",
                      *(100 * x for x in (statistics.median(shares), *peers.interval(shares))),
                      unit=" %")]
    return run.median(norms[0]), DEFERRED, figures, run.note, ours.device


def ask_host(line, options):
    forms = ("ln", DEFERRED)
    ours = Models(line.shape, forms, options)
    run = peers.Race({form: lambda form=form: ours.host_seconds(form) for form in forms},
                     options.rounds, [ours.process.pid])
    ours.close()
    worst = max(forms, key=run.median)
    figures = [Figure("other", "per operation",
                      *(1e6 * x for x in (run.median(worst), *peers.interval(run.times[worst]))),
                      unit=" us", asked=3, at_most=True)]
    return run.median(worst), worst, figures, run.note, ours.device


LINES = [
    Line("GPT-2 small, 128 tokens", ask_model, "gpt2-small",
         asked={"onnxruntime": 1.1, "OpenVINO": 1.05}),
    Line("GPT-2 small, one token, 128 in the cache", ask_model, "gpt2-small,tokens=129",
         decode=True, asked={"read": 85}),
    Line("ViT-B/16, batch 1", ask_model, "vit-b"),
    Line("GPT-3 small, 512 tokens", ask_model, "gpt3-small", rounds=7),
    Line("norm + residual of GPT-2 small, 128 tokens", ask_norms, "gpt2-small"),
    Line("host, for each operation", ask_host, TINY),
]


# ---- printing ----

def cell(figures, column, brief):
    return "; ".join(f.cell(brief) for f in figures if f.column == column)


def verdict(figures):
    """In words: which of the things asked for were not reached."""
    asked = [f for f in figures if f.asked is not None]
    short = [f"{f.column if f.column in ENGINES else f.name} {f.value:.2f} of "
             f"{'at most ' if f.at_most else ''}{f.asked:g}{f.unit}"
             + (" (within noise)" if f.verdict() == "within noise" else "")
             for f in asked if f.verdict() != "met"]
    return "; ".join(short) or ("met" if asked else "")


def print_head():
    print(f"{peers.processor()}, {quiet.CORES} threads each, float32; "
          + ", ".join(f"{name} {version}" for name, version in ENGINES.items()) + ".")
    print("Times are medians of runs, ratios medians over rounds"
          " with their 95 % interval; above 1 zeromean is faster, or Pre-RMS faster than Pre-LN.\n")
    print("| work | zeromean | " + " | ".join(COLUMNS) + " | asked for |")
    print("|---|" + "---|" * (len(COLUMNS) + 2), flush=True)


def time_line(line, options):
    """Prints it; returns it as data."""
    seconds, form, figures, note, device = line.ask(line, options, **line.how)
    noisy = "NOISY" in note
    print(f"| {line.work} | {form}: {duration(seconds)}{' **noisy**' if noisy else ''} | "
          + " | ".join(cell(figures, column, options.brief) for column in COLUMNS)
          + f" | {verdict(figures)}{', but noisy' if noisy and verdict(figures) else ''} |",
          flush=True)
    print(f"{line.work}: {note}", file=sys.stderr, flush=True)
    return {"work": line.work, "shape": line.shape, "form": form, "seconds": seconds, "note": note,
            "device": device, "figures": [{**vars(f), "verdict": f.verdict()} for f in figures]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", nargs="?", default="*", metavar="GLOB", help="only these lines")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--all", action="store_true", help="other engines on every model")
    parser.add_argument("--device", help="of clbench")
    parser.add_argument("--brief", action="store_true", help="ratios without their intervals")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()
    chosen = [line for line in LINES if fnmatch.fnmatch(line.work.lower(), options.work.lower())]
    if not chosen:
        sys.exit(f"no line of the table is called {options.work}")
    if not peers.PROGRAM.exists():
        sys.exit(f"{peers.PROGRAM} is not there; build it first")
    print_head()
    rows = [time_line(line, options) for line in chosen]
    if options.json:
        pathlib.Path(options.json).write_text(
            json.dumps({"processor": peers.processor(), "engines": ENGINES, "lines": rows},
                       indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

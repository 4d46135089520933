#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Zeromean and llama.cpp on SmolLM2-135M, in the same run.

usage: bench/compare/llama.py [--rounds 9] [--types Q4_1,Q8_0,F16] [--device SPEC] [--json FILE]

Sets up all that it needs by scripts/bench-setup. The model is the file as it was fetched (Q4_1,
embedding Q8_0) and that file with its matrices requantised to Q8_0 and F16. Each engine is a
process that stays, with warm caches; both take turns, row by row. A round during which other
processes took more than 5 % of the processors is dropped.

pp128, pp512  a prompt of so many tokens at once, from an empty cache to the logits of the last one
tg64          64 tokens one by one, from an empty cache on

llama.cpp has a thread per processor, and flash attention or not, whichever was faster in a trial.
Load is the time of a process of zeromean from its start to the first token of a prompt of five;
memory the most that it had, against weights as stored + keys and values + 250 MB.
"""
import argparse
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import peers
import quiet

ROOT = peers.ROOT
MODELS = pathlib.Path(os.environ.get("ZEROMEAN_MODELS_DIR", ROOT / "models"))
FETCHED = MODELS / "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CACHED = ROOT / "build/bench-models"
PROMPT = "The capital of France is"
ROWS = {"pp128": 128, "pp512": 512, "tg64": 64}
ASKED = {("Q4_1", "pp128"): 1.7, ("Q4_1", "pp512"): 1.8, ("Q4_1", "tg64"): 1.3,
         ("Q8_0", "pp512"): 1.0, ("Q8_0", "tg64"): 1.0, ("F16", "pp512"): 1.2, ("F16", "tg64"): 1.0}
LOAD_SECONDS = 0.3
CACHE_BYTES = 30 * 3 * 64 * 2 * 4  # of a token: layers, heads, head, keys and values, float32
MEMORY_BYTES = 250e6


class Llama:
    """llama.cpp as it is called from C."""

    def __init__(self, path, flash):
        import llama_cpp as cpp
        self.cpp = cpp
        model_params = cpp.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self.model = cpp.llama_model_load_from_file(str(path).encode(), model_params)
        params = cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = 512
        params.n_threads = params.n_threads_batch = quiet.CORES
        params.flash_attn_type = int(flash)
        self.context = cpp.llama_init_from_model(self.model, params)
        if not self.context:
            sys.exit(f"llama.cpp can't open {path}")
        self.vocabulary = cpp.llama_vocab_n_tokens(cpp.llama_model_get_vocab(self.model))

    def decode(self, tokens):
        array = (self.cpp.llama_token * len(tokens))(*tokens)
        if self.cpp.llama_decode(self.context, self.cpp.llama_batch_get_one(array, len(tokens))):
            sys.exit("llama.cpp can't decode")
        self.cpp.llama_synchronize(self.context)

    def run(self, row):
        self.cpp.llama_memory_clear(self.cpp.llama_get_memory(self.context), True)
        tokens = [i * 2654435761 % self.vocabulary for i in range(ROWS[row])]
        for part in [tokens] if row.startswith("pp") else [[token] for token in tokens]:
            self.decode(part)

    def time(self, row):
        """Seconds of a call, the second of two: the first one wakes threads and caches."""
        self.run(row)
        start = time.perf_counter()
        self.run(row)
        return time.perf_counter() - start

    def close(self):
        self.cpp.llama_free(self.context)
        self.cpp.llama_model_free(self.model)


def silence():
    import llama_cpp as cpp
    callback = cpp.llama_log_callback(lambda level, text, user: None)
    cpp.llama_log_set(callback, ctypes.c_void_p(0))
    return callback


def file_of(name):
    if name == "Q4_1":
        return FETCHED
    path = CACHED / f"SmolLM2-135M-Instruct.{name}.gguf"
    if not path.exists():
        import gguf_types
        CACHED.mkdir(parents=True, exist_ok=True)
        gguf_types.requantise(FETCHED, path, name)
    return path


def rates(name, path, options):
    """A row of the table for each of ROWS."""
    ours = peers.Served("text", path, device=options.device)
    theirs = {f"llama.cpp{', flash attention' if flash else ''}": Llama(path, flash)
              for flash in (False, True)}
    rows = []
    for index, row in enumerate(ROWS):
        probes = {key: min(it.time(row) for _ in range(2)) for key, it in theirs.items()}
        best = min(probes, key=probes.get)
        race = peers.Race({"zeromean": lambda: ours.ask(index)["seconds"],
                           best: lambda: theirs[best].time(row)}, options.rounds,
                          [ours.process.pid])
        ratio, low, high = race.ratio(best, "zeromean")
        asked = ASKED.get((name, row))
        rows.append({"type": name, "row": row, "peer": best, "asked": asked, "ratio": ratio,
                     "low": low, "high": high, "note": race.note,
                     "zeromean": ROWS[row] / race.median("zeromean"),
                     "llama.cpp": ROWS[row] / race.median(best)})
        one = rows[-1]
        print(f"| {name} | {row} | {one['zeromean']:.0f} | {one['llama.cpp']:.0f} | {ratio:.2f}x "
              f"[{low:.2f}, {high:.2f}] | {f'{asked}x' if asked else ''} | "
              f"{verdict(ratio, asked)} | {race.note} |", flush=True)
    for it in theirs.values():
        it.close()
    ours.close()
    return rows


def verdict(ratio, asked):
    if asked is None:
        return ""
    return "met" if ratio >= asked else f"missed by {asked / ratio - 1:.0%}"


def first_token(path, options):
    """(seconds from the start of the program to its end behind one token, its peak memory). The
    first run, which may compile kernels, doesn't count."""
    command = [ROOT / "build/zeromean", "generate", path, "-p", PROMPT, "-n", "1", "--json"] + (
        ["--device", options.device] if options.device else [])
    seconds, peaks = [], []
    for _ in range(options.rounds + 1):
        quiet.wait(2)
        start = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=True)
        seconds.append(time.perf_counter() - start)
        peaks.append(json.loads(done.stdout)["peak_rss_bytes"])
    return seconds[1:], max(peaks[1:])


def report_load(name, path, options):
    seconds, peak = first_token(path, options)
    low, high = peers.interval(seconds)
    bound = path.stat().st_size + CACHE_BYTES * 6 + MEMORY_BYTES
    median = statistics.median(seconds)
    print(f"| {name} | {median:.2f} s [{low:.2f}, {high:.2f}] | {LOAD_SECONDS} s | "
          f"{verdict(LOAD_SECONDS / median, 1)} | {peak / 1e6:.0f} MB | {bound / 1e6:.0f} MB | "
          f"{verdict(bound / peak, 1)} |", flush=True)
    return {"type": name, "load_seconds": median, "low": low, "high": high, "peak_bytes": peak,
            "bound_bytes": bound}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--types", default="Q4_1,Q8_0,F16", help="with commas")
    parser.add_argument("--device", help="of Zeromean")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    if sys.prefix == sys.base_prefix:  # go on inside the virtual environment
        if subprocess.run([ROOT / "scripts/bench-setup", "smollm2"], check=False).returncode:
            sys.exit(1)  # it has said why
        os.execv(peers.VENV, [peers.VENV, *sys.argv])

    import llama_cpp
    keep = silence()  # must live as long as llama.cpp
    files = {name: file_of(name) for name in options.types.split(",")}
    print(f"zeromean against llama.cpp (llama-cpp-python {llama_cpp.__version__}), {quiet.CORES} "
          f"threads each, on {peers.processor()}, SmolLM2-135M\n\n"
          "| weights | row | zeromean, tok/s | llama.cpp, tok/s | ratio | asked for | | rounds |\n"
          "|---|---|---|---|---|---|---|---|", flush=True)
    results = [row for name, path in files.items() for row in rates(name, path, options)]
    print("\n| weights | load to first token | asked for | | peak memory | at most | |\n"
          "|---|---|---|---|---|---|---|", flush=True)
    results += [report_load(name, path, options) for name, path in files.items()]
    del keep
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n",
                                              encoding="utf-8")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Timing another engine and clbench in turns, block by block, in one run.

A comparison is a list of Case: what clbench is asked for, and for the other engine one or more
callables that do the same work (the fastest of them counts: how it is spelt should not decide).
Each round every one of them works for a tenth of a second, after a call that isn't timed, and when
the threads of the one before have gone to sleep; rounds during which other processes took more than
5 % of the processors are dropped.
"""
import argparse
import atexit
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

import quiet

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VENV = ROOT / "build/bench-venv/bin/python"
PROGRAM = ROOT / "build/clbench"
BLOCK = 0.1      # seconds of one engine in a round
PATIENCE = 3     # times the rounds asked for, until noise is put up with

# op, shape: the speed table of the README.
MATMULS = ["m=512,n=3072,k=768", "m=128,n=1536,k=576", "m=1500,n=2048,k=512",
           "m=2048,n=1024,k=1024", "m=128,n=768,k=768"]
THIN = [f"m={m},n=3072,k=768" for m in (1, 2, 3, 5, 8, 17, 197)]


def sizes(shape):
    """{"m": 512, ...}; flags are 1."""
    return {key: int(value or 1) for key, _, value in
            (item.partition("=") for item in shape.split(","))}


class Case:
    def __init__(self, op, shape, theirs, weight_type="f32", note=""):
        self.op, self.shape, self.theirs = op, shape, theirs  # theirs: {name: callable}
        self.weight_type, self.note = weight_type, note


class Served:
    """A clbench that waits to be asked (--serve)."""

    def __init__(self, *arguments, device=None):
        command = [PROGRAM, *arguments, "--serve"] + (["--device", device] if device else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        atexit.register(self.close)
        self.head = json.loads(self.process.stdout.readline() or "{}")
        if not self.head.get("rows"):
            sys.exit(f"{PROGRAM} can't be asked for {' '.join(arguments)}")
        self.device = self.head["device"]["name"]

    def ask(self, index, word=""):
        print(index, BLOCK, word, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{' '.join(map(str, self.process.args))} can't tell {word or 'the time'} of "
                     f"row {index}")
        return json.loads(answer)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()


class Clbench(Served):
    """One process for one row."""

    def __init__(self, op, shape, weight_type="f32", device=None):
        super().__init__("op", op, "--shape", shape, "--weight-type", weight_type, device=device)
        self.row = self.head["rows"][0]

    def run(self):
        """Seconds of a call."""
        return self.ask(0)["seconds"]


def block(call):
    """Seconds of one call, over calls that fill a block. The first one wakes threads and caches."""
    call()
    start = time.perf_counter()
    count = 0
    while count == 0 or time.perf_counter() - start < BLOCK:
        call()
        count += 1
    return (time.perf_counter() - start) / count


def interval(values):
    """The ranks that hold the median with 95 % confidence; all of them when there are few."""
    values, n = sorted(values), len(values)
    rank, tail = 0, 0.0
    while rank < n // 2:
        tail += math.comb(n, rank) / 2 ** n
        if tail > 0.025:
            break
        rank += 1
    rank = max(rank, 1)
    return values[rank - 1], values[n - rank]


class Race:
    """The seconds of engines that took turns: .times {name: [seconds of a call]}, where rounds are
    the same indices in every list."""

    def __init__(self, engines, rounds, pids):
        """engines: {name: callable -> seconds of a call}; pids: processes that they live in."""
        self.quiet_rounds, self.noisy_rounds = [], []
        for run in engines.values():  # warm up
            run()
        while len(self.quiet_rounds) < rounds and \
                len(self.quiet_rounds) + len(self.noisy_rounds) < PATIENCE * rounds:
            self._round(engines, pids)
        self.noisy = len(self.quiet_rounds) < min(3, rounds)
        counted = self.quiet_rounds + (self.noisy_rounds if self.noisy else [])
        self.times = {name: [times[name] for times in counted] for name in engines}
        self.note = f"{len(counted)} rounds" + (
            ", NOISY" if self.noisy else f", {len(self.noisy_rounds)} dropped")

    def _round(self, engines, pids):
        times = {}
        turn = len(self.quiet_rounds) + len(self.noisy_rounds)
        with quiet.Watch(pids) as watch:
            for name in engines if turn % 2 == 0 else reversed(engines):
                quiet.settle(pids)
                times[name] = engines[name]()
        (self.quiet_rounds if watch.quiet else self.noisy_rounds).append(times)
        if not watch.quiet:
            quiet.wait(1)

    def ratio(self, theirs, ours):
        """(median, low, high) of how many times as fast ours is."""
        ratios = [a / b for a, b in zip(self.times[theirs], self.times[ours])]
        return (statistics.median(ratios), *interval(ratios))

    def median(self, name):
        return statistics.median(self.times[name])


def measure(case, options):
    """(Race with "zeromean" in it, note); None if clbench can't."""
    ours = Clbench(case.op, case.shape, case.weight_type, options.device)
    if ours.row["status"] != "ok":
        ours.close()
        return None, ours.row["reason"]
    engines = {"zeromean": ours.run, **{name: (lambda call=call: block(call))
                                        for name, call in case.theirs.items()}}
    race = Race(engines, options.rounds, [ours.process.pid])
    ours.close()
    return race, race.note


def report(case, race, peer):
    """Prints a line; returns how many times as fast zeromean is as the peer at its best."""
    best = min(case.theirs, key=race.median)
    ratio, low, high = race.ratio(best, "zeromean")
    how = f" ({best})" if best != peer else ""
    print(f"{case.op:10} {case.shape:32} {case.weight_type:5} {race.median('zeromean') * 1e3:9.3f} ms "
          f"{race.median(best) * 1e3:9.3f} ms {ratio:7.3f}x [{low:.3f}, {high:.3f}]  {race.note}{how}"
          f"{'; ' + case.note if case.note else ''}", flush=True)
    return ratio


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def enter_environment():
    """Goes on in the virtual environment of the peers, which is made the first time."""
    if sys.prefix == sys.base_prefix:
        if subprocess.run([ROOT / "scripts/bench-setup", "ops"], check=False).returncode:
            sys.exit(1)  # it has said why
        os.execv(VENV, [VENV, *sys.argv])


def main(peer, version, make_cases, description):
    """make_cases(glob) -> [Case]."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("ops", nargs="?", default="*", metavar="GLOB", help="only these ops")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", help="of clbench")
    parser.add_argument("--json", help="also write the ratios to this file")
    options = parser.parse_args()
    if not PROGRAM.exists():
        sys.exit(f"{PROGRAM} is not there; build it first (meson setup build && ninja -C build)")
    print(f"zeromean against {peer} {version}, {quiet.CORES} threads each, on {processor()}")
    print(f"{'op':10} {'shape':32} {'types':5} {'zeromean':>12} {peer:>12} {'ratio':>8} "
          "(above 1: zeromean is faster)", flush=True)
    rows = []
    for case in make_cases(options.ops):
        race, note = measure(case, options)
        if race is None:
            print(f"{case.op:10} {case.shape:32} {case.weight_type:5} not timed: {note}")
            continue
        rows.append({"op": case.op, "shape": case.shape, "weight_type": case.weight_type,
                     "peer": peer, "ratio": report(case, race, peer),
                     "seconds": {name: race.median(name) for name in race.times}})
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

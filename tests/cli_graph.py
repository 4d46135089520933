#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""zeromean graph: what a model runs, as text and as DOT.

usage: cli_graph.py PROGRAM
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import tap
import text_blocks
import text_reference
import tiny_model
from program import Program

BIBLE = pathlib.Path(__file__).resolve().parent.parent / "share/bible-gpt2"


class Graph(Program):
    COUNTS = re.compile(r"(encoder|decoder): operations (\d+)(?:, launches (\d+))?(?:, stages (\d+))?"
                        r"(?:, moves (\d+) of (\d+) bytes)?, memory (\d+) bytes, at least (\d+); "
                        r"(?:passes: ([a-z0-9, -]+)|no pass changed anything)")

    def setUp(self):
        super().setUp()
        self.model = tiny_model.write(self.scratch / "model")

    def graph(self, *options, device="host", model=None):
        """The lines before the counts, the counts, and how often which pass fired."""
        *lines, last = self.ok("graph", model or self.model, "--device", device,
                               *options).splitlines()
        counts = self.COUNTS.fullmatch(last.removeprefix("// "))
        self.assertIsNotNone(counts, last)
        fired = dict(one.rsplit(" ", 1) for one in (counts[9] or "").split(", ") if one)
        return lines, counts, {name: int(times) for name, times in fired.items()}

    def nodes(self, lines):
        """The operations of a text, whose operands are declared before."""
        declared = {line.split()[1] for line in lines if re.match("inner|extern", line)}
        nodes = [line.split() for line in lines if re.match(r"\d", line)]
        self.assertEqual([node[0] for node in nodes], list(map(str, range(len(nodes)))))
        used = {word.split("=")[1] for node in nodes for word in node[2:]
                if re.match(r"(x|dst|residual|sum|weighted|(scale\.)?statistics)="
                            r"([a-z]\w*)?(%\d+)?$", word)}
        self.assertEqual(declared, used)
        return [node[1] for node in nodes if node[1] != "observe"]

    def dots(self, lines):
        """The nodes and edges of each graph in a DOT file, as far as we write the language."""
        graphs = []
        for line in lines:
            if line == "digraph zeromean {":
                nodes, edges = {}, []
                graphs.append((nodes, edges))
            elif line != "}" and not line.startswith("// "):
                part = re.fullmatch(r'  ([nv]\d+)(?: -> ([nv]\d+))?'
                                    r'(?: \[(?:shape=box )?label="((?:[^"\\]|\\.)*)"\])?', line)
                self.assertIsNotNone(part, line)
                if part[2]:
                    edges.append((part[1], part[2]))
                else:
                    nodes[part[1]] = part[3]
        for nodes, edges in graphs:
            self.assertEqual(set(nodes), {end for edge in edges for end in edge})
        return graphs

    def test_passes(self):
        lines, counts, fired = self.graph("--part", "decoder")
        self.assertEqual(len(self.nodes(lines)), int(counts[2]))
        self.assertIsNone(counts[3])
        self.assertLessEqual(int(counts[8]), int(counts[7]))
        layers = tiny_model.config()["decoder_layers"]
        self.assertEqual(fired["epilogue"], 3 * layers)
        self.assertEqual(lines[:2], ["symbol tokens 1..64", "symbol length 1..64"])
        before, more, none = self.graph("--part", "decoder", "--off", "all")
        self.assertEqual(none, {})
        gone = fired["epilogue"] + fired["writer-statistic"]
        self.assertEqual(int(more[2]), int(counts[2]) + gone)
        self.assertEqual(self.nodes(before).count("add"), fired["epilogue"])
        _, _, others = self.graph("--part", "decoder", "--off", "epilogue,in-place")
        self.assertEqual(set(others), {"residual-norm", "deferred-norm"})

    def assert_counts(self, model, part, operations, **wanted):
        _, counts, fired = self.graph("--part", part, model=model)
        self.assertEqual(int(counts[2]), operations)
        fired.pop("in-place")  # as far as is worth it
        self.assertEqual(fired, {name.replace("_", "-"): n for name, n in wanted.items()})
        self.assertLessEqual(int(counts[7]), 1.05 * int(counts[8]))

    def test_counts(self):
        """Each pass fires wherever it did; the plan of memory is close to the least there is."""
        self.assert_counts(BIBLE, "decoder", 36, epilogue=10, deferred_norm=11, writer_statistic=9)
        self.assert_counts(self.model, "encoder", 20, epilogue=4, residual_norm=1, deferred_norm=3,
                           writer_statistic=3)
        self.assert_counts(self.model, "decoder", 24, epilogue=6, deferred_norm=7,
                           writer_statistic=5)
        neox = text_reference.GptNeox()  # two norms of one tensor, each with a weight
        neox.logits()
        neox.write(self.scratch / "neox")
        self.assert_counts(self.scratch / "neox", "decoder", 21, epilogue=4, deferred_norm=5,
                           shared_statistic=2, writer_statistic=1)

    def test_dot(self):
        for part in ("encoder", "decoder"):
            text, counts, _ = self.graph("--part", part)
            lines, again, _ = self.graph("--part", part, "--dot")
            self.assertEqual(counts[0], again[0])
            (nodes, _), = self.dots(lines)
            drawn = [label for name, label in nodes.items() if name[0] == "n"]
            self.assertEqual([name for name in drawn if name != "observe"], self.nodes(text))
        if shutil.which("dot"):
            dot = self.ok("graph", self.model, "--device", "host", "--dot")
            done = subprocess.run(["dot", "-Tsvg"], input=dot.encode(), capture_output=True,
                                  check=True)
            self.assertEqual((done.stdout.count(b"<svg"), done.stderr), (2, b""))

    def test_types_apart(self):
        """Values of another quantised type are a product of their own; nothing is decoded."""
        path = self.scratch / "blocks.gguf"
        text_blocks.write(path)
        lines = self.ok("graph", path, "--device", "host").splitlines()
        self.assertEqual([line.split()[2:] for line in lines if re.match(r"inner (qkv|v)\b", line)],
                         [["f32", "[tokens][384]"], ["f32", "[tokens][128]"],
                          ["f32", "[tokens][512]"]])

    def test_both_parts(self):
        lines, counts, _ = self.graph()
        self.assertEqual(counts[1], "decoder")
        first, = (line for line in lines if line.startswith("encoder: "))
        self.assertEqual(lines[lines.index(first) + 1], "symbol tokens 1..64")

    def test_a_run_counts_launches(self):
        for part in ("encoder", "decoder"):
            _, counts, _ = self.graph("--part", part, "--run")
            self.assertEqual(counts[3], counts[2])  # on the host each operation is one

    def test_stages(self):
        lines, counts, _ = self.graph("--part", "decoder", "--run", device="host,host:f64")
        heads = [line for line in lines if line.startswith("decoder, ")]
        self.assertEqual(heads, ["decoder, stage 1 of 2, on host", "decoder, stage 2 of 2, on host:f64"])
        self.assertEqual((counts[3], counts[4], counts[5]), (counts[2], "2", "2"))  # x and the numbers
        lines, _, _ = self.graph("--part", "decoder", "--dot", device="host,host:f64")
        first, second = (len([name for name in nodes if name[0] == "n"])
                         for nodes, _ in self.dots(lines))
        self.assertTrue(first and second)

    def test_what_makes_no_sense(self):
        for off in ("viev", "view,", ",view", "view,,merge", "x" * 300):
            self.assertIn("--off: there is no pass '", self.line(2, "graph", self.model, "--off", off))
        for off in ("all,merge", "merge,all", "all,all"):
            self.assertIn("--off: 'all'", self.line(2, "graph", self.model, "--off", off))


if __name__ == "__main__":
    Program.path = os.path.abspath(sys.argv.pop(1))
    tap.main()

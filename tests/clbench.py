#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manners of clbench: usage, exit codes, its three kinds of output, and the report page.

usage: clbench.py PROGRAM

Nothing here depends on how fast anything is.
"""
import csv
import html.parser
import io
import json
import pathlib
import re
import subprocess
import sys

import program
import tap
from bench_results import result, row
from clbench_program import Clbench, HOST, OPENCL, QUICK

COMMANDS = ("devices", "peak", "op", "block", "model", "paper", "compare", "report", "tune",
            "trace", "text")
SUMMARY = {"median", "low", "high", "least", "spread", "samples"}


class Usage(Clbench):
    def test_help_and_version_everywhere(self):
        version = self.ok("--version")
        self.assertRegex(version, r"^clbench \d+\.\d+\.\d+\n$")
        self.assertEqual(self.ok("-h"), self.ok("--help"))
        for command in COMMANDS:
            self.assertIn(command, self.ok("--help"))
            text = self.ok(command, "--help")
            # devices is one command of two programs
            self.assertTrue(text.startswith(f"usage: clbench {command}"), text)
            self.assertIn("Exit status", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 100, text)

    def test_wrong_command_lines(self):
        for arguments in ([], ["frobnicate"], ["--frobnicate"], ["op", "--frobnicate"],
                          ["peak", "--frobnicate"], ["peak", "x"], ["peak", "--time", "0"],
                          ["op", "add", "rms_norm"], ["op", "no_such_op"],
                          ["op", "add", "--shape", "rows=0"], ["op", "add", "--shape", "m=3"],
                          ["op", "add", "--shape"], ["op", "add", "--type", "f31"],
                          ["op", "add", "--weight-type", "i32"], ["op", "add", "--kernel", "no_*"],
                          ["op", "add", "--kernel", "matmul=cpu"], ["op", "add", "--kernel", "=cpu"],
                          ["op", "add", "--vs", "wheight-type=f16"], ["op", "add", "--vs", "op=x"],
                          ["op", "add", "--vs", "no_such_kernel"], ["op", "--csv", "--json"],
                          ["op", "add", "--shape", "rows=1,rows=2,d=3"],
                          ["op", "add", "--shape", "rows=1," * 40],
                          ["compare"], ["compare", "a"], ["compare", "a", "b", "c"],
                          ["compare", "a", "b", "--threshold", "-1"],
                          ["report", "a"], ["report", "-o", "b"], ["report", "a", "--output="],
                          ["block", "--shape", "gpt5"], ["block", "--shape", "heads=5,d=64"],
                          ["block", "--norm", "ln,ln"], ["block", "--norm", "x"],
                          ["block", "--decode"], ["block", "--type", "f31"], ["block", "x"],
                          ["model", "--csv", "--json"], ["model", "--serve", "--json"], ["model", "--layers", "0"],
                          ["paper", "--models", "gpt5"], ["paper", "--csv", "--json"],
                          ["tune", "no_such_op"], ["tune", "rms_norm", "--kernel", "no_*"],
                          ["tune", "rms_norm", "--kernel", "matmul=gpu"], ["tune", "matmul", "x"],
                          ["text"], ["text", "m", "--json", "--serve"],
                          ["devices", "x"], ["trace"], ["trace", "-o"],
                          ["trace", "x", "-o", "y"], ["trace", "-o", "y", "--runs", "0"],
                          ["trace", "-o", "y", "--tokens", "4"],
                          ["trace", "-o", "y", "--model", "m", "--shape", "gpt2-small"],
                          ["trace", "-o", "y", "--model", "m", "--norm", "ln"],
                          ["trace", "-o", "y", "--norm", "ln,rms"],
                          ["trace", "-o", "y", "--norm", "none such"],
                          ["trace", "-o", "y", "--shape", "none such"]):
            with self.subTest(arguments=arguments):
                self.assertIn("--help'", self.line(2, *arguments))

    def test_a_device_that_is_not_there(self):
        self.assertIn("no_such", self.line(1, "op", "add", "--device", "opencl:no_such"))
        self.line(2, "op", "add", "--device", "no_such_backend")

    def test_list_times_nothing(self):
        text = self.ok("op", "--list")
        for op in ("matmul", "attention", "rms_norm"):
            self.assertRegex(text, rf"(?m)^{op} \(")
        self.assertIn("  m=512,n=3072,k=768\n", text)
        self.assertNotIn("matmul", self.ok("op", "rms_norm", "--list"))


class Results(Clbench):
    def test_devices(self):
        devices = self.json("devices")
        self.assertEqual(devices["schema"], "zeromean.devices/1")
        self.assertIn("host", [device["spec"] for device in devices["devices"]])

    def check_frame(self, result, command):
        self.assertEqual(result["schema"], "clbench.result/1")
        self.assertEqual(result["command"], command)
        self.assertRegex(result["date"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(result["version"], r"^\d+\.\d+\.\d+$")
        self.assertIn("name", result["device"])
        self.assertGreater(result["host"]["processors"], 0)
        self.assertLessEqual(
            {"status", "reason", "gflops", "fma", "streams", "launch_seconds", "wait_seconds"},
            set(result["peak"]))

    def check_row(self, row):
        self.assertLessEqual({"op", "shape", "type", "weight_type", "kernel", "status", "reason",
                              "flops", "bytes", "seconds", "gflops", "gbps", "ceiling"}, set(row))
        self.assertIn(row["status"], ("ok", "unsupported", "skipped", "failed"))
        if row["status"] != "ok":
            self.assertTrue(row["reason"])
            self.assertIsNone(row["seconds"])
            return
        self.assertEqual(row["reason"], "")
        seconds = row["seconds"]
        self.assertEqual(set(seconds), SUMMARY | {"batch", "dropped", "noisy"})
        self.assertLessEqual(seconds["low"], seconds["median"])
        self.assertLessEqual(seconds["median"], seconds["high"])
        self.assertLessEqual(0, seconds["least"])
        self.assertGreaterEqual(seconds["samples"], 3)
        self.assertAlmostEqual(row["gflops"], row["flops"] / seconds["median"] * 1e-9, delta=1e-5
                               * (row["gflops"] + 1))

    def test_peak(self):
        result, _ = self.result("peak", *QUICK, *OPENCL)
        self.check_frame(result, "peak")
        peak = result["peak"]
        self.assertEqual(peak["status"], "ok")
        self.assertGreaterEqual(len(peak["fma"]), 2)
        self.assertEqual(peak["gflops"], max(fma["gflops"] for fma in peak["fma"]))
        self.assertEqual({stream["kind"] for stream in peak["streams"]}, {"copy", "read"})
        self.assertGreater(peak["launch_seconds"], 0)
        self.assertGreater(peak["wait_seconds"], 0)
        self.assertEqual(result["rows"], [])

    def test_the_host_device_has_no_ceilings_but_rows(self):
        peak = self.json("peak", *QUICK, *HOST)["peak"]
        self.assertEqual(peak["status"], "unsupported")
        self.assertTrue(peak["reason"])
        result, _ = self.result("op", "add", "--shape", "rows=3,d=8", *QUICK, *HOST)
        self.assertEqual([row["kernel"] for row in result["rows"]], ["ref"])
        self.check_row(result["rows"][0])
        self.assertIsNone(result["rows"][0]["ceiling"])

    def test_rows(self):
        result, _ = self.result("op", "*_norm", "--shape", "rows=40,d=64", *QUICK, *OPENCL)
        self.check_frame(result, "op")
        for row in result["rows"]:
            self.check_row(row)
        status = {row["op"]: row["status"] for row in result["rows"]}
        self.assertEqual(status, {"layer_norm": "ok", "rms_norm": "ok", "crms_norm": "ok",
                                  "deferred_norm": "skipped"})  # it has no rows and no d
        for row in (row for row in result["rows"] if row["status"] == "ok"):
            self.assertEqual(row["shape"], "rows=40,d=64")
            self.assertIn(row["ceiling"]["kind"], ("fma", "bandwidth", "launch"))
            self.assertGreater(row["ceiling"]["percent"], 0)

    def test_types_and_kernels_make_rows(self):
        result, _ = self.result("op", "matmul", "--shape", "m=1,n=64,k=32", "--weight-type",
                                "f32,f16", "--kernel", "cpu*", "--no-peak", *QUICK, *OPENCL)
        rows = {(row["weight_type"], row["kernel"]): row["status"] for row in result["rows"]}
        for weight_type in ("f32", "f16"):
            self.assertEqual(rows[weight_type, "cpu_matvec"], "ok")
            self.assertEqual(rows[weight_type, "cpu"], "ok")

    def test_a_kernel_of_one_op(self):
        rows = self.json("op", "r[me][sc]*", "--shape", "rows=4,d=8", "--kernel", "rms_norm=*",
                         "--no-peak", *QUICK, *HOST)["rows"]
        status = [(row["op"], row["kernel"], row["status"]) for row in rows]
        self.assertEqual(status, [("rms_norm", "cpu", "unsupported"),
                                  ("rms_norm", "gpu", "unsupported"), ("rms_norm", "ref", "ok"),
                                  ("recentre", "ref", "ok")])

    def test_what_cannot_be_has_a_status_and_a_reason(self):
        result = self.json("op", "matmul", "--shape", "m=2,n=64,k=32", "--kernel", "cpu_matvec",
                           "--no-peak", *QUICK, *OPENCL)
        row, = result["rows"]
        self.assertEqual(row["status"], "unsupported")
        self.assertEqual(row["kernel"], "cpu_matvec")
        self.assertIn("rows", row["reason"])
        row, = self.json("op", "matmul", "--shape", "m=1000000,n=1000000,k=1000000", "--no-peak",
                         *QUICK, *OPENCL)["rows"]
        self.assertEqual(row["status"], "skipped")
        self.assertIn("memory", row["reason"])
        done = self.run_program("block", "--shape", "d=8,heads=2,tokens=2", "--norm", "ln", "--type",
                                "f32", "--no-peak", *QUICK, "--device", "host:f64", "--json")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"nothing was timed", done.stderr)
        for rows in (self.json("op", "add", "--shape", "rows=2,d=4", "--type", "f16", "--no-peak",
                               *QUICK, "--device", "host:f64")["rows"],
                     json.loads(done.stdout)["rows"]):
            self.assertEqual([row["status"] for row in rows], ["unsupported"])
            self.assertIn("activations are f64 on device host:f64", rows[0]["reason"])

    def test_a_b(self):
        result = self.json("op", "matmul", "--shape", "m=1,n=64,k=32", "--vs", "cpu", "--no-peak",
                           *QUICK, *OPENCL)
        versus = result["rows"][0]["versus"]
        self.assertEqual((result["rows"][0]["kernel"], versus["kernel"]), ("cpu_matvec", "cpu"))
        self.assertEqual(set(versus["ratio"]), SUMMARY)
        self.assertLessEqual(versus["ratio"]["low"], versus["ratio"]["median"])
        self.assertEqual(versus["ratio"]["samples"], result["rows"][0]["seconds"]["samples"])
        text = self.ok("op", "rms_norm", "--shape", "rows=4,d=64", "--vs", "op=layer_norm",
                       "--no-peak", *QUICK, *OPENCL)
        self.assertRegex(text, r"vs layer_norm:f32:f32:cpu .* as fast \[")

    def test_a_b_with_a_kernel_that_one_op_lacks(self):
        rows = self.json("op", "[a]*", "--shape", "rows=1,kv=64", "--vs", "cpu_row", "--no-peak",
                         *QUICK, *OPENCL)["rows"]
        status = {row["op"]: (row["status"], row["reason"]) for row in rows}
        self.assertEqual(status["attention"], ("ok", ""))
        self.assertEqual(status["add"][0], "skipped")

    def test_csv(self):
        text = self.ok("op", "add", "--shape", "rows=4,d=8", "--csv", *QUICK, *HOST)
        head, row = csv.reader(io.StringIO(text))
        self.assertEqual(len(head), len(row))
        values = dict(zip(head, row))
        self.assertEqual((values["op"], values["shape"], values["status"]),
                         ("add", "rows=4,d=8", "ok"))
        self.assertGreater(float(values["seconds"]), 0)
        text = self.ok("op", "matmul", "--shape", "m=2,n=64,k=32", "--kernel", "cpu_matvec",
                       "--csv", "--no-peak", *OPENCL)
        head, row = csv.reader(io.StringIO(text))
        self.assertEqual(len(head), len(row))
        self.assertEqual(row[head.index("status")], "unsupported")

    def test_text(self):
        text = self.ok("op", "add", "--shape", "rows=40,d=64", *QUICK, *OPENCL)
        self.assertRegex(text, r"(?m)^add +rows=40,d=64 +f32/f32 +cpu +\d.* \d+\.\d % \w+")
        self.assertIn("the ceiling", self.ok("peak", *QUICK, *OPENCL))

    def test_serve(self):
        command = [self.path, "op", "add", "--shape", "rows=4,d=64", "--serve", *HOST]
        done = subprocess.run(command, input=b"0\n0 0.02\n", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        head, *answers = map(json.loads, done.stdout.splitlines())
        self.assertEqual(head["schema"], "clbench.serve/1")
        self.assertEqual(head["rows"][0]["status"], "ok")
        self.assertEqual([answer["index"] for answer in answers], [0, 0])
        self.assertTrue(all(answer["seconds"] > 0 for answer in answers))
        for words in (b"1\n", b"x\n", b"-1\n"):
            done = subprocess.run(command, input=words, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
            self.assertEqual(done.returncode, 1, words)


class Compare(Clbench):
    def files(self, *results):
        paths = []
        for i, one in enumerate(results):
            paths.append(self.scratch / f"{'abc'[i]}.json")
            paths[-1].write_text(json.dumps(one), encoding="utf-8")
        return paths

    def test_the_same_is_no_change(self):
        a, b = self.files(result(row("m=1", 1)), result(row("m=1", 1.03)))
        self.assertEqual(self.ok("compare", a, b), "1 same\n")
        self.assertIn("m=1", self.ok("compare", a, b, "--all"))

    def test_slower_exits_with_1(self):
        a, b = self.files(result(row("m=1", 1), row("m=2", 1)),
                          result(row("m=1", 1.2), row("m=2", .5)))
        done = self.run_program("compare", a, b)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout.decode(), r"(?m)^slower +matmul +m=1 .*\+20\.0 %")
        self.assertRegex(done.stdout.decode(), r"(?m)^faster +matmul +m=2 .*-50\.0 %")
        self.assertIn("1 of 2 rows", done.stderr.decode())
        self.ok("compare", a, b, "--threshold", "30")

    def test_broken_exits_with_1(self):
        broken = row("m=1", 1, status="failed", reason="it broke", seconds=None)
        a, b = self.files(result(row("m=1", 1)), result(broken))
        done = self.run_program("compare", a, b)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout.decode(), r"(?m)^broken .*it broke")
        self.ok("compare", b, a)

    def test_nothing_in_common_exits_with_1(self):
        a, b, c = self.files(result(row("m=1", 1), row("m=2", 1)), result(row("m=3", 1)),
                             result(row("m=1", 1)))
        done = self.run_program("compare", a, b)
        self.assertEqual(done.returncode, 1)
        self.assertIn("2 gone, 1 new", done.stdout.decode())
        self.assertIn("no row of the first file", done.stderr.decode())
        self.assertIn("1 same, 1 gone", self.ok("compare", a, c))
        self.assertIn("1 same, 1 new", self.ok("compare", c, a))

    def test_a_slower_machine_is_said(self):
        a, b = self.files(result(row("m=1", 1)), result(row("m=1", 1), gflops=150))
        done = self.run_program("compare", a, b)
        self.assertEqual(done.returncode, 0)
        self.assertIn("-25.0 %", done.stderr.decode())

    def test_json(self):
        a, b = self.files(result(row("m=1", 1)), result(row("m=1", 1.2)))
        done = self.run_program("compare", a, b, "--json")
        self.assertEqual(done.returncode, 1)
        said = json.loads(done.stdout)
        self.assertEqual(said["schema"], "clbench.compare/1")
        self.assertEqual(said["counts"]["slower"], 1)
        self.assertAlmostEqual(said["rows"][0]["ratio"], 1.2)

    def test_what_is_no_result(self):
        a, b = self.files(result(), {"schema": "another"})
        self.assertIn("b.json", self.line(1, "compare", a, b))
        self.assertIn("none.json", self.line(1, "compare", a, self.scratch / "none.json"))


class Page(html.parser.HTMLParser):
    """Every tag is closed in order; what it links to and says is kept."""
    VOID = {"meta", "br", "wbr", "link", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.references = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for name, value in attributes
                            if name in ("href", "src", "action", "xlink:href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


class Report(Clbench):
    def page(self, *results):
        paths = []
        for i, one in enumerate(results):
            paths.append(self.scratch / f"{i}<&>.json")
            paths[-1].write_text(json.dumps(one), encoding="utf-8")
        out = self.scratch / "report.html"
        self.assertEqual(self.ok("report", *paths, "-o", out), "")
        self.text = out.read_text(encoding="utf-8")
        page = Page(self.text)
        self.assertEqual(page.open, [])
        return page

    def test_a_page_that_needs_nothing_else(self):
        ceiling = {"kind": "fma", "seconds": .5, "gflops": 200, "gbps": 30, "percent": 96.5}
        versus = {"op": "matmul", "type": "f32", "weight_type": "f16", "kernel": "ref",
                  "seconds": row("", 2)["seconds"],
                  "ratio": {"median": 1.5, "low": 1.4, "high": 1.6, "samples": 20}}
        page = self.page(result(row("m=1", .1, ceiling=ceiling, versus=versus),
                                row("m=2", 1, status="unsupported", reason="<no> & \"never\"",
                                    seconds=None)),
                         result(row("m=1", .2, ceiling=ceiling)))
        words = " ".join(page.text)
        for expected in ("Roofline", "Ops against their ceilings", "A against B", "Memory",
                         "Changes", "All rows", "<Device> & co", "<no> & \"never\"", "0<&>.json",
                         "slower", "unsupported", "multiply-adds"):
            self.assertIn(expected, words)
        self.assertEqual(page.references, [])
        self.assertIsNone(re.search(r"https?:|//[a-z]|@import|url\(|<script|<link|<img", self.text))
        self.assertIn("prefers-color-scheme: dark", self.text)
        self.assertEqual(page.tags.count("svg"), 2)
        self.assertEqual(self.text.count('<i class="bar"'), 2)
        self.assertEqual(self.text.count('<i class="interval"'), 1)
        self.assertIsNone(re.search(r"\b(nan|inf)\b", self.text))

    def test_results_without_rows_and_without_ceilings(self):
        bare = result()
        bare["peak"] = {"status": "unsupported", "reason": "no"}
        page = self.page(bare)
        self.assertEqual(page.tags.count("svg"), 0)
        self.page(result(row("m=1", 1)), bare)

    def test_strange_numbers(self):
        odd = {"kind": "fma", "seconds": None, "gflops": None, "gbps": None, "percent": None}
        self.page(result(row("m=1", 1e-30, ceiling=odd), row("m=2", 1, flops=0, bytes=None),
                         row("m=3", 1e30, versus={"ratio": {"median": -1}}), gflops=1e-9))
        self.assertIsNone(re.search(r"\b(nan|inf)\b", self.text))

    def test_of_real_results(self):
        a = self.json("op", "add", "--shape", "rows=40,d=64", "--vs", "op=recentre", *QUICK,
                      *OPENCL)
        page = self.page(a)
        self.assertIn("add", page.text)

    def test_failures(self):
        path = self.scratch / "a.json"
        path.write_text("{}", encoding="utf-8")
        out = self.scratch / "out.html"
        self.assertIn("a.json", self.line(1, "report", path, "-o", out))
        self.assertFalse(out.exists())
        path.write_text(json.dumps(result()), encoding="utf-8")
        self.line(1, "report", path, "-o", self.scratch / "no/such/folder.html")
        self.line(2, "report", *[path] * 7, "-o", out)


if __name__ == "__main__":
    Clbench.path = pathlib.Path(sys.argv.pop(1)).resolve()
    program.Program.path = Clbench.path
    tap.main()

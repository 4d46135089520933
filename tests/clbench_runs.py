#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What clbench runs besides single operations: blocks and models, searches for tunings, traces.

usage: clbench_runs.py PROGRAM

Nothing here depends on how fast anything is.
"""
import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import program
import tap
import tiny_model
from clbench_program import Clbench, HOST, OPENCL, QUICK

BIBLE = pathlib.Path(__file__).resolve().parent.parent / "share/bible-gpt2"
TINY = ("--shape", "d=32,heads=2,ff=48,tokens=6,causal", "--time", "0.002")
SUMMARY = {"median", "low", "high", "least", "spread", "samples"}


class Nets(Clbench):
    def check_form(self, row, launches, **fired):
        self.assertEqual((row["status"], row["reason"]), ("ok", ""))
        graph = row["graph"]
        self.assertEqual(graph["launches"], launches, row["kernel"])
        self.assertLess(graph["error"], 1e-5)
        self.assertLessEqual(graph["least_bytes"], graph["memory_bytes"])
        self.check_kernels(row)
        for name, times in fired.items():
            self.assertEqual(graph["fired"][name.replace("_", "-")], times, row["kernel"])

    def check_kernels(self, row):
        """All launches are there, of kernels with a name, and their times are parts of one whole."""
        kernels = row["kernels"]
        names = [(one["op"], one["candidate"], one["kernel"]) for one in kernels]
        self.assertEqual(len(set(names)), len(names), names)
        self.assertTrue(all(map(all, names)), names)
        self.assertEqual(sum(one["launches"] for one in kernels), row["graph"]["launches"])
        self.assertAlmostEqual(sum(one["percent"] for one in kernels), 100, 5)
        seconds = [one["seconds"] for one in kernels]
        self.assertEqual(seconds, sorted(seconds, reverse=True))
        self.assertGreater(seconds[-1], 0)
        for one in kernels:
            self.assertAlmostEqual(one["percent"], 100 * one["seconds"] / sum(seconds), 5)

    def test_block(self):
        result = self.json("block", *TINY, "--norm", "ln,ln-fused,rms-deferred,none", *OPENCL)
        self.assertEqual((result["schema"], result["command"]), ("clbench.result/1", "block"))
        ln, fused, deferred, none = result["rows"]
        self.check_form(ln, 8, epilogue=2, deferred_norm=0)
        self.check_form(fused, 9, epilogue=0, residual_norm=1)
        self.check_form(deferred, 7, epilogue=2, deferred_norm=2, writer_statistic=1)
        self.check_form(none, 6, epilogue=2)
        self.assertNotIn("versus", ln)
        self.assertEqual(set(none["versus"]["ratio"]), SUMMARY)
        self.assertIn(none["ceiling"]["kind"], ("fma", "bandwidth"))
        self.assertEqual(none["bytes"], 4 * (4 * 32 * 32 + 2 * 32 * 48))

    def test_model_and_decode(self):
        rows = self.json("model", *TINY, "--layers", "2", "--norm", "ln,crms", *HOST)["rows"]
        self.assertEqual([row["op"] for row in rows], ["model", "model"])
        self.assertRegex(rows[0]["shape"], "layers=2")
        self.check_form(rows[1], 16, epilogue=4)
        rows = self.json("model", *TINY, "--layers", "2", "--norm", "ln-deferred", "--decode",
                         *HOST)["rows"]
        self.assertRegex(rows[0]["shape"], "tokens=1,past=5,layers=2")
        self.check_form(rows[0], 13, deferred_norm=4, writer_statistic=3)
        self.assertEqual(rows[0]["op"], "decode")

    def test_batch(self):
        rows = self.json("block", *TINY, "--norm", "ln,rms-deferred", "--batch", "5",
                         *HOST)["rows"]
        self.assertRegex(rows[0]["shape"], "tokens=6,layers=1,batch=5,causal")
        self.check_form(rows[0], 8)
        self.check_form(rows[1], 7, deferred_norm=2)
        one, = self.json("block", *TINY, "--norm", "ln", *HOST)["rows"]
        self.assertEqual(rows[0]["flops"], 5 * one["flops"])
        self.assertEqual(rows[0]["bytes"], one["bytes"])
        row, = self.json("model", *TINY, "--layers", "2", "--norm", "rms-deferred", "--decode",
                         "--batch", "3", *HOST)["rows"]
        self.assertRegex(row["shape"], "tokens=1,past=5,layers=2,batch=3")
        self.check_form(row, 13)
        self.assertIn("--batch", self.line(2, "block", *TINY, "--batch", "4000000", *HOST))

    def serve(self, code, words, *options):
        done = subprocess.run([self.path, "model", *TINY, "--layers", "2", "--norm",
                               "ln,rms-deferred", "--serve", *options, *OPENCL], input=words,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_serve(self):
        head, first, second, host, ops, *outputs, read = self.serve(
            0, b"0\n1 0.01\n1 0.01 host\n1 0.01 ops\n0 0 output\n1 0 output\n2 0.01\n")
        self.assertEqual([row["form"] for row in head["rows"]], ["ln", "rms-deferred", "read"])
        self.assertEqual((head["sizes"]["d"], head["sizes"]["layers"]), (32, 2))
        for answer in (first, second, host, read):
            self.assertGreater(answer["seconds"], 0)
        self.assertEqual({op: one["launches"] for op, one in ops["ops"].items()},
                         {"row_statistics": 1, "matmul": 8, "kv_store": 2, "attention": 2})
        self.assertEqual(host["operations"], 13)
        self.assertEqual(len(outputs[0]["values"]), 6 * 32)
        for a, b in zip(*(one["values"] for one in outputs)):
            self.assertAlmostEqual(a, b, 5)
        head, output = self.serve(0, b"1 0 output\n", "--batch", "2")
        self.assertEqual(head["sizes"]["batch"], 2)
        self.assertEqual(len(output["values"]), 2 * 6 * 32)
        self.serve(1, b"0 1 frob\n")
        self.serve(1, b"2 1 host\n")

    def test_narrow_types(self):
        row, = self.json("block", *TINY, "--norm", "rms", "--type", "f16", "--weight-type", "bf16",
                         *HOST)["rows"]
        self.assertEqual((row["status"], row["type"], row["weight_type"]), ("ok", "f16", "bf16"))
        self.assertLess(row["graph"]["error"], 3e-2)

    def check_table(self, text):
        head, *lines = text.splitlines()
        self.assertEqual(head.split(), ["form", "op", "candidate", "kernel", "launches", "ms", "share"])
        shares = []
        for line in lines:
            if line[0] != " ":
                shares.append([])
            shares[-1].append(float(line.split()[-2]))
        self.assertEqual(len(shares), 11)
        for form in shares:
            self.assertAlmostEqual(sum(form), 100, delta=.05 * len(form) + 1e-6)

    def test_text_and_csv(self):
        text = self.ok("block", *TINY, *HOST)
        rows, kernels = text.split("\n\n")
        self.assertEqual(len(rows.splitlines()), 2 + 11)
        self.check_table(kernels)
        self.assertRegex(text, r"(?m)^rms-deferred .* writer-statistic=1")
        head, row = csv.reader(io.StringIO(self.ok("block", *TINY, "--norm", "ln", "--csv", *HOST)))
        self.assertEqual(len(head), len(row))
        self.assertEqual(row[head.index("launches")], "8")
        self.assertIn("epilogue=2", row[head.index("fired")])
        self.assertIn("gpt2-small", self.ok("model", "--list"))

    def test_what_does_not_fit_is_skipped(self):
        for command in "block", "model":
            done = self.run_program(command, "--shape", "d=200000,heads=2,tokens=1", "--no-peak",
                                    "--json", *HOST)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr.decode(), r"\nclbench: nothing was timed: d=.*memory.*\n$")
            rows = json.loads(done.stdout)["rows"]
            self.assertEqual({row["status"] for row in rows}, {"skipped"})
            self.assertIn("memory", rows[0]["reason"])

    def test_paper(self):
        tiny = ("--layers", "1", "--tokens", "2", "--time", "0.001", *HOST)
        result = self.json("paper", "--models", "vit-ti,gpt3-large", "--budget", "5", "--batch",
                           "1", *tiny)
        vit, gpt = result["paper"]["models"]
        self.assertEqual(vit["ln"]["ratio"], 1)
        self.assertGreater(vit["rms"]["ratio"], 0)
        self.assertRegex(vit["crms"]["form"], "^crms")
        self.assertRegex(vit["ortho"]["form"], "^ortho")
        self.assertIsNone(gpt["ln"])
        self.assertEqual({row["status"] for row in result["rows"][11:]}, {"skipped"})
        self.assertIn("--budget", result["rows"][-1]["reason"])
        self.assertIn(0.886, [row["crms"] for row in result["paper"]["cited"]])
        text = self.ok("paper", "--models", "vit-ti", "--batch", "1,2", *tiny)
        self.assertRegex(text, r"(?m)^vit-ti,tokens=2,layers=1 +ln")
        self.assertRegex(text, r"(?m)^vit-ti,tokens=2,layers=1,batch=2 +ln")
        self.assertRegex(text, r"(?m)^Mean of 2 of ViT: Pre-RMSNorm \d.*orthogonal \d")
        self.assertIn("2305.14858", text)

    def test_what_is_left_out_of_the_paper(self):
        shapes = {}
        for option, more in ("--budget", ()), ("--memory", ("--budget", "1e9")):
            done = self.run_program("paper", option, "0.001", "--time", "0.001", "--json", *more,
                                    *HOST)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr.decode(),
                             rf"\nclbench: nothing was timed: vit-ti,.*{option[2:]}.*\n$")
            result = json.loads(done.stdout)
            for row in result["rows"]:
                self.assertEqual(row["status"], "skipped")
                self.assertIn(option[2:], row["reason"])
            shapes[option] = [model["shape"] for model in result["paper"]["models"]]
        self.assertEqual(shapes["--budget"], shapes["--memory"])
        self.assertEqual(len(shapes["--budget"]), 4 * 6 + 3)
        self.assertEqual(shapes["--budget"][7], "vit-ti,tokens=197,layers=12,batch=4")
        for batch in ("", "0", "1,", "x", "-1", "5000000000", "1," * 16 + "1"):
            self.assertIn("--batch", self.line(2, "paper", "--batch", batch, *HOST))


class Tune(Clbench):
    def test_dry_run_writes_nothing(self):
        cache = self.scratch / "cache"
        start = time.monotonic()
        said = self.json("tune", "rms_norm", "--time", "3", "--dry-run", *OPENCL,
                         env={"ZEROMEAN_CACHE_DIR": str(cache)})
        self.assertLess(time.monotonic() - start, 3 + 7)  # a kernel that is built may be slow
        self.assertEqual(said["schema"], "clbench.tune/1")
        op, = said["ops"]
        self.assertEqual((op["op"], op["refused"], op["written"]), ("rms_norm", 0, False))
        self.assertGreater(op["tunable"], 0)
        self.assertGreater(op["samples"] + op["tunable"] - op["tried"], 0)
        self.assertFalse((cache / "tuning.json").exists())

    def test_kernels_that_the_device_does_not_choose(self):
        cache = self.scratch / "cache"
        kept = {**self.device(), "op": "matmul", "parameters": {"tile_rows": 1000}}
        self.write(cache, kept, {**self.device(), "op": "matmul",
                                 "parameters": {"gpu_matvec_rows": 1000}})
        said, = self.json("tune", "matmul", "--kernel", "gpu", "--shape", "m=8,n=64,k=64", *QUICK,
                          *OPENCL, env={"ZEROMEAN_CACHE_DIR": str(cache)})["ops"]
        self.assertEqual((said["family"], said["refused"]), ("gpu", 0), said)
        left = json.loads((cache / "tuning.json").read_text(encoding="utf-8"))["entries"]
        self.assertEqual(left, [kept])  # the other family's numbers are not its business
        self.assertIn("families", self.line(1, "tune", "matmul", "--kernel", "*", "--dry-run",
                                            *OPENCL))

    def test_what_there_was_no_time_for_is_said(self):
        text = self.ok("tune", "rms_norm", "--time", "0.01", "--dry-run", *OPENCL,
                       env={"ZEROMEAN_CACHE_DIR": ""})
        self.assertRegex(text, r"^rms_norm +0 samples, no time for (\d+) of \1 numbers; ")

    def device(self):
        """What an entry for the default OpenCL device names."""
        device = self.json("op", "add", "--shape", "rows=1,d=8", *QUICK, "--no-peak",
                           *OPENCL)["device"]
        return {"device": device["name"], "platform": device["platform"],
                "driver": device["driver"]}

    def write(self, folder, *entries):
        folder.mkdir(exist_ok=True)
        (folder / "tuning.json").write_text(json.dumps(
            {"schema": "zeromean.tuning/1", "entries": entries}), encoding="utf-8")

    def test_numbers_that_are_worse_than_the_built_in_ones_go(self):
        cache = self.scratch / "cache"
        slow = {**self.device(), "op": "attention", "parameters": {"tile_rows": 1}}
        other = {"device": "another", "op": "attention", "parameters": {"few_rows": 2}}
        self.write(cache, other, slow)
        self.json("tune", "attention", "--shape", "rows=64,kv=256", "--time", "2", *OPENCL,
                  env={"ZEROMEAN_CACHE_DIR": str(cache)})
        left = json.loads((cache / "tuning.json").read_text(encoding="utf-8"))["entries"]
        self.assertIn(other, left)
        self.assertNotIn(slow, left)
        self.assertEqual([path.name for path in cache.glob("tuning.json*")], ["tuning.json"])

    def test_a_file_is_loaded_and_checked_once(self):
        cache = self.scratch / "cache"
        self.write(cache, {**self.device(), "op": "attention",
                           "parameters": {"block_items_per_unit": 3}})
        for first in (True, False):
            done = self.run_program("op", "attention", "--shape", "rows=5,kv=5", "-v", *QUICK,
                                    *OPENCL, env={"ZEROMEAN_CACHE_DIR": str(cache)})
            said = done.stderr.decode()
            self.assertIn("tuning of attention for ", said)
            self.assertIn(" is in use", said)
            self.assertEqual("checking it for the first time" in said, first, said)

    def test_where_nothing_can_be_written_nothing_is_searched(self):
        cache = self.scratch / "cache"
        cache.mkdir()
        (cache / "tuning.json").write_text("{", encoding="utf-8")
        file = self.scratch / "file"
        file.write_text("", encoding="utf-8")
        for folder in (cache, file, file / "below"):
            start = time.monotonic()
            self.line(1, "tune", "rms_norm", "--time", "60", *OPENCL,
                      env={"ZEROMEAN_CACHE_DIR": str(folder)})
            self.assertLess(time.monotonic() - start, 30)

    def test_interrupted(self):
        cache = self.scratch / "cache"
        process = subprocess.Popen(
            [self.path, "tune", "rms_norm", "--time", "100", *OPENCL], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "ZEROMEAN_CACHE_DIR": str(cache)})
        self.assertIn("device", process.stderr.readline())
        time.sleep(1)  # signals are caught from about here on, and the search takes 100 s
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (1, ""), error)
        self.assertEqual(error, "clbench: interrupted; nothing was written for rms_norm\n")
        self.assertEqual(list(cache.glob("tuning.json*")), [])

    def test_the_host_has_nothing_to_tune(self):
        self.line(1, "tune", "rms_norm", "--dry-run", *HOST)

    def test_nowhere_to_write(self):
        self.assertIn("ZEROMEAN_CACHE_DIR", self.line(1, "tune", "rms_norm", *OPENCL,
                                                      env={"ZEROMEAN_CACHE_DIR": ""}))


class Text(Clbench):
    def check_rows(self, result, schema):
        self.assertEqual(result["schema"], schema)
        # there is room for 256 tokens
        self.assertEqual([(row["row"], row["tokens"]) for row in result["rows"]],
                         [("pp128", 128), ("tg64", 64)])
        self.assertGreater(result["peak_rss_bytes"], 1 << 20)

    def test_table_and_json(self):
        result = self.json("text", BIBLE, "--time", "0.01", *HOST)
        self.check_rows(result, "clbench.text/1")
        for row in result["rows"]:
            self.assertTrue(0 < row["low"] <= row["seconds"] <= row["high"], row)
        text = self.ok("text", BIBLE, "--time", "0.01", *HOST)
        self.assertRegex(text, r"(?m)^pp128 +128 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$")

    def test_serve(self):
        done = subprocess.run([self.path, "text", BIBLE, "--serve", *HOST], input=b"1 0.01\n0 0.01 x\n",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                              check=False)
        head, answer = map(json.loads, done.stdout.splitlines())
        self.check_rows(head, "clbench.serve/1")
        self.assertEqual(answer["index"], 1)
        self.assertGreater(answer["seconds"], 0)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"row 0 can't be asked for that: x", done.stderr)

    def test_failures(self):
        self.assertIn("is no model of text", self.line(1, "text", tiny_model.write(
            self.scratch / "model"), *HOST))
        self.assertIn("none", self.line(1, "text", self.scratch / "none", *HOST))


class Trace(Clbench):
    """The nodes of a block are those of src/graph/block.c, after the passes; None: has no name."""
    HEAD = [("matmul", "qkv"), ("kv_store", None), ("attention", "heads")]
    LN = [("layer_norm", "norm"), *HEAD, ("matmul", "x"), ("layer_norm", "norm"), ("matmul", "ff"),
          ("matmul", "x")]
    DEFERRED = [("row_statistics", None), *HEAD, ("matmul", "x"), ("matmul", "ff"), ("matmul", "x")]

    def trace(self, *arguments):
        """The launches of a trace, whose times are those of an in-order queue."""
        path = self.scratch / "trace.json"
        text = self.ok("trace", "-o", path, *arguments)
        written = json.loads(path.read_text(encoding="utf-8"))
        self.assertEqual(written["otherData"]["lost"], 0)
        events = written["traceEvents"]
        self.assertEqual({event["ph"] for event in events}, {"M", "X"})
        self.assertEqual({(event["pid"], event["tid"]) for event in events}, {(0, 0)})
        launches = [event for event in events if event["ph"] == "X"]
        end = 0
        for event in launches:
            self.assertLessEqual(0, event["args"]["queued"])
            self.assertLessEqual(event["args"]["queued"], event["ts"] + 1e-3)
            self.assertLessEqual(end, event["ts"] + 1e-3)  # rounded once
            end = event["ts"] + event["dur"]
        self.assertGreater(end, 0)
        *lines, last = text.split("share\n")[1].splitlines()
        self.assertEqual(last.split()[:2], ["all", str(len(launches))])
        said = [line.split()[-7:-3] for line in lines]  # the first one begins with the form
        kernels = [[event["name"], event["args"]["candidate"], event["args"]["kernel"]]
                   for event in launches]
        self.assertCountEqual(said, [[*one, str(kernels.count(list(one)))]
                                     for one in set(map(tuple, kernels))])
        return launches

    def test_block(self):
        shape = "d=16,heads=2,tokens=3"
        for device, form, block in ((OPENCL, (), self.LN), (HOST, (), self.LN),
                                    (HOST, ("--norm", "rms-deferred"), self.DEFERRED)):
            launches = self.trace("--shape", shape, "--runs", "2", *form, *device)
            for event, (op, node) in zip(launches, block * 2, strict=True):
                self.assertEqual(event["name"], op)
                self.assertTrue(event["args"]["kernel"] and event["args"]["candidate"], event)
                if node:
                    self.assertEqual(event["args"]["node"], node)

    def test_model(self):
        model = tiny_model.write(self.scratch / "model")
        launches = self.trace("--model", model, "--tokens", "2", *HOST)
        names = [event["name"] for event in launches]
        self.assertEqual(names[0], "conv1d")
        # the prompt and two tokens: positions, tokens, and the row whose logits are wanted
        self.assertEqual(names.count("embedding"), 3 * 3)
        self.assertEqual(names[-1], "matmul")

    def test_text(self):
        launches = self.trace("--model", BIBLE, "--tokens", "2", *HOST)
        names = [event["name"] for event in launches]
        self.assertEqual(names[0], "embedding")
        self.assertEqual(names.count("embedding"), 3 * 3)

    def test_failures(self):
        out = self.scratch / "out.json"
        out.write_text("old", encoding="utf-8")
        self.assertIn("no such model", self.line(1, "trace", "-o", out, "--model",
                                                 self.scratch / "none", *HOST))
        self.assertEqual(out.read_text(encoding="utf-8"), "old")
        self.assertEqual([path.name for path in self.scratch.iterdir()], ["out.json"])
        self.line(1, "trace", "-o", self.scratch / "no/such/folder.json", *HOST)


if __name__ == "__main__":
    Clbench.path = pathlib.Path(sys.argv.pop(1)).resolve()
    program.Program.path = Clbench.path
    tap.main()

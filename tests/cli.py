#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manners of the program: usage, exit codes, one line per failure, nothing left behind.

usage: cli.py PROGRAM
"""
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time

import program
import tap
import tiny_model
from program import ROOT, Program, write_wav

COMMANDS = ("generate", "chat", "perplexity", "tokenize", "transcribe", "embed", "convert",
            "check", "devices", "inspect", "graph")
HOST = ("--device", "host")


class Usage(Program):
    def test_help_and_version_everywhere(self):
        version = self.ok("--version")
        self.assertRegex(version, r"^zeromean \d+\.\d+\.\d+\n$")
        self.assertEqual(self.ok("-h"), self.ok("--help"))
        for command in COMMANDS:
            self.assertIn(command, self.ok("--help"))
            self.assertEqual(self.ok(command, "--version"), version)
            text = self.ok(command, "--help")
            self.assertTrue(text.startswith(f"usage: zeromean {command}"), text)
            self.assertIn("Exit status", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_help_wins_over_missing_arguments(self):
        self.ok("convert", "--help", "--norm", "rms")

    def test_no_command(self):
        self.usage()

    def test_unknown_command_and_option(self):
        self.assertIn("'transmogrify'", self.usage("transmogrify"))
        self.assertIn("'--frobnicate'", self.usage("--frobnicate"))
        for command in COMMANDS:
            self.assertIn("'--frobnicate'", self.usage(command, "--frobnicate", "x", "y"))
            self.assertIn("'-Z'", self.usage(command, "-Z", "x", "y"))

    def test_number_of_arguments(self):
        for arguments in (["transcribe"], ["transcribe", "m"], ["convert", "m"], ["check", "m"],
                          ["inspect"], ["inspect", "a", "b"], ["graph"], ["graph", "a", "b"],
                          ["convert", "a", "b", "c"], ["devices", "a"], ["tokenize"],
                          ["tokenize", "a", "b", "c"], ["tokenize", "a", "b", "-p", "c"]):
            self.usage(*arguments)

    def test_values(self):
        for arguments in (["convert", "a", "b", "--norm", "layer"], ["convert", "a", "b", "--norm"],
                          ["convert", "a", "b", "--type=f"], ["convert", "a", "b", "--type", "f32|"],
                          ["convert", "a", "b", "--overwrite=1"],
                          ["check", "a", "b", "--tokens", "0"], ["check", "a", "b", "--tokens", "-1"],
                          ["check", "a", "b", "--tokens", "1e3"],
                          ["check", "a", "b", "--tokens", "99999999999999999999"],
                          ["check", "a", "b", "--tolerance", "nan"],
                          ["check", "a", "b", "--tolerance", "0"],
                          ["check", "a", "b", "--tolerance", "1x"],
                          ["graph", "a", "--part", "both"], ["graph", "a", "--off", ""],
                          ["transcribe", "a", "b", "--repeat", ""],
                          ["transcribe", "a", "b", "--device"], ["transcribe", "a", "b", "-d"],
                          ["transcribe", "a", "b", "--device="]):
            self.usage(*arguments)

    def test_two_dashes_end_the_options(self):
        self.assertIn("--json", self.failure("inspect", "--", "--json"))


class Devices(Program):
    def test_host_is_always_there(self):
        self.assertRegex(self.ok("devices"), r"(?m)^host ")

    def test_json(self):
        devices = self.json("devices")
        self.assertEqual(devices["schema"], "zeromean.devices/1")
        scores = [device["score"] for device in devices["devices"]]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertIn("host", [device["backend"] for device in devices["devices"]])

    def test_an_opencl_device_is_found(self):
        kinds = [device["backend"] for device in self.json("devices")["devices"]]
        self.assertIn("opencl", kinds, "without an OpenCL device these tests prove little")

    def test_a_driver_without_devices_is_said(self):
        """PoCL that can write nowhere gives no device."""
        model = tiny_model.write(self.scratch / "model")
        wav = write_wav(self.scratch / "a.wav", 1)
        nowhere = {"HOME": "/proc", "POCL_CACHE_DIR": "/proc/none", "XDG_CACHE_HOME": "/proc"}
        done = self.run_program("transcribe", model, wav, env=nowhere)
        self.assertEqual(done.returncode, 0, done.stderr)
        warning, device = done.stderr.decode().splitlines()[:2]
        self.assertIn("warning: ", warning)
        self.assertIn("POCL_CACHE_DIR", warning)
        self.assertIn("device host:", device)
        done = self.run_program("transcribe", model, wav, *HOST, env=nowhere)
        self.assertNotIn(b"OpenCL", done.stderr)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            for arguments in (["devices"], ["devices", "--json"], ["--help"]):
                self.assertIn("standard output", self.failure(*arguments, stdout=full))


class Tokenize(Program):
    """The vocabulary of the tiny model is the 256 bytes."""

    def setUp(self):
        super().setUp()
        self.model = tiny_model.write(self.scratch / "model")
        self.text = self.scratch / "text"

    def from_stdin(self, *arguments, data):
        done = subprocess.run([self.path, "tokenize", *map(str, arguments)], input=data,
                              capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def test_text_from_everywhere(self):
        self.assertEqual(self.ok("tokenize", self.model, "-p", "Aé"), "65 195 169\n")
        self.assertEqual(self.ok("tokenize", self.model / "tokenizer.json", "--prompt=Aé"),
                         "65 195 169\n")
        self.text.write_bytes(b"A\0\xc3")
        self.assertEqual(self.ok("tokenize", self.model, self.text), "65 0 239 191 189\n")
        self.assertEqual(self.from_stdin(self.model, data=b"A\n"), b"65 10\n")
        self.assertEqual(self.from_stdin(self.model, data=b""), b"\n")
        data = bytes(range(128)) * 1000
        self.assertEqual(self.from_stdin(self.model, data=data).split(), [b"%d" % c for c in data])

    def test_special_tokens(self):
        special = tiny_model.SPECIAL[0]
        self.assertEqual(self.ok("tokenize", self.model, "-p", f"a{special}"), "97 256\n")
        self.assertEqual(self.ok("tokenize", self.model, "-p", f"a{special}", "--literal").split(),
                         [str(c) for c in f"a{special}".encode()])
        self.assertEqual(self.ok("tokenize", self.model, "--decode", "-p", "97 256"), f"a{special}\n")
        self.assertEqual(self.ok("tokenize", self.model, "--decode", "--bare", "-p", "97 256"), "a\n")

    def test_back_to_text(self):
        self.assertEqual(self.from_stdin(self.model, "--decode", data=b"[65, 195,\t169]\n10 "),
                         "Aé\n".encode())
        self.assertEqual(self.from_stdin(self.model, "--decode", data=b"255 0"), b"\xff\0\n")
        self.assertEqual(self.from_stdin(self.model, "--decode", data=b""), b"\n")
        for wrong in ("x", "1 2x", "-1", "1.5", "99999999999999999999", "99999"):
            self.assertIn(wrong.split()[-1], self.failure("tokenize", self.model, "--decode", "-p", wrong))

    def test_json(self):
        said = self.json("tokenize", self.model, "-p", "Aé")
        self.assertEqual(said["schema"], "zeromean.tokenize/1")
        self.assertEqual((said["text"], said["tokens"]), ("Aé", [65, 195, 169]))
        self.assertEqual(said["pieces"], ["A", "\ufffd", "\ufffd"])
        self.assertGreater(said["vocabulary"], 256)
        self.assertEqual(self.json("tokenize", self.model, "--decode", "-p", "65 195 169")["text"], "Aé")

    def test_what_is_not_there(self):
        self.failure("tokenize", self.scratch / "none", "-p", "a")
        self.failure("tokenize", self.scratch, "-p", "a")
        self.failure("tokenize", self.model, self.scratch / "none")
        self.failure("tokenize", self.model, self.scratch)
        with open("/dev/full", "wb") as full:
            self.assertIn("standard output", self.failure("tokenize", self.model, "-p", "a", stdout=full))

    def test_what_is_not_supported(self):
        made = tiny_model.tokenizer()
        made["normalizer"] = {"type": "Nmt"}
        (self.model / "tokenizer.json").write_text(json.dumps(made), encoding="utf-8")
        self.assertIn("'Nmt'", self.failure("tokenize", self.model, "-p", "a"))
        self.assertEqual(self.ok("tokenize", self.model, "--decode", "-p", "65"), "A\n")


class Models(Program):
    def setUp(self):
        super().setUp()
        self.model = tiny_model.write(self.scratch / "model")
        self.wav = write_wav(self.scratch / "a.wav", 1.5)
        self.out = self.scratch / "out"

    def nothing_left(self):
        left = {path.name for path in self.scratch.iterdir()} - {"model", "a.wav"}
        self.assertEqual(left, set())

    def test_inspect(self):
        self.assertIn("layer_norm", self.ok("inspect", self.model))
        self.assertIn("model.encoder.conv1.weight", self.ok("inspect", self.model, "--tensors"))
        about = self.json("inspect", self.model)
        self.assertEqual(about["schema"], "zeromean.inspect/1")
        self.assertEqual(about["whisper"]["d"], tiny_model.D)
        self.assertNotIn("tensors", about)
        about = self.json("inspect", self.model, "--tensors")
        self.assertEqual(len(about["tensors"]), about["model"]["tensor_count"])

    def test_inspect_metadata(self):
        self.ok("convert", self.model, self.out)
        self.assertIn('zeromean.norm', self.ok("inspect", self.out, "--metadata"))
        self.assertNotIn("metadata", self.json("inspect", self.out))
        about = self.json("inspect", self.out, "--metadata")
        self.assertEqual(about["metadata"]["zeromean.norm"], "rms_norm")

    def test_inspect_gguf(self):
        path = self.scratch / "llama.gguf"
        path.write_bytes(tiny_model.gguf())
        text = self.ok("inspect", path, "--metadata", "--tensors")
        self.assertIn("llama, which is not supported", text)
        self.assertRegex(text, r"nested +array\[2\] u16\[2\], string\[0\]\n")
        self.assertRegex(text, r"a.template +string \"one\\ntwo\?\[1m\"\n")
        self.assertRegex(text, r"tokens +string\[5\] \"0\", \"1\", \"2\", \"3\", \.\.\.\n")
        self.assertRegex(text, r"q4_0 2x32 +blk.0.attn_q.weight\n")
        about = self.json("inspect", path, "--metadata", "--tensors")
        self.assertEqual(about["model"]["architecture"], "llama")
        self.assertEqual(about["model"]["parameters"], 64)
        self.assertEqual(about["metadata"], {
            "a.bool": True, "a.real": 0.5, "a.template": "one\ntwo\x1b[1m",
            "general.architecture": "llama", "nested": [[7, 8], []],
            "tokens": ["0", "1", "2", "3", "\ufffd"]})
        self.assertEqual(about["tensors"], [{"name": "blk.0.attn_q.weight", "dtype": "q4_0",
                                             "shape": [2, 32], "bytes": 36}])
        for arguments in (["convert", path, self.out], ["transcribe", path, self.wav]):
            self.failure(*arguments)
        path.write_bytes(tiny_model.gguf()[:-1])
        self.assertIn("truncated?", self.failure("inspect", path))

    def test_convert_where_there_is_no_place(self):
        self.failure("convert", self.model, "/proc/no/such/place")
        self.failure("convert", self.model, self.scratch / "a.wav" / "out")
        self.nothing_left()

    def test_no_model(self):
        for command in (["inspect"], ["graph"], ["convert", self.out], ["check", self.model],
                        ["transcribe", self.wav]):
            for wrong in (self.scratch / "none", self.wav, "", "\n", "/proc/self/mem"):
                arguments = [command[0], wrong, *command[1:]]
                if command[0] == "check":
                    arguments = [*command, wrong]
                self.failure(*arguments)
        self.nothing_left()

    def test_what_to_give_instead(self):
        self.assertNotIn("zm_", self.failure("inspect", ""))
        self.assertIn("give the directory", self.failure("inspect", ROOT / "README.md"))

    def test_a_layer_too_many_is_one_line(self):
        config = {**tiny_model.config(), "encoder_layers": 1}
        (self.model / "config.json").write_text(json.dumps(config))
        self.assertIn("no known part", self.failure("convert", self.model, self.out))
        self.nothing_left()

    def test_closed_streams(self):
        """Nothing is begun, and no file gets what was meant for a stream."""
        def run(redirection):
            return subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", self.path, "convert",
                                   self.model, self.out], capture_output=True, check=False,
                                  timeout=60)
        done = run(">&-")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output is closed", done.stderr)
        self.assertFalse(self.out.exists())
        self.assertEqual(run("<&- 2>&-").returncode, 0)
        self.ok("inspect", self.out)

    def broken(self, name, data):
        path = self.model / name
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
        for arguments in (["inspect", self.model], ["convert", self.model, self.out],
                          ["check", self.model, self.model, *HOST],
                          ["transcribe", self.model, self.wav, *HOST]):
            error = self.failure(*arguments)
        self.nothing_left()
        return error

    def test_truncated_weights(self):
        data = (self.model / "model.safetensors").read_bytes()
        for size in (0, 1, 7, 8, 9, 1000, len(data) // 2, len(data) - 1):
            with self.subTest(size=size):
                self.broken("model.safetensors", data[:size])

    def test_weights_with_more_behind(self):
        data = (self.model / "model.safetensors").read_bytes()
        self.broken("model.safetensors", data + b"\0")

    def test_missing_and_broken_files(self):
        whole = (self.model / "config.json").read_bytes()
        self.broken("config.json", b"")
        self.broken("config.json", b"{")
        self.broken("config.json", b"[1]")
        self.broken("config.json", whole[: len(whole) // 2])
        self.broken("config.json", b"\xff\xfe\x00")
        self.broken("config.json", None)
        (self.model / "config.json").write_bytes(whole)
        self.broken("model.safetensors", None)

    def test_unknown_architecture(self):
        for wrong in ("bert", "", 7, None):
            config = {**tiny_model.config(), "model_type": wrong}
            self.broken("config.json", json.dumps(config).encode())

    def test_lying_config(self):
        for field, wrong in (("d_model", 32), ("d_model", 0), ("d_model", -1), ("d_model", 1e30),
                             ("d_model", "16"), ("encoder_layers", 3), ("encoder_layers", 2**31),
                             ("encoder_attention_heads", 3), ("vocab_size", 5),
                             ("num_mel_bins", 81), ("max_source_positions", 1499)):
            with self.subTest(field=field, value=wrong):
                config = {**tiny_model.config(), field: wrong}
                self.broken("config.json", json.dumps(config).encode())

    def test_missing_tensor(self):
        weights = tiny_model.tensors()
        del weights["model.decoder.layers.1.fc2.bias"]
        tiny_model.write_safetensors(self.model / "other", weights)
        error = self.broken("model.safetensors", (self.model / "other").read_bytes())
        self.assertIn("model.decoder.layers.1.fc2.bias", error)

    def test_weights_that_are_no_numbers(self):
        weights = tiny_model.tensors()
        weights["model.encoder.layers.1.fc2.weight"][1][5] = float("nan")
        tiny_model.write_safetensors(self.model / "model.safetensors", weights)
        self.assertIn("model.encoder.layers.1.fc2.weight",
                      self.failure("convert", self.model, self.out))
        self.nothing_left()

    def test_broken_tokenizer(self):
        for data in (None, b"", b"{}", b"[[[[[[", b'{"model": {"type": "WordPiece", "vocab": {}}}'):
            path = self.model / "tokenizer.json"
            path.unlink(missing_ok=True)
            if data is not None:
                path.write_bytes(data)
            self.failure("transcribe", self.model, self.wav, *HOST)

    def test_devices_that_are_not_there(self):
        for spec in ("opencl:99", "opencl:no such name", "host:7"):
            self.failure("transcribe", self.model, self.wav, "--device", spec)
            self.failure("transcribe", self.model, self.wav, env={"ZEROMEAN_DEVICE": spec})
            self.failure("check", self.model, self.model, "--device-b", spec)

    def test_devices_that_make_no_sense(self):
        for spec in ("cuda", ":", "opencl:", "x" * 400):
            self.line(2, "transcribe", self.model, self.wav, "--device", spec)

    def test_devices_in_a_split(self):
        run = ("transcribe", self.model, self.wav, "--device")
        self.assertEqual(self.ok(*run, "host,host", "--split", "2,1"), self.ok(*run, "host"))
        said = self.json(*run, "opencl,host", "--split", "1,1")
        self.assertEqual([part["share"] for part in said["split"]], [1, 1])
        self.assertEqual([part["device"]["backend"] for part in said["split"]], ["opencl", "host"])
        self.assertNotIn("split", self.json(*run, "host"))
        report = self.json("check", self.model, self.model, "--device", "host,opencl", "--truth",
                           "--tokens", "2")
        self.assertNotIn("split_a", report)
        self.assertEqual(len(report["split_b"]), 2)
        self.ok("check", self.model, self.model, "--device", "host,host", "--device-b", "host",
                "--split", "1,1", "--tokens", "2")

    def test_splits_that_make_no_sense(self):
        run = ("transcribe", self.model, self.wav, "--device")
        for devices, split in (("host,host", "1"), ("host,host", "1,0"), ("host,host", "1,x"),
                               ("host,host", "1,1,1"), ("host,host", "1,,1"), ("host,host", "1,-1"),
                               ("host", "1,1"), ("host,host", "1," + "9" * 40)):
            self.assertIn("--split: ", self.line(2, *run, devices, "--split", split))
        for devices in ("host,", ",host", "host,,host", ",".join(["host"] * 9)):
            self.assertIn("--device: ", self.line(2, *run, devices))
        self.failure(*run, "host,opencl:99")
        done = self.run_program(*run, "host,host,host")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"layers of the encoder cannot be split over 3 devices", done.stderr)

    def test_what_a_device_refuses_goes_to_the_next(self):
        run = ("transcribe", self.model, self.wav, "--device")
        done = self.run_program(*run, "opencl,host", "--kernel", "attention=ref")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr.decode(), r"warning: .*\(attention -> heads\) goes from device "
                                               r"opencl:\d+ to host: ref: the reference runs on")
        self.assertEqual(done.stdout.decode(), self.ok(*run, "host"))

    def test_forced_kernels(self):
        run = ("transcribe", self.model, self.wav, *HOST, "--kernel")
        for wrong in ("matmul", "matmul=", "no_such_op=ref", "matmul=ref,add=no_such_kernel", "=ref"):
            self.assertIn("--kernel: ", self.line(2, *run, wrong))
        self.assertIn("gpu_direct", self.line(2, *run, "matmul=no_such_kernel"))
        self.assertEqual(self.ok(*run, "matmul=ref,attention=ref"), self.ok(*run[:-1]))
        done = self.run_program(*run, "matmul=cpu")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"the forced kernel cpu can't do it", done.stderr)
        self.ok("check", self.model, self.model, *HOST, "--kernel", "matmul=ref", "--tokens", "2")

    def test_option_beats_environment(self):
        said = self.json("transcribe", self.model, self.wav, *HOST, env={"ZEROMEAN_DEVICE": "opencl:99"})
        self.assertEqual(said["device"]["spec"], "host")
        said = self.json("transcribe", self.model, self.wav, env={"ZEROMEAN_DEVICE": "host"})
        self.assertEqual(said["device"]["spec"], "host")

    def test_not_audio(self):
        empty = write_wav(self.scratch / "empty.wav", 0)
        (self.scratch / "zero.wav").write_bytes(b"")
        (self.scratch / "header.wav").write_bytes(self.wav.read_bytes()[:20])
        for path in (empty, self.scratch / "zero.wav", self.scratch / "header.wav",
                     self.scratch / "none.wav", self.model / "config.json", self.scratch,
                     "/proc/self/mem"):
            self.failure("transcribe", self.model, path, *HOST)
            self.failure("check", self.model, self.model, *HOST, "--audio", path)

    def test_transcribe_names_the_device(self):
        done = self.run_program("transcribe", self.model, self.wav, *HOST)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr.decode(), r"^zeromean: device host: .*\n")
        done = self.run_program("transcribe", self.model, self.wav, *HOST, "--verbose")
        self.assertEqual(done.stderr.count(b"device host:"), 1)

    def test_transcribe_json(self):
        said = self.json("transcribe", self.model, self.wav, *HOST, "--repeat", "2")
        self.assertEqual(said["schema"], "zeromean.transcribe/1")
        (clip,) = said["files"]
        self.assertAlmostEqual(clip["audio_seconds"], 1.5, places=2)
        self.assertEqual(len(clip["timings"]), 2)
        self.assertGreater(clip["timings"][1]["encode_seconds"], 0)
        self.assertGreater(said["peak_rss_bytes"], 1 << 20)

    def test_transcribe_repeats(self):
        once = self.ok("transcribe", self.model, self.wav, *HOST)
        self.assertEqual(once, self.ok("transcribe", self.model, self.wav, *HOST, "--repeat=2"))

    def test_one_bad_file_among_good_ones(self):
        done = self.run_program("transcribe", self.model, self.wav, self.model / "config.json",
                                self.wav, *HOST)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.count(b"== "), 2)
        self.assertIn(b"config.json", done.stderr)
        done = self.run_program("transcribe", self.model, self.scratch / "none", self.wav, *HOST,
                                "--json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(json.loads(done.stdout)["files"]), 1)

    def test_translation_wants_a_multilingual_model(self):
        done = self.run_program("transcribe", self.model, self.wav, *HOST, "--translate")
        self.assertEqual(done.returncode, 1)
        done = self.run_program("transcribe", self.model, self.wav, *HOST, "--language", "tlh")
        self.assertEqual(done.returncode, 1)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            done = self.run_program("transcribe", self.model, self.wav, *HOST, "--json", stdout=full)
        self.assertEqual(done.returncode, 1)

    def test_kernels_are_cached_where_told(self):
        cache = self.scratch / "cache"
        self.ok("transcribe", self.model, self.wav, env={"ZEROMEAN_CACHE_DIR": str(cache)})
        self.assertGreater(len(list(cache.rglob("*"))), 0)


class Interrupt(Program):
    def test_ctrl_c_leaves_nothing(self):
        model = program.required("ZEROMEAN_MODELS_DIR") / "whisper-tiny.en"
        out = self.scratch / "out"
        for delay in (0.02, 0.1, 0.2):
            process = subprocess.Popen([self.path, "convert", model, out], stderr=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            output, error = process.communicate(timeout=60)
            if process.returncode == 0:  # it was faster
                self.assertTrue((out / "model.safetensors").exists())
                shutil.rmtree(out)
            elif process.returncode != -signal.SIGINT:  # else it had not begun
                self.assertEqual((process.returncode, output), (1, b""), error)
                self.assertEqual(error.count(b"\n"), 1, error)
            self.assertEqual(list(self.scratch.iterdir()), [])


    def test_a_signal_stops_plain_c(self):
        """Where a window takes long, nobody waits for its end."""
        model = program.required("ZEROMEAN_MODELS_DIR") / "whisper-tiny.en"
        wav = program.speech(self.scratch / "speech.wav")
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's children inherit that it is ignored
        for number, command in ((signal.SIGINT, ["transcribe", model, wav]),
                                (signal.SIGHUP, ["check", model, model])):
            process = subprocess.Popen([self.path, *command, *HOST], stderr=subprocess.PIPE,
                                       stdout=subprocess.DEVNULL)
            self.assertIn(b"device host", process.stderr.readline())
            time.sleep(1.5)  # it packs the weights, or is in the encoder
            self.assertIsNone(process.poll())
            process.send_signal(number)
            start = time.monotonic()
            _, error = process.communicate(timeout=120)
            self.assertLess(time.monotonic() - start, 8)  # under 2 s on a quiet machine
            self.assertEqual((process.returncode, error), (1, b"zeromean: interrupted\n"))


class Terminal(Program):
    def test_the_bar_comes_back(self):
        """It makes room for text, and is there again for the next file."""
        model = tiny_model.write(self.scratch / "model")
        wav = write_wav(self.scratch / "a.wav", 2)
        ours, theirs = pty.openpty()
        with subprocess.Popen([self.path, "transcribe", model, wav, wav, *HOST], stdout=theirs,
                              stderr=theirs, stdin=subprocess.DEVNULL) as process:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                shown += piece
        os.close(ours)
        self.assertEqual(process.returncode, 0, shown)
        first, second = shown.split(b"==\r\n")[1:]
        for part in (first, second):
            self.assertIn(b"transcribe   [", part)


if __name__ == "__main__":
    Program.path = os.path.abspath(sys.argv.pop(1))
    tap.main()

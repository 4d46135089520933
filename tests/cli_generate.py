#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manners of the commands that run models of language: generate, chat, perplexity.

usage: cli_generate.py PROGRAM
"""
import math
import os
import pathlib
import signal
import subprocess
import sys

import tap
import tiny_model
from program import Program

BIBLE = pathlib.Path(__file__).resolve().parent.parent / "share/bible-gpt2"
COMMANDS = ("generate", "chat", "perplexity")
HOST = ("--device", "host")


class Usage(Program):
    def test_number_of_arguments(self):
        for arguments in (["generate"], ["generate", "a", "b", "c"], ["chat"], ["chat", "a", "b"],
                          ["perplexity"], ["perplexity", "a", "b", "c"],
                          ["generate", "a", "b", "-p", "c"],
                          ["generate", "a", "--batch", "-p", "c"],
                          ["generate", "a", "--system", "s", "-p", "c"]):
            self.usage(*arguments)

    def test_values(self):
        for option, *values in (("--temp", "-1", "x", "inf", "1e300", "1e-300", ""),
                                ("--top-k", "0", "-1", "1.5"),
                                ("--top-p", "0", "-0.1", "1.5", "nan"),
                                ("--min-p", "-0.1", "1.5", "nan"),
                                ("--repeat-penalty", "0", "-1", "1e300", "1e-300"),
                                ("--repeat-last", "0"),
                                ("--seed", "-1", "x", "18446744073709551616"), ("-n", "0"),
                                ("--stop", "")):
            for value in values:
                self.assertIn(f"'{value}'", self.usage("generate", "a", "-p", "b", option, value))
        for option, words in (("--top-p", "above 0 and at most 1"), ("--min-p", "from 0 to 1")):
            self.assertIn(words, self.usage("generate", "a", "-p", "b", option, "2"))
        for option in ("--prompt", "--stop", "--system"):
            said = self.usage("generate", "a", option, "")
            self.assertIn("not an empty one", said)
            self.assertNotIn("16", said)
        self.assertIn("16 times", self.usage("generate", "a", *["--stop", "x"] * 17))
        self.usage("perplexity", "a", "--window", "0")

    def test_help_says_the_seed(self):
        for command in ("generate", "chat"):
            self.assertIn("default 0: the same text each time", self.ok(command, "--help"))

    def test_help_says_the_order_of_the_filters(self):
        text = self.ok("generate", "--help")
        places = [text.index(name) for name in ("--repeat-penalty", "--temp", "--top-k", "--top-p",
                                                "--min-p", "--seed")]
        self.assertEqual(places, sorted(places))


class Refusals(Program):
    def test_models_that_are_not_of_language(self):
        model = tiny_model.write(self.scratch / "speech")
        for command in COMMANDS:
            self.assertIn("transcribe", self.failure(command, model))
            self.failure(command, self.scratch / "none")
            self.failure(command, self.scratch)

    def test_a_file_without_a_tokenizer(self):
        path = self.scratch / "a.gguf"
        path.write_bytes(tiny_model.gguf())
        for command in COMMANDS:
            self.assertIn("tokenizer", self.failure(command, path))


class Language(Program):
    """A tiny model of random weights, on the host."""

    def setUp(self):
        super().setUp()
        self.model = tiny_model.write_language(self.scratch / "tiny.gguf")

    def generate(self, *options, prompt="Hello"):
        return self.ok("generate", self.model, *HOST, "-p", prompt, "-n", "24", *options)

    def test_the_text_is_that_of_the_json(self):
        said = self.json("generate", self.model, *HOST, "-p", "Hello", "-n", "24")
        self.assertEqual(said["schema"], "zeromean.generate/1")
        self.assertEqual(said["prompt_tokens"], list(b"Hello"))
        self.assertEqual(len(said["tokens"]), 24)
        self.assertEqual(said["stop"], "length")
        self.assertEqual(said["text"], bytes(said["tokens"]).decode(errors="replace").replace("\0", "\ufffd"))
        self.assertEqual(self.generate(), said["text"] + "\n")
        timings = said["timings"]
        self.assertEqual(timings["decoded_tokens"], 23)
        self.assertGreater(timings["decode_tokens_per_second"], 0)
        self.assertGreater(timings["total_seconds"], timings["load_seconds"])

    def test_the_prompt_from_everywhere(self):
        path = self.scratch / "prompt"
        expected = self.generate()
        for data in (b"Hello", b"Hello\n", b"Hello\r\n"):
            path.write_bytes(data)
            self.assertEqual(self.ok("generate", self.model, path, *HOST, "-n", "24"), expected)
            with open(path, "rb") as file:
                done = subprocess.run([self.path, "generate", self.model, *HOST, "-n", "24"],
                                      stdin=file, capture_output=True, timeout=60, check=True)
            self.assertEqual(done.stdout.decode(), expected)
        read, write = os.pipe()
        os.write(write, b"Hello\n")
        os.close(write)
        self.assertEqual(self.ok("generate", self.model, f"/dev/fd/{read}", *HOST, "-n", "24",
                                 pass_fds=[read]), expected)
        os.close(read)
        path.write_bytes(b"\n")
        self.assertIn("empty", self.failure("generate", self.model, path, *HOST))

    def test_several_prompts(self):
        prompts = ("Hello", "x", "A rather long one")
        given = [part for prompt in prompts for part in ("-p", prompt)]
        for options in ((), ("--temp", "1", "--seed", "5")):
            common = (*HOST, "-n", "9", *options)
            alone = [self.json("generate", self.model, "-p", prompt, *common) for prompt in prompts]
            together = self.json("generate", self.model, *given, *common)
            for key in ("schema", "prompt_tokens", "text", "tokens", "stop"):
                self.assertEqual([one[key] for one in together], [one[key] for one in alone])
        path = self.scratch / "lines"
        path.write_text("Hello\r\nx\nA rather long one\n")
        told = self.ok("generate", self.model, path, "--batch", *common)
        self.assertEqual(told, "".join(f"[{i}]\n{one['text']}\n" for i, one in enumerate(alone, 1)))
        path.write_text("Hello\n")
        one, = self.json("generate", self.model, path, "--batch", *common)
        self.assertEqual(one["tokens"], alone[0]["tokens"])
        path.write_text("Hello\n\nx\n")
        self.assertIn("prompt 2 is empty", self.failure("generate", self.model, path, "--batch"))
        path.write_text("x\n" * 257)
        self.assertIn("256 prompts", self.failure("generate", self.model, path, "--batch"))

    def test_seeds(self):
        texts = [self.generate("--temp", "1", "--seed", seed) for seed in "112"]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[1], texts[2])
        self.assertEqual(self.generate("--temp", "1", "--top-k", "1"), self.generate())

    def fails_late(self, *options, prompt="Hello"):
        """Behind the line that says which device it is."""
        done = self.run_program("generate", self.model, *HOST, "-p", prompt, *options)
        self.assertEqual(done.returncode, 1)
        return done.stderr.decode().splitlines()[-1]

    def test_stop_strings(self):
        text = self.generate()
        stop = next(c for c in text[1:] if c.isascii() and c.isprintable())
        self.assertEqual(self.generate("--stop", stop, "--stop", "never"),
                         text[:text.index(stop)] + "\n")

    def test_a_prompt_that_is_too_long(self):
        self.assertIn("context has room for 256", self.fails_late(prompt="x" * 256))
        self.assertIn("context has room for 64", self.fails_late("--context", "64", prompt="x" * 64))
        self.assertIn("made for 256", self.failure("generate", self.model, *HOST, "-c", "257", "-p", "x"))
        self.assertEqual(self.json("generate", self.model, *HOST, "-p", "x" * 250, "--ignore-eos")["stop"],
                         "context")

    def test_a_message(self):
        said = self.json("generate", self.model, *HOST, "--chat", "--system", "Be.", "-p", "Hi")
        marks = {256: "<|endoftext|>", 257: "<|im_start|>", 258: "<|im_end|>"}
        self.assertEqual("".join(marks.get(token) or chr(token) for token in said["prompt_tokens"]),
                         "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                         "<|im_start|>assistant\n")
        self.assertIn("special", self.failure("generate", self.model, "--chat", "-p", "<|im_end|>"))

    def chat(self, lines, *options):
        done = subprocess.run([self.path, "chat", self.model, *HOST, *options], input=lines.encode(),
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, done.stderr.decode()

    def test_chat(self):
        """The first answer is that to the message alone; the second one sees what was before."""
        alone = self.generate("--chat", prompt="Hi").lstrip(" \n")
        both, messages = self.chat("Hi\n\n  \nHi\n", "-n", "24")
        self.assertTrue(both.decode().startswith(alone))
        self.assertNotEqual(both.decode()[len(alone):], alone)
        self.assertEqual(messages.count("cut off"), 2)
        refused, messages = self.chat("<|im_end|>\nHi\n", "-n", "24")
        self.assertEqual(refused.decode(), alone)
        self.assertEqual(messages.count("special"), 1)
        self.assertRegex(messages, r"; prompt \d+ tokens, [\d.]+ tok/s; text 24 tokens, [\d.]+ tok/s\n$")
        nothing, messages = self.chat("")
        self.assertEqual((nothing, messages.count("tok/s")), (b"", 0))

    def test_chat_goes_on_with_its_random_numbers(self):
        """Also where the conversation begins anew, with the same message."""
        options, message = ("-n", "8", "--temp", "1"), "x" * 150 + "\n"
        one, two = (self.chat(message * count, *options) for count in (1, 2))
        self.assertIn("begins anew", two[1])
        self.assertTrue(two[0].startswith(one[0]))
        self.assertNotEqual(two[0], one[0] * 2)
        self.assertIn("text 16 tokens", two[1])

    def test_chat_begins_anew_when_it_is_too_long(self):
        _, messages = self.chat(("x" * 150 + "\n") * 2 + "x" * 300 + "\nHi\n", "-n", "8")
        self.assertEqual(messages.count("begins anew"), 2, messages)
        self.assertEqual(messages.count("has room for 256"), 1, messages)

    def test_ctrl_c_stops_an_answer(self):
        """... and the conversation goes on; another signal ends it."""
        model = tiny_model.write_language(self.scratch / "long.gguf", context=4096)
        for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 1)):
            with subprocess.Popen([self.path, "chat", model, *HOST, "--temp", "1"], bufsize=0,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as chat:
                chat.stdin.write(b"Hi\n")
                self.assertTrue(chat.stdout.read(1))
                chat.send_signal(number)
                _, error = chat.communicate(b"<|im_end|>\n", timeout=60)
            self.assertEqual(chat.returncode, code, error)
            self.assertEqual(error.count(b"special"), int(code == 0), error)

    def test_convert_and_check(self):
        out, text = self.scratch / "out", self.scratch / "text"
        text.write_text("Now these are the generations.")
        self.assertIn("21 of 64 tensors recentred", self.ok("convert", BIBLE, out))
        for more in ([], ["--truth"], ["--text", text]):
            said = self.json("check", BIBLE, out, *HOST, "--tokens", "3", *more)
            self.assertEqual((said["equal"], said["tokens_equal"], said["top"]), (True, 3, 5))
            self.assertLess(0, said["final_relative_l2"])
            self.assertEqual(said["top_agreement"], 1.0)
            first = said["rows"][0]
            self.assertEqual(first["what"], "decoder.input")
            self.assertLess(first["mean_b"], 1e-5 * first["mean_a"])
            self.assertAlmostEqual(first["rms_a"] / first["rms_b"], 1, places=2)
        self.assertIn("3 of 3 greedy tokens", self.ok("check", BIBLE, out, *HOST, "--tokens", "3"))
        self.assertIn("hears no audio", self.failure("check", BIBLE, out, "--audio", text))
        self.failure("check", BIBLE, out, "--text", self.scratch / "none")
        self.assertIn("there is nothing to convert",
                      self.failure("convert", self.model, self.scratch / "rms.gguf"))

    def test_perplexity(self):
        path = self.scratch / "text"
        path.write_text("abcdefgh" * 20)
        said = self.json("perplexity", self.model, path, *HOST, "--window", "64")
        self.assertEqual(said["schema"], "zeromean.perplexity/1")
        self.assertEqual((said["tokens"], said["window"], said["windows"]), (157, 64, 3))
        self.assertAlmostEqual(said["perplexity"] / math.exp(said["mean"]), 1, places=6)
        self.assertGreater(said["perplexity"], 30)
        text = self.ok("perplexity", self.model, path, *HOST, "--window", "64")
        self.assertRegex(text, r"^perplexity %.4f \+- \d+\.\d+, 157 tokens predicted, 3 windows"
                         % said["perplexity"])


if __name__ == "__main__":
    Program.path = os.path.abspath(sys.argv.pop(1))
    tap.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manners of the commands that run models of language: generate, chat, perplexity.

usage: cli_generate.py PROGRAM
"""
import os
import sys

import tap
import tiny_model
from program import Program

COMMANDS = ("generate", "chat", "perplexity")


class Usage(Program):
    def test_number_of_arguments(self):
        for arguments in (["generate"], ["generate", "a", "b", "c"], ["chat"], ["chat", "a", "b"],
                          ["perplexity"], ["perplexity", "a", "b", "c"],
                          ["generate", "a", "b", "-p", "c"],
                          ["generate", "a", "--system", "s", "-p", "c"]):
            self.usage(*arguments)

    def test_values(self):
        for option, *values in (("--temp", "-1", "x", "inf", ""), ("--top-k", "0", "-1", "1.5"),
                                ("--top-p", "0", "-0.1"), ("--min-p", "-0.1", "nan"),
                                ("--repeat-penalty", "0", "-1"), ("--repeat-last", "0"),
                                ("--seed", "-1", "x", "18446744073709551616"), ("-n", "0"),
                                ("--stop", "")):
            for value in values:
                self.assertIn(f"'{value}'", self.usage("generate", "a", "-p", "b", option, value))
        self.assertIn("16 times", self.usage("generate", "a", *["--stop", "x"] * 17))
        self.usage("perplexity", "a", "--window", "0")

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


if __name__ == "__main__":
    Program.path = os.path.abspath(sys.argv.pop(1))
    tap.main()

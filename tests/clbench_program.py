# SPDX-License-Identifier: Apache-2.0
"""What tests of clbench have in common."""
import json
import re

import program

HOST = ("--device", "host")
OPENCL = ("--device", "opencl")
QUICK = ("--time", "0.01")


class Clbench(program.Program):
    def line(self, code, *arguments, **options):
        """Fails with this code and one line of its own; the device may be named before it."""
        done = self.run_program(*arguments, **options)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(done.returncode, code, f"{arguments}: {lines}")
        said = [line for line in lines if not re.match("clbench: device [a-z]", line)]
        self.assertEqual(len(said), 1, f"{arguments}: not one line: {lines}")
        self.assertTrue(said[0].startswith("clbench: "), said)
        return said[0]

    def result(self, *arguments):
        """The parsed result, written to a file as well."""
        result = self.json(*arguments)
        path = self.scratch / f"{len(list(self.scratch.iterdir()))}.json"
        path.write_text(json.dumps(result), encoding="utf-8")
        return result, path

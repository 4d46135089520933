#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Would the ONNX test notice a wrong result, a lost case, a broken file?

usage: files.py TEST-ONNX
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tap  # pylint: disable=wrong-import-position


class Vectors(unittest.TestCase):
    """A copy of the vectors, changed."""
    program = None

    def setUp(self):
        given = os.environ.get("ZEROMEAN_TEST_ONNX", "")
        self.assertTrue(os.path.isdir(given), "run scripts/onnx-vectors, set ZEROMEAN_TEST_ONNX")
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.index, self.data = self.folder / "cases.json", self.folder / "vectors.safetensors"
        for file in (self.index, self.data):
            shutil.copy(pathlib.Path(given) / file.name, file)

    def run_program(self, folder=None):
        environment = {**os.environ, "ZEROMEAN_TEST_ONNX": str(folder or self.folder)}
        return subprocess.run([self.program, "host"], capture_output=True, text=True, timeout=300,
                              check=False, env=environment)

    def assertRefused(self, words, folder=None):
        done = self.run_program(folder)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertNotIn("ok", done.stdout)

    def assertFails(self, words):
        done = self.run_program()
        self.assertEqual(done.returncode, 1, done.stderr)
        failures = [line for line in done.stdout.splitlines() if line.startswith("not ok")]
        self.assertEqual(len(failures), 1, failures)
        self.assertIn(words, failures[0])
        return done.stdout

    def edit_index(self, name, change):
        index = json.loads(self.index.read_text(encoding="utf-8"))
        change(next(case for case in index["cases"] if case["name"] == name))
        self.index.write_text(json.dumps(index), encoding="utf-8")

    def place_of(self, tensor):
        """Where its first byte is in the file."""
        data = self.data.read_bytes()
        size = struct.unpack_from("<Q", data)[0]
        return 8 + size + json.loads(data[8:8 + size])[tensor]["data_offsets"][0]

    def test_unchanged_they_pass(self):
        done = self.run_program()
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_a_wrong_number(self):
        at = self.place_of("test_matmul_2d/c")
        data = bytearray(self.data.read_bytes())
        value = struct.unpack_from("<f", data, at)[0]
        struct.pack_into("<f", data, at, value * (1 + 1e-4))
        self.data.write_bytes(data)
        self.assertIn("c[0] is ", self.assertFails("test_matmul_2d on host"))

    def test_a_wrong_attribute(self):
        self.edit_index("test_softmax_axis_0", lambda case: case["attributes"].update(axis=1))
        self.assertFails("test_softmax_axis_0 on host")

    def test_a_lost_case(self):
        self.edit_index("test_gelu_tanh_1", lambda case: case.update(op="Mish"))
        self.assertFails("Gelu: 3 cases, at least 4 expected")

    def test_shapes_that_are_not_those_of_the_operator(self):
        self.edit_index("test_matmul_2d", lambda case: case.update(inputs=["b", "a"]))
        self.assertFails("test_matmul_2d on host")

    def test_numbers_that_make_no_sense(self):
        self.edit_index("test_attention_3d", lambda case: case["attributes"].update(kv_num_heads=-3))
        self.assertFails("Attention: 40 cases, at least 41 expected")

    def test_operands_of_other_batches(self):
        self.edit_index("test_attention_4d_causal_nonpad_batch_prefill",
                        lambda case: case["inputs"].__setitem__(6, "K"))
        self.assertFails("Attention: 40 cases, at least 41 expected")

    def test_no_folder(self):
        self.assertRefused("cases.json", self.folder / "none")

    def test_a_missing_tensor(self):
        self.edit_index("test_matmul_2d", lambda case: case.update(outputs=["d"]))
        self.assertRefused("test_matmul_2d/d is missing")

    def test_an_index_that_is_cut_off(self):
        self.index.write_bytes(self.index.read_bytes()[:-20])
        self.assertRefused("cases.json: not valid JSON")

    def test_an_index_without_cases(self):
        self.index.write_text("{}", encoding="utf-8")
        self.assertRefused("cases.json: there is no case in it")

    def test_a_case_without_an_operator(self):
        self.edit_index("test_matmul_2d", lambda case: case.pop("op"))
        self.assertRefused("lacks its name, op or attributes")

    def test_operands_that_are_no_names(self):
        self.edit_index("test_matmul_2d", lambda case: case.update(inputs=[1]))
        self.assertRefused("operand 0 of test_matmul_2d is no name")
        self.edit_index("test_matmul_2d", lambda case: case.update(inputs={}))
        self.assertRefused("test_matmul_2d has no list")
        self.edit_index("test_matmul_2d", lambda case: case.update(inputs=[]))
        self.assertRefused("test_matmul_2d has no first input")

    def test_vectors_that_are_cut_off(self):
        self.data.write_bytes(self.data.read_bytes()[:-20])
        self.assertRefused("vectors.safetensors")


if __name__ == "__main__":
    Vectors.program = sys.argv.pop(1)
    tap.main()

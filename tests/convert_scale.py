# SPDX-License-Identifier: Apache-2.0
"""Conversions that are killed leave nothing, and those of large models take little memory.

Models of zeros in sparse shards, so that reading them takes no space; what is written does.

usage: convert_scale.py ZEROMEAN small|large FOLDER
"""
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import tap

PROGRAM, SCALE, FOLDER = sys.argv[1:]
SEED = 20260601
# d, ff, layers, vocabulary, shards; OPT-6.7B is 6.66 G parameters.
KILLED = {"small": (256, 1024, 4, 2000, 3), "large": (768, 3072, 12, 8000, 3)}[SCALE]
KILLS = {"small": 6, "large": 20}[SCALE]
LARGE = (4096, 16384, 32, 50272, 7)
LARGE_SPACE = 20 << 30  # it writes 13.3 GB
LARGE_MEMORY = 1 << 30
TABLE = (256, 256, 1, 250000, 1)
POSITIONS = 2048


def shapes(d, ff, layers, vocabulary, _):
    name = "model.decoder."
    yield name + "embed_tokens.weight", [vocabulary, d]
    yield name + "embed_positions.weight", [POSITIONS + 2, d]
    linears = [(f"self_attn.{part}_proj", d, d) for part in ("q", "k", "v", "out")]
    linears += [("fc1", ff, d), ("fc2", d, ff)]
    for i in range(layers):
        layer = f"{name}layers.{i}."
        for part, rows, cols in linears:
            yield f"{layer}{part}.weight", [rows, cols]
            yield f"{layer}{part}.bias", [rows]
        for norm in ("self_attn_layer_norm", "final_layer_norm"):
            yield f"{layer}{norm}.weight", [d]
            yield f"{layer}{norm}.bias", [d]
    yield name + "final_layer_norm.weight", [d]
    yield name + "final_layer_norm.bias", [d]


def elements(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def write_shard(path, tensors):
    header, offset = {}, 0
    for name, shape in tensors:
        size = 2 * elements(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + offset)


def write_model(folder, size):
    d, ff, layers, vocabulary, shards = size
    folder.mkdir()
    config = {"model_type": "opt", "hidden_size": d, "num_hidden_layers": layers, "ffn_dim": ff,
              "num_attention_heads": d // 64, "vocab_size": vocabulary, "activation_function": "relu",
              "max_position_embeddings": POSITIONS, "do_layer_norm_before": True,
              "word_embed_proj_dim": d, "tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors, weight_map = list(shapes(*size)), {}
    for i in range(shards):
        name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        write_shard(folder / name, tensors[i::shards])
        weight_map.update((tensor, name) for tensor, _ in tensors[i::shards])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}),
                                                         encoding="utf-8")
    return sum(elements(shape) for _, shape in tensors)


def digest(folder):
    out = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        out.update(path.name.encode() + path.read_bytes())
    return out.hexdigest()


def memory_of_children():
    """The most that one of them has had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


class Scale(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(dir=FOLDER, prefix="convert-scale-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.model, self.parent = self.scratch / "model", self.scratch / "results"
        self.parent.mkdir()
        self.out = self.parent / "out"
        self.command = [PROGRAM, "convert", self.model, self.out, "--type", "f16"]

    def start(self, *more):
        def heed():  # what a shell starts in the background ignores it
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen([*self.command, *more], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, preexec_fn=heed)

    def finish(self, *more):
        """Seconds of a conversion that nobody disturbs, which has cleaned up behind others."""
        begin = time.monotonic()
        process = self.start(*more)
        _, errors = process.communicate(timeout=800)
        self.assertEqual(process.returncode, 0, errors.decode())
        self.assertEqual(os.listdir(self.parent), ["out"])
        return time.monotonic() - begin

    def kill(self, seconds, *more, number=signal.SIGKILL):
        process = self.start(*more)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            process.communicate(timeout=60)
        return process.returncode

    def test_killed(self):
        """At random moments: the output is absent or complete, and what is there stays."""
        write_model(self.model, KILLED)
        seconds, wanted = self.finish(), digest(self.out)
        shutil.rmtree(self.out)
        moments, killed = random.Random(SEED), 0
        for _ in range(KILLS):
            killed += self.kill(moments.uniform(0.02, 1) * seconds) == -signal.SIGKILL
            if self.out.exists():
                self.assertEqual(digest(self.out), wanted)
                shutil.rmtree(self.out)
        self.assertGreater(killed, KILLS // 3)
        self.finish()
        for _ in range(KILLS // 3):
            self.kill(moments.uniform(0.02, 1) * seconds, "--overwrite")
            self.assertEqual(digest(self.out), wanted)
        self.finish("--overwrite")
        self.assertEqual(digest(self.out), wanted)

    @unittest.skipIf(SCALE == "large", "the large one is measured as well")
    def test_memory(self):
        """Less than one tensor takes."""
        write_model(self.model, TABLE)
        self.finish()
        self.assertLess(memory_of_children(), TABLE[0] * TABLE[3] * 2 - (16 << 20))

    @unittest.skipIf(SCALE == "small", "writes 13 GB")
    def test_seven_billion(self):
        """In bounded memory, and stopped in the middle of writing."""
        if shutil.disk_usage(FOLDER).free < LARGE_SPACE:
            self.skipTest("there are no 20 GB of free space")
        parameters = write_model(self.model, LARGE)
        self.assertGreater(parameters, 6.5e9)
        for number, code in ((signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)):
            self.assertEqual(self.kill(random.Random(SEED + number).uniform(1, 15),
                                       number=number), code)
            self.assertFalse(self.out.exists())
        seconds = self.finish()
        memory = memory_of_children()
        size = (self.out / "model.safetensors").stat().st_size
        print(f"# {parameters / 1e9:.2f} G parameters in {seconds:.0f} s, {size / 1e9 / seconds:.2f} "
              f"GB/s, {memory / 1e6:.0f} MB of memory", flush=True)
        self.assertGreater(size, 2 * parameters)
        self.assertLess(memory, LARGE_MEMORY)


if __name__ == "__main__":
    tap.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Zeromean and CTranslate2, both float32, on the same speech in the same run.

usage: bench/compare/whisper.py [--model whisper-base] [--rounds 5] [--repeat 4] [--device SPEC]
                                [--converted]

Rounds alternate between the two. In a round each does the work --repeat times; the first time
warms up and is not counted. Rounds in which other processes took more than 5 % of the processors
are dropped and done again. "encoder": from the log-mel spectrogram of a 30 s window to the encoder's output.
"transcription": encoder and greedy decoder, from the spectrogram to the last token. Reading the
audio and the spectrogram are in neither. CTranslate2 runs with one thread per processor.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import quiet

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VENV = ROOT / "build/bench-venv/bin/python"
MODELS = pathlib.Path(os.environ.get("ZEROMEAN_MODELS_DIR", ROOT / "models"))
SPEECH = pathlib.Path(os.environ.get("ZEROMEAN_TEST_SPEECH",
                                     "/usr/share/pocketsphinx/test/data/librivox"))
PROGRAM = ROOT / "build/zeromean"


class Zeromean:
    name = "zeromean"

    def __init__(self, model, wav, repeat, device):
        self.command = [PROGRAM, "transcribe", model, wav, "--json", "--repeat", str(repeat + 1)]
        if device:
            self.command += ["--device", device]

    def run(self):
        """[(encoder, transcription)] of the counted repetitions, and the tokens."""
        done = subprocess.run(self.command, stdout=subprocess.PIPE, check=True)
        self.said = json.loads(done.stdout)
        clip = self.said["files"][0]
        times = [(t["encode_seconds"], t["encode_seconds"] + t["decode_seconds"])
                 for t in clip["timings"][1:]]
        return times, clip["tokens"]


class CTranslate2:
    name = "ctranslate2"

    def __init__(self, model, wav, repeat):
        import ctranslate2
        import numpy
        import mel
        from ct2_model import prepare

        self.repeat = repeat
        folder, self.prompt = prepare(model)
        self.model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32",
                                                intra_threads=quiet.CORES)
        spectrogram = mel.log_mel(mel.read_wav(wav))
        self.mel = ctranslate2.StorageView.from_array(numpy.ascontiguousarray(spectrogram[None]))

    def once(self):
        start = time.perf_counter()
        self.model.encode(self.mel, to_cpu=True)
        encoded = time.perf_counter()
        result = self.model.generate(self.mel, [self.prompt], beam_size=1, max_length=440)[0]
        done = time.perf_counter()
        return (encoded - start, done - encoded), list(result.sequences_ids[0])

    def run(self):
        self.once()
        results = [self.once() for _ in range(self.repeat)]
        return [times for times, _ in results], results[-1][1]



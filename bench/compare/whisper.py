#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Zeromean and CTranslate2, both in float32, on the same speech in the same run.

usage: bench/compare/whisper.py [--model whisper-base] [--rounds 5] [--repeat 4] [--device SPEC]
                                [--original]

Sets up all that it needs by scripts/bench-setup. Rounds alternate between the two.
In a round each does the work --repeat times after a first time that warms up and is not counted.
A round during which other processes took more than 5 % of the processors is dropped and done
again, at most twice as often as asked for; if that leaves nothing, the disturbed rounds are shown
as what they are. Shown are medians over all counted repetitions.

encoder        from the log-mel spectrogram of one window (30 s) to the encoder's output; for
               Zeromean the first step of the decoder is in it too, which waits for the encoder
transcription  encoder and greedy decoder, from the spectrogram to the last token

Reading audio and the spectrogram are in neither. CTranslate2 runs one thread per processor.
--original runs Zeromean on the Pre-LN model instead of the converted one.
"""
import argparse
import json
import os
import pathlib
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
# As Zeromean's: start, language, task, no timestamps.
PROMPTS = {"whisper-base": [50258, 50259, 50359, 50363], "whisper-tiny.en": [50257, 50362]}


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
    name = "CTranslate2"

    def __init__(self, model, wav, repeat):
        import ctranslate2
        import mel

        folder = ROOT / "build/bench-models" / model
        self.repeat = repeat
        self.prompt = PROMPTS[model]
        self.model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32",
                                                intra_threads=quiet.CORES)
        self.mel = ctranslate2.StorageView.from_array(mel.log_mel(mel.read_wav(wav))[None])

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


def measure(engines, rounds):
    """name -> [(encoder, transcription)], name -> tokens, and whether all of it was quiet."""
    times = {engine.name: [] for engine in engines}
    disturbed = {engine.name: [] for engine in engines}
    tokens, dropped = {}, 0
    while min(len(t) for t in times.values()) < rounds and dropped <= 2 * rounds:
        for engine in engines:
            if len(times[engine.name]) == rounds:
                continue
            quiet.wait(10)
            with quiet.Watch() as watch:
                result, tokens[engine.name] = engine.run()
            keep = watch.quiet
            (times if keep else disturbed)[engine.name].append(result)
            dropped += not keep
            best = min(encoder for encoder, _ in result), min(whole for _, whole in result)
            print(f"  {engine.name:12} encoder {best[0] * 1e3:7.1f} ms, transcription "
                  f"{best[1] * 1e3:7.1f} ms at best; others took {watch.others:.1%}"
                  f"{'' if keep else ': dropped'}", flush=True)
    is_quiet = all(times.values())
    return ({name: sum(times[name] if is_quiet else times[name] + disturbed[name], [])
             for name in times}, tokens, is_quiet)


def report(times, tokens, is_quiet):
    if not is_quiet:
        print("DISTURBED by other processes in every round: do not quote these figures")
    medians = {name: [statistics.median(column) for column in zip(*rows)]
               for name, rows in times.items()}
    ours, theirs = medians[Zeromean.name], medians[CTranslate2.name]
    print(f"\n{'median of':14} {'zeromean':>12} {'CTranslate2':>12} {'ratio':>7}")
    for i, what in enumerate(("encoder", "transcription")):
        print(f"{what:14} {ours[i] * 1e3:9.1f} ms {theirs[i] * 1e3:9.1f} ms "
              f"{theirs[i] / ours[i]:6.2f}x")
    print("(ratio: how many times as fast as CTranslate2; repetitions "
          f"{len(times[Zeromean.name])} and {len(times[CTranslate2.name])})")
    same = tokens[Zeromean.name] == tokens[CTranslate2.name]
    print(f"tokens: {len(tokens[Zeromean.name])} and {len(tokens[CTranslate2.name])}, "
          f"{'the same' if same else 'DIFFERENT'}")
    return same


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="whisper-base", choices=sorted(PROMPTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=4)
    parser.add_argument("--device")
    parser.add_argument("--original", action="store_true")
    options = parser.parse_args()
    if sys.prefix == sys.base_prefix:  # go on inside the virtual environment
        if subprocess.run([ROOT / "scripts/bench-setup", options.model], check=False).returncode:
            sys.exit(1)  # it has said why
        os.execv(VENV, [VENV, *sys.argv])

    clips = sorted(SPEECH.glob("*.wav"))
    if not clips:
        sys.exit(f"{SPEECH}: no speech there; scripts/setup installs it")
    with tempfile.TemporaryDirectory() as scratch:
        wav = os.path.join(scratch, "speech.wav")
        subprocess.run([ROOT / "scripts/join-wav", wav, *clips], check=True)
        model = MODELS / options.model
        if not options.original:
            model = pathlib.Path(scratch) / "converted"
            subprocess.run([PROGRAM, "convert", MODELS / options.model, model], check=True,
                           stdout=subprocess.DEVNULL)
        ours = Zeromean(model, wav, options.repeat, options.device)
        theirs = CTranslate2(options.model, wav, options.repeat)
        print(f"{options.model}, float32, {quiet.CORES} processors of {processor()}")
        times, tokens, is_quiet = measure([ours, theirs], options.rounds)
        print(f"\nzeromean on {ours.said['device']['spec']}: {ours.said['device']['name']}, "
              f"{ours.said['norm']}, peak memory {ours.said['peak_rss_bytes'] / 1e6:.0f} MB")
        sys.exit(0 if report(times, tokens, is_quiet) else 1)


if __name__ == "__main__":
    main()

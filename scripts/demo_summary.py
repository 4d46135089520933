#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo found, in words.

usage: demo_summary.py transcript FILE.json | all FOLDER

`all` exits with 1 unless the transcripts are the same and every error is within 1e-5.
"""
import json
import pathlib
import sys
import textwrap

LIMIT = 1e-5


def read(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def device(about):
    return f"{about['spec']}: {about['name']} ({about['platform']})"


def transcript(said):
    clip, timing = said["files"][0], said["files"][0]["timings"][0]
    print(textwrap.fill(clip["text"], 90, initial_indent="   ", subsequent_indent="   "))
    print(f"   {len(clip['tokens'])} tokens, {said['norm']}, on {device(said['device'])}")
    print(f"   {clip['audio_seconds']:.1f} s of speech in {timing['total_seconds']:.2f} s: encoder "
          f"{timing['encode_seconds']:.2f} s, decoder {timing['decode_seconds']:.2f} s; "
          f"{said['peak_rss_bytes'] / 1e6:.0f} MB of memory at most")


def encoder_error(report):
    errors = [row["relative_l2"] for row in report["rows"] if row["what"] == "encoder.output"]
    return float("inf") if errors[0] is None else errors[0]


def summary(folder):
    before, after = (read(folder / f"{name}.json") for name in ("before", "after"))
    texts = [said["files"][0]["text"] for said in (before, after)]
    tokens = [said["files"][0]["tokens"] for said in (before, after)]
    same = texts[0] == texts[1] and tokens[0] == tokens[1]
    good = same
    print(f"Device       {device(after['device'])}")
    print(f"Transcripts  {'the same' if same else 'DIFFERENT'}: {len(tokens[0])} tokens before, "
          f"{len(tokens[1])} after conversion")
    for name, words in (("pair", "between the two"), ("truth_before", "Pre-LN from the truth"),
                        ("truth_after", "Pre-RMSNorm from the truth")):
        report = read(folder / f"{name}.json")
        error = encoder_error(report)
        good = good and error <= LIMIT and report["equal"]
        print(f"Encoder      {error:.1e} {words} (relative L2, limit {LIMIT:.0e}); all outputs "
              f"{'equal' if report['equal'] else 'NOT EQUAL'} within {report['tolerance']:.0e}, "
              f"{report['tokens_equal']} of {report['tokens']} greedy tokens the same")
    print("Result       " + ("the converted model is the same function, without the mean"
                             if good else "the models DIFFER"))
    return good


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("transcript", "all"):
        sys.exit(__doc__.strip())
    if sys.argv[1] == "transcript":
        transcript(read(sys.argv[2]))
    elif not summary(pathlib.Path(sys.argv[2])):
        sys.exit(1)

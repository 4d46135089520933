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


def error(report, what):
    """Relative L2 of one row; infinite where it could not be formed."""
    value = [row["relative_l2"] for row in report["rows"] if row["what"] == what][0]
    return float("inf") if value is None else value


def summary(folder):
    before, after = (read(folder / f"{name}.json") for name in ("before", "after"))
    texts = [said["files"][0]["text"] for said in (before, after)]
    tokens = [said["files"][0]["tokens"] for said in (before, after)]
    good = texts[0] == texts[1] and tokens[0] == tokens[1]
    print(f"Device       {device(after['device'])}")
    print(f"Transcripts  {'the same' if good else 'DIFFERENT'}: {len(tokens[0])} tokens before, "
          f"{len(tokens[1])} after conversion")
    print(f"Relative L2  (limit {LIMIT:.0e})             encoder   logits   same greedy tokens")
    for name, words in (("pair", "converted from original"),
                        ("truth_before", "original from float64"),
                        ("truth_after", "converted from float64")):
        report = read(folder / f"{name}.json")
        errors = [error(report, what) for what in ("encoder.output", "logits")]
        good = good and max(errors) <= LIMIT and report["tokens"] == report["tokens_equal"]
        print(f"             {words:26} {errors[0]:9.1e} {errors[1]:9.1e}   "
              f"{report['tokens_equal']} of {report['tokens']}")
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

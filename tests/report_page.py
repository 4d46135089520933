#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pages of clbench report and zeromean check, looked at in a headless Chromium: light and dark, on a screen and on a
telephone. Skipped where there is no Chromium (scripts/setup --full installs it).

usage: report_page.py CLBENCH ZEROMEAN

Each complaint that looking can make is also provoked, by a page that is spoilt on purpose.
"""
import json
import math
import pathlib
import subprocess
import sys

import browser
import program
import tap
from bench_results import result, row

BIBLE = pathlib.Path(__file__).parents[1] / "share/bible-gpt2"
SCHEMES = ("light", "dark")
WIDTHS = (1280, 820, 390)
LOOK = (pathlib.Path(__file__).parent / "report_page.js").read_text(encoding="utf-8")
# What WCAG asks of text, and of shapes that carry meaning.
TEXT_CONTRAST, MARK_CONTRAST = 4.5, 3.0
SMALLEST_TEXT = 11
# How many marks of each kind results() makes.
KINDS = {"bar": 34, "dot": 8, "interval": 8, "point": 58, "hollow": 8, "roof": 8, "curve": 28,
         "key": 18}


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (value / 255 for value in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def overlap(a, b):
    """Pixels that two boxes share, in the direction in which they share less."""
    return min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))


def of_events(events, path):
    for event in events:
        parameters = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            yield f"script error: {parameters['exceptionDetails']['text']}"
        elif event["method"] == "Log.entryAdded":
            yield f"log: {parameters['entry']['text']}"
        elif event["method"] == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if url != path.resolve().as_uri():
                yield f"network: {url}"


def of_text(seen):
    for item in seen["text"]:
        where = f"'{item['words'][:40]}'"
        if any(box[0] < 0 or box[2] > seen["width"] + 0.5 for box in item["boxes"]):
            yield f"cut: {where}"
        if item["size"] < SMALLEST_TEXT:
            yield f"small: {where}"
        if not item["colour"] or contrast(item["colour"], item["behind"]) < TEXT_CONTRAST:
            yield f"pale: {where}"
    boxes = sorted((box[1], box, item["words"]) for item in seen["text"] for box in item["boxes"])
    for i, (_, box, words) in enumerate(boxes):
        for top, other, more in boxes[i + 1:]:
            if top > box[3]:
                break
            # lines of a paragraph may touch
            if overlap(box, other) > 3:
                yield f"overlap: '{words[:30]}' and '{more[:30]}'"


def of_marks(seen, kinds):
    for kind, count in kinds.items():
        marks = [mark for mark in seen["marks"] if mark["kind"] == kind]
        if len(marks) != count:
            yield f"missing: {len(marks)} of {count} {kind}"
        for mark in marks:
            if not mark["colour"] or contrast(mark["colour"], mark["behind"]) < MARK_CONTRAST:
                yield f"pale: {kind}"
            box, track = mark["box"], mark["track"]
            if box[0] < track[0] - 8 or box[2] > track[2] + 8 or \
                    max(box[2] - box[0], box[3] - box[1]) < 0.5:
                yield f"outside: {kind}"


def of_pixels(shown, seen):
    """Is the colour of a mark where the mark should be?"""
    for kind in ("bar", "dot", "point"):
        marks = [mark for mark in seen["marks"] if mark["kind"] == kind]
        if not marks:
            continue
        left, top, right, bottom = marks[-1]["box"]  # the last one lies on top
        left, top = math.floor(left), math.floor(top)
        width, height, data = browser.pixels(
            shown.screenshot(left, top, math.ceil(right) - left, math.ceil(bottom) - top))
        count = sum(all(abs(data[i + c] - marks[-1]["colour"][c]) < 16 for c in range(3))
                    for i in range(0, len(data), 3))
        if count < 0.2 * width * height:
            yield f"not drawn: {kind}, {count} of {width * height} pixels"


def complaints(shown, path, scheme, width, kinds=None):
    shown.show(path, scheme, width)
    seen = shown.evaluate(LOOK)
    found = [*of_text(seen), *of_marks(seen, kinds or KINDS), *of_pixels(shown, seen)]
    found += of_events(shown.events, path)  # last: looking can be what fails
    if seen["scroll"] > seen["width"]:
        found.append(f"wide: {seen['scroll']} pixels")
    if (luminance(seen["ground"]) > 0.5) != (scheme == "light"):
        found.append(f"scheme: {seen['ground']} isn't {scheme}")
    return found


def versus(median, low, high):
    return {"op": "layer_norm", "type": "f32", "weight_type": "f16", "kernel": "cpu_matvec",
            "seconds": row("", 2)["seconds"],
            "ratio": {"median": median, "low": low, "high": high, "samples": 20}}


def results():
    """Two that look like those of a machine, with all that a page can show."""
    def ceiling(kind, percent):
        return {"kind": kind, "seconds": .5, "gflops": 200, "gbps": 30, "percent": percent}

    def one(scale):
        return result(
            *(row(f"m={m},n=3072,k=768", 1e-5 * m * scale, flops=4.7e6 * m, bytes=9.4e6 + 1.5e4 * m,
                  ceiling=ceiling("fma", 40 + m / 4), versus=versus(*ratio))
              for m, ratio in ((1, (.55, .5, .56)), (17, (1.02, .96, 1.1)), (128, (1.9, 1.7, 2.4)),
                               (197, (.98, .97, .99)))),
            *(row(f"rows={rows},d=768,residual", 1e-6 * rows * scale, op=op, flops=4.5e3 * rows,
                  bytes=6e3 * rows, ceiling=ceiling("bandwidth" if rows > 1 else "launch", 70))
              for op in ("rms_norm", "layer_norm", "crms_norm", "row_statistics")
              for rows in (1, 512, 2048)),
            row("rows=3000,channels=512,n=512,stride=2,padding=1,gelu_tanh", 5e-3, op="conv1d",
                flops=1e9, bytes=4e6, ceiling=ceiling("fma", 131)),
            row("m=4", 1, status="unsupported", seconds=None,
                reason="no candidate of matmul takes this: " + "the device has no doubles, " * 6))
    return [one(1), one(1.2)]


SPOILT = {  # what is done to the page, and the complaint that must follow
    "network:": ("</body>", "<img src='http://127.0.0.1:9/x.png'></body>"),
    "script error:": ("</body>", "<script>throw new Error('x')</script></body>"),
    "wide:": ("</body>", "<div style='width:3000px;height:9px'></div></body>"),
    "cut:": ("</body>", "<div style='overflow:hidden'><p style='white-space:nowrap;max-width:none'>"
             + "word " * 400 + "</p></div></body>"),
    "small:": ("svg .tick,", "svg .tick { font-size: 8px; } svg .tick,"),
    "pale: '": ("--quiet: #", "--quiet: #777 ; --unused: #"),
    "pale: bar": ("background: var(--colour); border-radius: 0", "background: #c8c8c8; border-radius: 0"),
    "overlap:": ("margin: 24px 0 4px", "margin: -16px 0 4px"),
    "missing:": ("class=\"point s0", "class=\"p s0"),
    "outside:": (".bar { left: 0;", ".bar { left: 90%;"),
    "not drawn:": (".track i {", ".track i { visibility: hidden;"),
    "scheme:": ("(prefers-color-scheme: dark)", "(prefers-color-scheme: never)"),
}


class ReportPage(program.Program):
    shown = None

    def setUp(self):
        super().setUp()
        if not self.shown:
            self.skipTest("there is no Chromium (scripts/setup --full installs it)")
        paths = []
        for i, one in enumerate(results()):
            paths.append(self.scratch / f"a-result-with-a-name-{i}.json")
            paths[-1].write_text(json.dumps(one), encoding="utf-8")
        self.page = self.scratch / "report.html"
        self.paths = paths
        self.ok("report", *paths, "-o", self.page)

    def look(self, *views):
        return [f"{scheme} at {width}: {complaint}" for scheme, width in views
                for complaint in complaints(self.shown, self.page, scheme, width)]

    def test_two_results(self):
        views = [(scheme, width) for scheme in SCHEMES for width in WIDTHS]
        self.assertEqual("\n".join(self.look(*views)), "")

    def test_page_of_check(self):
        """Both verdicts of a converted model of text: by the usual tolerance, and by a tiny one."""
        page, other = self.scratch / "check.html", self.scratch / "converted"
        subprocess.run([ZEROMEAN, "convert", BIBLE, other], check=True, capture_output=True,
                       timeout=60)
        for tolerance in ("1e-5", "1e-12"):
            subprocess.run([ZEROMEAN, "check", BIBLE, other, "--device", "host", "--tokens", "2",
                            "--tolerance", tolerance, "--html", page], check=False,
                           capture_output=True, timeout=120)
            kinds = {"point": 7 + 12, "hollow": 12, "curve": 7 + 4 * 5}
            found = [f"{scheme} at {width}: {complaint}" for scheme in SCHEMES for width in WIDTHS
                     for complaint in complaints(self.shown, page, scheme, width, kinds)]
            self.assertEqual("\n".join(found), "")

    def test_spoilt_pages_are_seen(self):
        good = self.page.read_text(encoding="utf-8")
        for complaint, (old, new) in SPOILT.items():
            with self.subTest(complaint):
                self.assertIn(old, good)
                self.page.write_text(good.replace(old, new), encoding="utf-8")
                self.assertIn(complaint, "\n".join(self.look(("light", 1280), ("dark", 390))))

    def test_bars_are_as_long_as_they_say(self):
        self.shown.show(self.page, "light", 1280)
        bars = [mark for mark in self.shown.evaluate(LOOK)["marks"] if mark["kind"] == "bar"]
        tracks = {round(mark["track"][2] - mark["track"][0], 1) for mark in bars}
        self.assertEqual(len(tracks), 1, "all bars have one scale")
        self.assertAlmostEqual((bars[0]["box"][2] - bars[0]["box"][0]) / tracks.pop(), 40.25 / 125,
                               places=3)


if __name__ == "__main__":
    program.Program.path = pathlib.Path(sys.argv.pop(1)).resolve()
    ZEROMEAN = pathlib.Path(sys.argv.pop(1)).resolve()
    found = browser.find()
    if found:
        with browser.Browser(found) as ReportPage.shown:
            tap.main()
    tap.main()

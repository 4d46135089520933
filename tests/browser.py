# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that is told what to do over two pipes (DevTools protocol), and pixels of
what it shows."""
import base64
import fcntl
import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
import zlib

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60  # for an answer
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
           "--no-first-run", "--hide-scrollbars", "--disable-extensions", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
           "--remote-debugging-pipe", "about:blank")


def find():
    """Its path, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """with Browser(path) as browser: a page of its own, which knows nothing of others."""

    def __init__(self, path):
        self.folder = tempfile.mkdtemp(prefix="zeromean-browser-")
        to_read, self.to = os.pipe()
        self.of, of_write = os.pipe()

        def hand_over():
            # 3 and 4 are where it listens and answers; either pipe may lie there already
            high_read, high_write = (fcntl.fcntl(end, fcntl.F_DUPFD, 10)
                                     for end in (to_read, of_write))
            os.dup2(high_read, 3)
            os.dup2(high_write, 4)

        self.process = subprocess.Popen(
            [path, *OPTIONS[:-1], f"--user-data-dir={self.folder}", OPTIONS[-1]],
            preexec_fn=hand_over, close_fds=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "HOME": self.folder})
        os.close(to_read)
        os.close(of_write)
        self.unread, self.count, self.events, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.close(self.to)  # it ends when nobody listens any more
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.of)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _message(self, end):
        while b"\0" not in self.unread:
            if not select.select([self.of], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser doesn't answer")
            more = os.read(self.of, 1 << 20)
            if not more:
                raise EOFError("the browser has ended")
            self.unread += more
        text, _, self.unread = self.unread.partition(b"\0")
        return json.loads(text)

    def call(self, method, **parameters):
        """What the browser answers; what happens meanwhile is in events."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + SECONDS
        while True:
            answer = self._message(end)
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method):
        end = time.monotonic() + SECONDS
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._message(end))

    def show(self, path, scheme, width, height=900):
        """Loads a file as somebody sees it who likes "light" or "dark"."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression):
        """The value of an expression of JavaScript, in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self, x, y, width, height):
        """PNG of a part of the page."""
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", clip=clip,
                                          captureBeyondViewport=True)["data"])


def pixels(png):
    """(width, height, bytes: red, green, blue of each pixel, rows from the top)."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, width, height, colour = 8, b"", 0, 0, 0
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert depth == 8 and colour in (2, 6) and not interlaced
        data += body if kind == b"IDAT" else b""
        at += size + 12
    return width, height, _unfilter(zlib.decompress(data), width, height, 3 if colour == 2 else 4)


def _unfilter(data, width, height, depth):
    """Undoes what PNG does to rows before it packs them."""
    size, above, out = width * depth, bytearray(width * depth), bytearray()
    for start in range(0, height * (size + 1), size + 1):
        kind, row = data[start], bytearray(data[start + 1:start + 1 + size])
        for i in range(size) if kind else ():
            left = row[i - depth] if i >= depth else 0
            corner = above[i - depth] if i >= depth else 0
            row[i] = row[i] + _guess(kind, left, above[i], corner) & 255
        above = row
        for i in range(0, size, depth):
            out += row[i:i + 3]
    return bytes(out)


def _guess(kind, left, up, corner):
    if kind < 3:
        return (0, left, up)[kind]
    if kind == 3:
        return (left + up) // 2
    far = [(abs(up - corner), left), (abs(left - corner), up), (abs(left + up - 2 * corner), corner)]
    return min(far, key=lambda pair: pair[0])[1]

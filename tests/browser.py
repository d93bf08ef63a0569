"""A browser that a test drives, by Chromium's DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from websockets.sync.client import connect

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PLAIN = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OPTIONS = (*PLAIN, "--hide-scrollbars", "--remote-debugging-port=0")

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Tab:
    """A tab: what is typed, clicked and seen in it, and what it complains of."""

    def __init__(self, socket):
        self.socket, self.count, self.complaints = socket, 0, []

    def call(self, method, **told):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": told}))
        while (said := json.loads(self.socket.recv(timeout=60))).get("id") != self.count:
            if said.get("method") == "Log.entryAdded":
                self.complaints.append(said["params"]["entry"]["text"])
            elif said.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(said["params"]["exceptionDetails"]))
        assert "error" not in said, said
        return said["result"]

    def see(self, expression):
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression):
        """Until it is true; its value."""
        deadline = time.monotonic() + 60
        while not (found := self.see(expression)):
            assert time.monotonic() < deadline, self.see("document.body.innerText")
            time.sleep(0.02)
        return found

    def click(self, selector):
        """A click of the mouse in the middle of what is found."""
        x, y = self.see(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector, text):
        """Put ``text`` in the place of what stands there."""
        self.see(f"(() => {{ const e = document.querySelector({selector!r}); e.focus(); e.select(); }})()")
        self.call("Input.insertText", text=text)

    def press(self, key):
        """A key, by its name: Enter, ArrowLeft, Tab."""
        told = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        typed = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **told, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def open(self, address, width=1000, height=900, dark=False):
        """Load a page."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def picture(self, path):
        """What is seen, as a PNG file."""
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def tab(folder):
    """A tab of a browser of its own, whose files are in ``folder``."""
    profile = folder / "profile"
    process = subprocess.Popen(
        [BROWSER, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    try:
        deadline, told = time.monotonic() + 60, profile / "DevToolsActivePort"
        while not told.exists() or not (lines := told.read_text().split()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
            (page,) = [each for each in json.load(answer) if each["type"] == "page"]
        with connect(page["webSocketDebuggerUrl"], compression=None, max_size=None) as socket:
            found = Tab(socket)
            for domain in ("Page", "Runtime", "Log"):
                found.call(f"{domain}.enable")
            yield found
    finally:
        process.kill()
        process.wait()

"""A page in headless Chromium, driven over a pipe by the DevTools protocol: no port, no network, no other package."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-extensions", "--remote-debugging-pipe", "about:blank"),
)
#: Chromium reads commands from descriptor 3 and writes answers to 4, each ended by a zero byte.
START = (
    "import os, sys; a, b = map(int, sys.argv[1:3]); os.dup2(a, 3); os.dup2(b, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


def found() -> str | None:
    """The program of a browser, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A file or URL opened at a size; `problems` collects console errors, exceptions and blocked or failed requests."""

    def __init__(self, page: Path | str, width: int, height: int, profile: Path, dark: bool = False):
        theirs, self._in = os.pipe()
        self._out, answers = os.pipe()
        far = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, answers)]  # out of the way of 3 and 4
        for end in (theirs, answers):
            os.close(end)
        program = [str(found()), f"--user-data-dir={profile}", *FLAGS]
        command = [sys.executable, "-c", START, *map(str, far), *program]
        self._process = subprocess.Popen(command, pass_fds=far, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in far:
            os.close(end)
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._buffer, self._number, self._session, self._loaded = b"", 0, None, False
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        self("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not self._loaded:
            self._read()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def __call__(self, method: str, **parameters: Any) -> dict:
        """A command of the protocol and its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """A real click in the middle of what `selector` finds first."""
        where = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{where}.scrollIntoView({{block: 'center', inline: 'center'}})")
        x, y = self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({where}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in the file input that `selector` finds first."""
        document = self("DOM.getDocument")["root"]["nodeId"]
        node = self("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self("DOM.setFileInputFiles", nodeId=node, files=[str(file.resolve()) for file in files])

    def wait(self, script: str, seconds: float = 30) -> Any:
        """The value of a JavaScript expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)
        return value

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the whole page."""
        width, height = self.run("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        answer = self("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _read(self) -> dict:
        while b"\0" not in self._buffer:
            more = os.read(self._out, 1 << 16)
            assert more, "the browser went away"
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                self.problems.append(str(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.problems.append(str(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.problems.append(parameters["entry"]["text"])
            case "Network.loadingFailed":
                self.problems.append(parameters["errorText"])
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
        return message

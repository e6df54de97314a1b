"""A headless Chromium that tests drive over the DevTools protocol: a WebSocket to this machine, nothing installed."""

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-port=0", "--force-device-scale-factor=1",
)  # fmt: skip
PATIENCE = 60.0


class Socket:
    """As much of a WebSocket as the protocol needs: text messages, masked on the way out."""

    def __init__(self, port: int, path: str) -> None:
        self.wire = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}"]
        head = "\r\n".join([f"GET {path} HTTP/1.1", *lines, "Sec-WebSocket-Version: 13", "", ""])
        self.wire.sendall(head.encode())
        self.left = b""
        while b"\r\n\r\n" not in self.left:
            self.left += self.wire.recv(4096)
        answer, self.left = self.left.split(b"\r\n\r\n", 1)
        assert b" 101 " in answer.split(b"\r\n")[0], answer

    def send(self, text: str) -> None:
        content, mask = text.encode(), os.urandom(4)
        n = len(content)
        size = bytes([128 | n]) if n < 126 else struct.pack(">BH", 254, n) if n < 65536 else struct.pack(">BQ", 255, n)
        self.wire.sendall(b"\x81" + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(content)))

    def receive(self) -> str:
        parts = b""
        while True:
            first, n = self._take(2)
            n &= 127
            if n > 125:
                n = int.from_bytes(self._take(2 if n == 126 else 8), "big")
            parts += self._take(n)
            if first & 128:
                return parts.decode()

    def _take(self, n: int) -> bytes:
        while len(self.left) < n:
            self.left += self.wire.recv(65536) or _ended()
        found, self.left = self.left[:n], self.left[n:]
        return found


class Tab:
    """One page: what it is told to do, what it says, and what it asks the network for."""

    def __init__(self, wire: Socket, session: str) -> None:
        self.wire, self.session, self.n = wire, session, 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.seen: list[str] = []

    def ask(self, method: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
        self.n += 1
        message = {"id": self.n, "method": method, "params": settings or {}}
        self.wire.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = self._next()
            if answer.get("id") == self.n:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path: Path, *, width: int, dark: bool = False) -> None:
        """Load a file with the network off, and wait until its script has run."""
        self.complaints.clear()
        self.requests.clear()
        self.seen.clear()
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.ask(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        self.resize(width)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.ask("Page.navigate", {"url": path.resolve().as_uri()})
        while "Page.loadEventFired" not in self.seen:
            self._next()

    def resize(self, width: int, height: int = 900) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def run(self, script: str) -> Any:
        """What an expression is worth."""
        found = self.ask(
            "Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element, as a person would."""
        place = self.run(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)}); "
            "it.scrollIntoView({block: 'center', behavior: 'instant'}); const r = it.getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            at = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.ask("Input.dispatchMouseEvent", at)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", {"type": kind, "key": key})

    def photograph(self, path: Path) -> None:
        """The whole page as a PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        taken = self.ask("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        path.write_bytes(base64.b64decode(taken["data"]))

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.wire.receive())
        method, told = message.get("method", ""), message.get("params", {})
        self.seen.append(method)
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(told["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(told["entry"]))
            case _:
                pass
        return message


@contextmanager
def chromium(folder: Path) -> Iterator[Tab]:
    """An empty tab of a browser with a new profile."""
    assert PROGRAM is not None
    command = [PROGRAM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port, path = _address(folder / "DevToolsActivePort", process)
        browser = Tab(Socket(port, path), "")
        target = browser.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = browser.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        yield Tab(browser.wire, session)
        browser.wire.wire.close()
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _address(file: Path, process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Where the browser listens, as soon as it says so."""
    end = monotonic() + PATIENCE
    while monotonic() < end and process.poll() is None:
        lines = file.read_text().splitlines() if file.is_file() else []
        if len(lines) == 2:
            return int(lines[0]), lines[1]
        sleep(0.05)
    raise RuntimeError("The browser did not say where it listens.")


def _ended() -> bytes:
    raise RuntimeError("The browser closed the connection.")

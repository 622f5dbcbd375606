"""Chromium without a screen, driven over its DevTools protocol.

It is Debian's (`apt-get install chromium`). It finds no host but this machine, so that nothing leaves it; what the page
asked for, and what the browser complained of, is kept for the test to look at.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from .programs import eventually

__all__ = ["Page", "chromium"]

START_TIMEOUT = 60.0
PATIENCE = 60.0
WINDOW = (1280, 1000)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
    "about:blank",
)


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self.requests: list[str] = []
        """The URLs that were asked for, in their order."""
        self.complaints: list[str] = []
        """Errors of scripts, and what the browser refused."""
        self._socket = socket
        self._number = 0
        self._session: str | None = None
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = session
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.command(f"{domain}.enable")
        width, height = WINDOW
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        call = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            call["sessionId"] = self._session
        self._socket.send(json.dumps(call))
        deadline = time.monotonic() + PATIENCE
        while True:
            message = json.loads(self._socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["exceptionDetails"]))

    def open(self, url: str) -> None:
        """Go to a page."""
        answer = self.command("Page.navigate", url=url)
        assert "errorText" not in answer, answer

    def evaluate(self, script: str) -> Any:
        """Return what an expression of the page is."""
        answer = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, selector: str, *, text: str = "") -> str:
        """Wait until an element is there, with this in its text; return its text."""
        found = f"(document.querySelector({json.dumps(selector)}) || {{textContent: null}}).textContent"
        said: list[str] = []

        def probe() -> bool:
            content = self.evaluate(found)
            said[:] = [content or ""]
            return content is not None and text in content

        eventually(probe, within=PATIENCE, what=f"{selector} with {text!r} is on the page")
        return said[0]

    def click(self, selector: str) -> None:
        """Press what a selector finds, once it is there."""
        self.wait_for(selector)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def write(self, selector: str, text: str) -> None:
        """Write into a field as a person would: key by key, as far as the page can tell."""
        self.wait_for(selector)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        self.command("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        """Keep what is to be seen as a PNG."""
        taken = self.command("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def chromium() -> Iterator[Page]:
    """Give a page of a new browser; without one the test is skipped, or fails where CI=true promises one."""
    program = shutil.which("chromium")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("chromium is not installed")
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        profile = Path(folder)
        with (profile / "errors").open("wb") as errors:
            process = subprocess.Popen(
                [program, f"--user-data-dir={profile}", *FLAGS],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env={**os.environ, "HOME": folder},
            )
        try:
            place = profile / "DevToolsActivePort"
            eventually(
                lambda: place.exists() and place.read_text().count("\n"),
                within=START_TIMEOUT,
                what="Chromium is up",
            )
            port, path = place.read_text().splitlines()[:2]
            with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)

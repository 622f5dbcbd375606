"""The real programs as the tests start, watch and stop them.

Each runs in a process of its own with its output in files, so that it never waits for a reader. `stop` is what an
operator does: SIGTERM, an end within the deadline, exit code 0 and no traceback. `kill` is what a crash does. A
`Stage` keeps what a test has started and ends whatever is left, by process id.

With `E2E_COMPILED=1` in the environment they run from the tree that `make compiled` makes, which is what an ordinary
installation has, and not from the sources.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from h2s.engine.choice import ENGINE_VARIABLE

from .address import Address

__all__ = ["Origin", "Program", "answers", "backplane", "compiled_tree", "eventually", "is_gone"]

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 20.0
STOP_TIMEOUT = 20.0
COMPILED = os.environ.get("E2E_COMPILED") == "1"

T = TypeVar("T")


def eventually(probe: Callable[[], T], *, within: float, what: str) -> T:
    """Return the first true answer of `probe`, asked again and again for `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.01)


def answers(url: str, host: str | None = None) -> bool:
    """Return whether a GET is answered with 200; `host` overrides the Host field."""
    try:
        response = httpx.get(
            url, headers={"Host": host} if host else {}, timeout=5, trust_env=False, verify=False
        )
    except httpx.TransportError:
        return False
    return response.status_code == 200


def is_gone(process: psutil.Process) -> bool:
    """Return whether a process has ended, though perhaps nobody has asked how."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def backplane(*arguments: object) -> list[str]:
    """Return the command line of `backplane` with these arguments."""
    return [str(Path(sys.executable).with_name("backplane")), *map(str, arguments)]


def compiled_tree() -> dict[str, str]:
    """Return the environment in which programs run from the tree of `make compiled`."""
    return {"PYTHONPATH": str(Path(sys.executable).parents[1] / "compiled")}


class Program:
    """A process, its output and its end."""

    def __init__(
        self, name: str, argv: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key == ENGINE_VARIABLE or not key.startswith("BACKPLANE_")
        }
        if COMPILED:
            inherited |= compiled_tree()
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**inherited, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def wait_ready(self) -> None:
        """Wait until the program does what it is there for; any program is ready once it runs."""

    @property
    def stdout(self) -> str:
        """What was written to stdout so far."""
        return self.out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What was written to stderr so far."""
        return self.err.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    @property
    def memory(self) -> int:
        """Resident bytes of the process and its children.

        What they share is counted once, with the largest; of the others counts what is theirs alone.
        """
        sizes = {process: process.memory_info().rss for process in self.tree()}
        largest = max(sizes, key=sizes.__getitem__)
        others = (process.memory_full_info().uss for process in sizes if process != largest)
        return sizes[largest] + sum(others)

    def tree(self) -> list[psutil.Process]:
        """Return the process and its children."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def wait_until(self, probe: Callable[[], object], what: str) -> None:
        """Wait until `probe` is true; fail at once, with the output, if the process ends before."""

        def alive_and_true() -> bool:
            assert self.running, f"{self.name} ended with {self.process.returncode}"
            return bool(probe())

        try:
            eventually(alive_and_true, within=START_TIMEOUT, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.name} wrote:\n{self.stderr[-5000:]}") from None

    def exit_code(self, timeout: float = STOP_TIMEOUT) -> int:
        """Wait for the end of the process and return its exit code. Fails with its log when that takes too long."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} still runs after {timeout} s:\n{self.stderr[-5000:]}"
            ) from None

    def terminate(self) -> None:
        """Ask the process to stop and return at once."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Ask the process to stop, and assert that it does so in time, with exit code 0 and no traceback."""
        self.terminate()
        code = self.exit_code(timeout)
        assert code == 0, f"{self.name} ended with {code}:\n{self.stderr[-5000:]}"
        tracebacks = [line for line in self.stderr.splitlines() if "Traceback" in line]
        assert not tracebacks, f"{self.name} wrote {len(tracebacks)} tracebacks, the first:\n{tracebacks[0]}"

    def kill(self) -> None:
        """End the process and its children without a word."""
        tree = self.tree()
        for process in tree:
            process.kill()
        self.process.wait()
        eventually(lambda: all(map(is_gone, tree)), within=STOP_TIMEOUT, what="every process has ended")


class Origin(Program):
    """The application of `tests.e2e.origin`, or of another module that is started like it."""

    def __init__(
        self, name: str, *, folder: Path, address: Address, module: str = "tests.e2e.origin"
    ) -> None:
        self.address = address
        port = str(address.port)
        argv = [sys.executable, "-m", module, "--name", name, "--port", port]
        super().__init__(name, argv, folder=folder)

    def wait_ready(self) -> None:
        """Wait for an answer."""
        self.wait_until(lambda: answers(self.url), "the origin answers")

    @property
    def url(self) -> str:
        """Where the origin is reached directly."""
        return f"http://{self.address}"

    def ask(self, path: str) -> Any:
        """Request a path directly and return the JSON of the answer, or None for an answer of another kind."""
        response = httpx.get(self.url + path, trust_env=False)
        return response.json() if response.headers.get("content-type") == "application/json" else None

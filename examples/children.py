"""The programs that the demo starts: each a process of its own, stopped in order, its log kept for when it fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

__all__ = ["Child", "Children", "DemoError"]

STOP_TIMEOUT = 10.0
"""Seconds that a program has to stop by itself."""
TAIL_LINES = 25


class DemoError(Exception):
    """The demo did not come about; the message is for the person who started it."""


class Child:
    """A running program. Its stderr goes to `log`; its stdout too, unless it is piped."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, pipe_output: bool = False) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe_output else out,
                stderr=out,
                env=_clean_environment(),
                start_new_session=True,
            )

    @property
    def output(self) -> IO[bytes]:
        """The pipe from the program's stdout."""
        assert self._process.stdout is not None
        return self._process.stdout

    def check(self) -> None:
        """Raise DemoError, with the end of the log, if the program has ended."""
        code = self._process.poll()
        if code is not None:
            raise self.failure(f"{self.name} ended with exit code {code}")

    def failure(self, reason: str) -> DemoError:
        """Return an error with the end of this program's log."""
        lines = self.log.read_text("utf-8", "replace").splitlines()[-TAIL_LINES:]
        return DemoError("\n".join([reason, f"--- the end of {self.log.name}", *lines, "---"]))

    def stop(self) -> None:
        """Ask the program to stop and wait for it; end it when it does not."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the program at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let go of the pipe."""
        if self._process.stdout is not None:
            self._process.stdout.close()


class Children:
    """Programs that are stopped together, the last started first. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[Child] = []

    def start(self, name: str, command: Sequence[str], *, pipe_output: bool = False) -> Child:
        """Start a program."""
        child = Child(name, command, log=self._folder / f"{name}.log", pipe_output=pipe_output)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raise DemoError if one of them has ended."""
        for child in self._children:
            child.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._each(Child.stop)
        except KeyboardInterrupt:
            self._each(Child.kill)
        finally:
            self._each(Child.close)

    def _each(self, act: Callable[[Child], None]) -> None:
        for child in reversed(self._children):
            act(child)


def _clean_environment() -> dict[str, str]:
    """Return the environment without settings meant for other edges and agents; the engine is meant for all."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "BACKPLANE_H2_ENGINE" or not name.startswith("BACKPLANE_")
    }
    return kept | {"PYTHONUNBUFFERED": "1"}

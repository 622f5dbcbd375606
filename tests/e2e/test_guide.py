"""The guide's commands, word for word, in one shell; ports are others, since tests share a machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .address import free_address
from .programs import ROOT

GUIDE = ROOT / "docs" / "guide.md"
PATIENCE = 20.0
PATIENT = ("curl", "for ", "backplane status", "backplane instance list")
"""Beginnings of commands that look at something which takes its time, as a person does who waits a moment."""
END = "__the_end_of_a_command__"


@dataclass
class Step:
    """A command and what it shows."""

    command: str
    shown: list[str] = field(default_factory=list)


def steps(text: str) -> list[Step]:
    """Return the commands of a document's console blocks."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:]))
            else:
                found[-1].shown.append(line)
    return found


def matches(shown: list[str], told: str) -> bool:
    """Whether a command told what the document shows; `...` is anything, in a line or between lines."""
    wanted = "\n".join(" ".join(line.split()) for line in shown)
    pattern = re.escape(wanted).replace(r"\.\.\.", ".*")
    return (
        re.fullmatch(pattern, "\n".join(" ".join(line.split()) for line in told.splitlines()), re.DOTALL)
        is not None
    )


class Shell:
    """One bash for all commands, so that its jobs and variables last."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> str:
        """Return what a command writes."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{command}\necho {END}\n")
        stdin.flush()
        lines = []
        for line in stdout:
            if line.rstrip("\n") == END:
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended in {command!r}:\n{''.join(lines)}")

    def close(self) -> None:
        """End it, and whatever it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


@contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """Give a shell."""
    opened = Shell(folder, environment)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.timeout(240)
def test_guide_does_what_it_says(tmp_path: Path) -> None:
    ports = {port: str(free_address().port) for port in ("8080", "7443", "7000", "3000", "3001")}
    text = re.sub(r"\b(8080|7443|7000|3000|3001)\b", lambda found: ports[found[1]], GUIDE.read_text())
    known = {name: value for name, value in os.environ.items() if not name.startswith("BACKPLANE_")}
    environment = {
        **known,
        "PATH": f"{Path(sys.executable).parent}:{known['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "BACKPLANE_PUBLIC": f"127.0.0.1:{ports['8080']}",
        "BACKPLANE_TUNNEL": f"127.0.0.1:{ports['7443']}",
        "BACKPLANE_API": f"127.0.0.1:{ports['7000']}",
        "no_proxy": "*",
    }
    found = steps(text)
    assert len(found) > 25
    with shell(tmp_path, environment) as bash:
        for step in found:
            deadline = time.monotonic() + PATIENCE
            told = bash.run(step.command)
            while not matches(step.shown, told) and step.command.startswith(PATIENT):
                if time.monotonic() > deadline:
                    break
                told = bash.run(step.command)
            shown = "\n".join(step.shown)
            assert matches(step.shown, told), f"$ {step.command}\n{told}\ninstead of\n{shown}"

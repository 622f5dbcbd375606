"""h2load: HTTP/2 or HTTP/1.1, as fast as it goes or at a fixed rate.

What it says of each request is read from its log file, so that percentiles are exact and a part of a run can be looked
at: the one after all connections were made.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.e2e.address import Address

from .run import Run

__all__ = ["Target", "fixed_rate", "saturating"]

SLACK = 60
"""Seconds that a run may take beyond what was asked for."""
TOLERANCE = 0.05
"""How far a rate may be from the one that was asked for."""


class Row(NamedTuple):
    """One request in the log: its times are in seconds, the start is one of `time.time`."""

    start: float
    status: int
    duration: float

    @property
    def end(self) -> float:
        """When it was answered."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Target:
    """What is requested, and how."""

    public: Address
    host: str
    path: str
    http2: bool
    """HTTP/2 over TLS, or else HTTP/1.1 in clear."""
    body: Path | None = None
    """What is sent, with PUT."""

    def options(self) -> list[str]:
        """Return h2load's options for it, and the URL."""
        options = [f"--connect-to={self.public}"]
        if not self.http2:
            options.append("--h1")
        if self.body is not None:
            options += ["--data", str(self.body), "--header", ":method: PUT"]
        scheme = "https" if self.http2 else "http"
        return [*options, f"{scheme}://{self.host}:{self.public.port}{self.path}"]


class Saturating:
    """A closed loop under way."""

    def __init__(self) -> None:
        self.begin = self.end = 0.0
        self.run = Run(0, 1.0, ("it did not end",))
        """What was seen between the beginning and the end; there when the block has ended."""

    def measure(self, seconds: float) -> None:
        """Let it go on for some seconds: those are looked at."""
        self.begin = time.time()
        time.sleep(seconds)
        self.end = time.time()


@contextmanager
def saturating(target: Target, *, clients: int, streams: int, seconds: float) -> Iterator[Saturating]:
    """Request over and over, with some requests at a time on each connection, for `seconds` at the least."""
    options = [
        "--clients",
        clients,
        "--max-concurrent-streams",
        streams,
        "--duration",
        f"{seconds * 1e3:.0f}ms",
    ]
    with tempfile.TemporaryDirectory(prefix="backplane-h2load-") as folder:
        log = Path(folder, "log")
        command = command_line(options, log, target)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT)
        try:
            loading = Saturating()
            yield loading
            report, _ = process.communicate(timeout=seconds + SLACK)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        rows = [row for row in read_log(log) if loading.begin <= row.end < loading.end]
    seconds = loading.end - loading.begin
    loading.run = Run(
        len(rows), seconds, faults(report, rows, target), p50=percentile(50, rows), p99=percentile(99, rows)
    )


def fixed_rate(target: Target, *, clients: int, rate: float, seconds: float) -> Run:
    """Send `rate` requests a second for `seconds`, evenly over `clients` connections and over time.

    Connections begin one after the other within one period of each, as far as h2load's timers go (1 ms), so that
    requests do not come in bursts.
    """
    total = max(1, round(rate * seconds / clients)) * clients
    options = ["--clients", clients, "--requests", total, "--rps", f"{rate / clients:.4f}"]
    options += ["--rate", max(1, round(rate / 1e3)), "--rate-period", f"{max(1, round(1e3 / rate))}ms"]
    with tempfile.TemporaryDirectory(prefix="backplane-h2load-") as folder:
        log = Path(folder, "log")
        command = command_line(options, log, target)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + SLACK)
        rows = list(read_log(log))
    wrong = list(faults(done.stdout, rows, target))
    held = len(rows) / (max(row.start for row in rows) - min(row.start for row in rows)) if rows else 0.0
    if abs(held / rate - 1) > TOLERANCE:
        wrong.append(f"{held:.0f} requests a second instead of {rate:.0f}")
    return Run(len(rows), len(rows) / rate, tuple(wrong), p50=percentile(50, rows), p99=percentile(99, rows))


def command_line(options: Iterable[object], log: Path, target: Target) -> list[str]:
    """Return the command that h2load is run with."""
    return ["h2load", "--threads", "1", f"--log-file={log}", *map(str, options), *target.options()]


def read_log(path: Path) -> Iterator[Row]:
    """Yield each request."""
    with path.open() as file:
        for line in file:
            start, status, duration = line.split("\t")[:3]
            yield Row(int(start) / 1e6, int(status), int(duration) / 1e6)


def faults(report: str, rows: list[Row], target: Target) -> tuple[str, ...]:
    """Return what the report and the log say went wrong."""
    wrong = [f"{n} answers with status {status}" for status, n in statuses(rows) if not 200 <= status < 300]
    wrong += [
        f"{count} requests {kind}"
        for count, kind in re.findall(r"(\d+) (failed|errored|timeout)\b", report)
        if count != "0"
    ]
    if not rows:
        wrong.append(f"no answer: {report[-500:]}")
    elif target.http2 and "Application protocol: h2\n" not in report:
        wrong.append("no HTTP/2 connection")
    return tuple(wrong)


def statuses(rows: list[Row]) -> list[tuple[int, int]]:
    """Return each status and how often it came."""
    return sorted(Counter(row.status for row in rows).items())


def percentile(percent: int, rows: list[Row]) -> float:
    """Return a latency in milliseconds."""
    if len(rows) < 2:
        return float("nan")
    return statistics.quantiles((row.duration * 1e3 for row in rows), n=100, method="inclusive")[percent - 1]

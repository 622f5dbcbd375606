"""Small requests by wrk: closed loop, keep-alive, one thread, as many as the other side takes."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

__all__ = ["Run", "run_wrk"]

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
DURATION = r"([\d.]+)(us|ms|s|m)\b"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of wrk saw. Latencies are in milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float
    failures: int
    """Socket errors, timeouts and answers other than 2xx and 3xx."""


def run_wrk(url: str, *, host: str, connections: int, seconds: int) -> Run:
    """Request `url` over and over for `seconds` and read wrk's report. Raises CalledProcessError."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--latency", "--timeout", "10s", "--header", f"Host: {host}", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return parse(done.stdout)


def parse(text: str) -> Run:
    """Read the report that wrk prints."""
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    others = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failures = sum(map(int, errors.groups())) if errors else 0
    return Run(
        requests=int(found(r"(\d+) requests in", text)[0]),
        per_second=float(found(r"Requests/sec:\s+([\d.]+)", text)[0]),
        p50=milliseconds(found(rf"50%\s+{DURATION}", text)),
        p99=milliseconds(found(rf"99%\s+{DURATION}", text)),
        failures=failures + (int(others[1]) if others else 0),
    )


def found(pattern: str, text: str) -> tuple[str, ...]:
    """Return the groups of a pattern that has to be there."""
    match = re.search(pattern, text)
    assert match, f"no {pattern!r} in wrk's report:\n{text}"
    return tuple(match.groups())


def milliseconds(duration: tuple[str, ...]) -> float:
    """Return a number and its unit in milliseconds."""
    number, unit = duration
    return float(number) * UNITS[unit]

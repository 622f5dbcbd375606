"""h2load: HTTP/2 or HTTP/1.1, as fast as it goes or at a fixed rate.

What it says per request is read from its log file, so that percentiles are exact.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from tests.e2e.address import Address

from .run import Run

__all__ = ["fixed_rate", "saturate"]

SLACK = 60
"""Seconds that a run may take beyond what was asked for."""


def saturate(url: str, *, host: str, public: Address, clients: int, seconds: float, http2: bool) -> Run:
    """Request `url` over and over for `seconds`, one request at a time on each connection."""
    options = ["--clients", clients, "--duration", f"{seconds:g}s"]
    return run(url, options, host=host, public=public, http2=http2, seconds=seconds)


def fixed_rate(
    url: str, *, host: str, public: Address, clients: int, rate: float, seconds: float, http2: bool
) -> Run:
    """Send `rate` requests a second for `seconds`, evenly over `clients` connections and over time.

    Connections begin one after the other within one period of each, so that requests do not come in bursts.
    """
    total = max(1, round(rate * seconds / clients)) * clients
    options = ["--clients", clients, "--requests", total, "--rps", f"{rate / clients:.3f}"]
    options += ["--rate", 1, "--rate-period", f"{1e3 / rate:.3f}ms"]
    seen = run(url, options, host=host, public=public, http2=http2, seconds=seconds)
    faults = list(seen.faults)
    if not 0.95 < seen.rate / rate < 1.05:
        faults.append(f"{seen.rate:.0f} requests a second instead of {rate:.0f}")
    return Run(seen.requests, seen.seconds, seen.received, tuple(faults), seen.p50, seen.p99)


def run(url: str, options: list[object], *, host: str, public: Address, http2: bool, seconds: float) -> Run:
    """Run h2load and read its report and its log."""
    address = url.replace(str(public), f"{host}:{public.port}")
    with tempfile.NamedTemporaryFile(prefix="backplane-h2load-") as log:
        command = ["h2load", *map(str, options), "--threads", "1", f"--log-file={log.name}"]
        command += (
            [f"--connect-to={public}", address] if http2 else ["--h1", f"--connect-to={public}", address]
        )
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + SLACK)
        rows = read_log(Path(log.name))
    return parse(done.stdout, rows, http2=http2)


def read_log(path: Path) -> list[tuple[int, int, int]]:
    """Return start (µs), status and duration (µs) of each request."""
    with path.open() as file:
        return [tuple(map(int, line.split("\t")[:3])) for line in file]  # type: ignore[misc]


def parse(text: str, rows: list[tuple[int, int, int]], *, http2: bool) -> Run:
    """Read h2load's report."""
    faults = [f"{count} answers with {status}" for status, count in statuses(rows) if status != 200]
    for kind, count in re.findall(r"(\d+) (failed|errored|timeout)\b", text):
        if kind != "0":
            faults.append(f"{kind} requests {count}")
    if http2 and "Application protocol: h2" not in text:
        faults.append("no HTTP/2 connection")
    if not rows:
        return Run(0, 1.0, 0, (*faults, "no answer"))
    total = re.search(r"traffic: .*?\((\d+)\) total", text)
    begin, end = min(row[0] for row in rows), max(row[0] + row[2] for row in rows)
    durations = [row[2] / 1e3 for row in rows]
    cuts = (
        statistics.quantiles(durations, n=100, method="inclusive") if len(durations) > 1 else durations * 99
    )
    return Run(
        requests=len(rows),
        seconds=(end - begin) / 1e6,
        received=int(total[1]) if total else 0,
        faults=tuple(faults),
        p50=cuts[49],
        p99=cuts[98],
    )


def statuses(rows: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Return each status and how often it came."""
    return sorted(Counter(row[1] for row in rows).items())

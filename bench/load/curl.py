"""curl: some large bodies, one after the other, over one connection."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Transfers", "download", "upload"]

TIMEOUT = 120
REPORT = r"%{http_version} %{http_code} %{size_download} %{size_upload} %{time_total} %{errormsg}\n"

DOWN, UP = 2, 3
"""The columns of its sizes."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """What curl saw: the first transfer warms the connection up and is not timed."""

    passed: int
    """Bytes of all bodies."""
    rate: float
    """Megabytes a second."""
    faults: tuple[str, ...]


def download(url: str, *, size: int, times: int, certificate: Path, http2: bool) -> Transfers:
    """Fetch a body of `size` bytes several times."""
    return run(
        [f"{url}?[1-{times}]"], size=size, column=DOWN, times=times, certificate=certificate, http2=http2
    )


def upload(url: str, body: Path, *, times: int, certificate: Path, http2: bool) -> Transfers:
    """Send a file several times, each time to a name of its own: `url` with a number."""
    options = ["--upload-file", str(body), f"{url}[1-{times}]"]
    size = body.stat().st_size
    return run(options, size=size, column=UP, times=times, certificate=certificate, http2=http2)


def run(
    options: list[str], *, size: int, column: int, times: int, certificate: Path, http2: bool
) -> Transfers:
    """Run curl and read what it says of each transfer."""
    command = ["curl", "--silent", "--noproxy", "*", "--cacert", str(certificate), "--write-out", REPORT]
    command += ["--output", "/dev/null", "--max-time", str(TIMEOUT), "--header", "Expect:"]
    command += ["--http2" if http2 else "--http1.1", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT * times)
    version = "2" if http2 else "1.1"
    return parse(done.stdout, code=done.returncode, size=size, column=column, times=times, version=version)


def parse(text: str, *, code: int, size: int, column: int, times: int, version: str) -> Transfers:
    """Read what curl has written about each transfer, and its exit code."""
    rows = [line.split(" ", 5) for line in text.splitlines()]
    faults = [
        f"transfer {number}: {' '.join(row)}"
        for number, row in enumerate(rows, 1)
        if row[0] != version or not row[1].startswith("2") or int(row[column]) != size
    ]
    if len(rows) != times or code:
        faults.append(f"curl ended with {code} after {len(rows)} of {times} transfers")
    timed = rows[1:]
    seconds = sum(float(row[4]) for row in timed)
    rate = sum(int(row[column]) for row in timed) / seconds / 1e6 if seconds else 0.0
    return Transfers(sum(int(row[column]) for row in rows), rate, tuple(faults))

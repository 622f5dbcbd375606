"""wrk: HTTP/1.1, closed loop, keep-alive, one thread, as many requests as the other side takes."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .run import Run

__all__ = ["RandomHosts", "run_wrk"]

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
PUT = """
local file = io.open("{body}", "rb")
wrk.method = "PUT"
wrk.body = file:read("*a")
file:close()
"""
"""What wrk runs to send a file again and again."""
SIZES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


HOSTS = """
math.randomseed({seed})
request = function()
  return wrk.format("GET", nil, {{ Host = "{prefix}" .. math.random(0, {count} - 1) .. "{suffix}" }})
end
"""
"""What wrk runs to ask for another host each time."""


@dataclass(frozen=True, slots=True)
class RandomHosts:
    """So many hosts, one drawn for each request: `prefix`, a number from 0 on, `suffix`."""

    prefix: str
    suffix: str
    count: int
    seed: int


def run_wrk(
    url: str,
    *,
    host: str | RandomHosts,
    connections: int,
    seconds: float,
    body: Path | None = None,
) -> Run:
    """Request `url` over and over for `seconds`, with GET or, given a body, with PUT. Raises CalledProcessError."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds:.0f}s"]
    command += ["--latency", "--timeout", "10s"]
    if isinstance(host, str):
        command += ["--header", f"Host: {host}"]
    with tempfile.NamedTemporaryFile("w", prefix="backplane-wrk-", suffix=".lua") as script:
        if body is not None:
            script.write(PUT.format(body=body))
            script.flush()
            command += ["--script", script.name]
        elif isinstance(host, RandomHosts):
            script.write(
                HOSTS.format(prefix=host.prefix, suffix=host.suffix, count=host.count, seed=host.seed)
            )
            script.flush()
            command += ["--script", script.name]
        done = subprocess.run(
            [*command, url], capture_output=True, text=True, check=True, timeout=seconds + 60
        )
    return parse(done.stdout)


def parse(text: str) -> Run:
    """Read the report that wrk prints."""
    requests, duration, unit, size, scale = found(
        r"(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)(B|KB|MB|GB) read", text
    )
    faults = [
        f"{count} socket errors ({kind})"
        for kind, count in re.findall(r"(connect|read|write|timeout) (\d+)", text)
        if count != "0"
    ]
    faults += [f"{count} answers other than 2xx and 3xx" for count in re.findall(r"Non-2xx.*: (\d+)", text)]
    if requests == "0":
        faults.append("no answer")
    return Run(
        requests=int(requests),
        seconds=milliseconds(duration, unit) / 1e3,
        received=round(float(size) * SIZES[scale]),
        faults=tuple(faults),
        p50=percentile(50, text),
        p99=percentile(99, text),
    )


def percentile(percent: int, text: str) -> float:
    """Return one line of the latency distribution, in milliseconds."""
    return milliseconds(*found(rf"\b{percent}%\s+([\d.]+)(us|ms|s|m)\b", text))


def found(pattern: str, text: str) -> tuple[str, ...]:
    """Return the groups of a pattern that has to be there."""
    match = re.search(pattern, text)
    assert match, f"no {pattern!r} in wrk's report:\n{text}"
    return tuple(match.groups())


def milliseconds(number: str, unit: str) -> float:
    """Return a duration in milliseconds."""
    return float(number) * UNITS[unit]

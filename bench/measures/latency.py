"""How long a request takes when there is room: one fixed rate for all systems, half of what the slowest one takes."""

from __future__ import annotations

import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ..cost import metered
from ..load.h2load import Target, fixed_rate
from ..sample import Sample, Taken
from ..subject import Subject
from ..systems.system import HOST
from .case import Case, Pace, figures_of
from .requests import SMALL, SMALL_HTTP2

__all__ = ["Latency"]

CONNECTIONS = 32
CALIBRATION = f"{CONNECTIONS} connections"
SHARE = 0.5
"""Of what the slowest system takes."""
PROTOCOLS = {"HTTP/1.1": SMALL.name, "HTTP/2": SMALL_HTTP2.name}
"""And the measures that say how much a system takes."""


@dataclass(frozen=True, slots=True)
class FixedRate:
    """So many requests a second over 32 connections."""

    name: str
    http2: bool
    rate: float

    def skips(self, system: str) -> bool:
        """Every system answers requests."""
        return False

    def take(self, subject: Subject, pace: Pace) -> Taken:
        """Send requests at the rate, first to warm up."""
        running = subject.running(tls=self.http2)
        target = Target(running.public, HOST, "/", http2=self.http2)
        fixed_rate(target, clients=CONNECTIONS, rate=self.rate, seconds=pace.warm_up)
        with metered({**running.programs, "app": subject.ground.app}) as cost:
            run = fixed_rate(target, clients=CONNECTIONS, rate=self.rate, seconds=pace.load)
        return Taken(figures_of(run, cost), run.faults)


class Latency:
    """Both protocols, each at its own rate, which is found in the first round and then kept."""

    name = "latency"
    title = "Latency of a small GET at a fixed rate, 32 connections"
    figures = ("p50 ms", "p99 ms")
    plotted = figures
    rounds = 100

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    def missing(self) -> str | None:
        """It needs h2load."""
        return None if shutil.which("h2load") else "there is no h2load on the path"

    def cases(self, samples: Iterable[Sample]) -> Iterable[Case]:
        """One for each protocol whose saturation was measured before."""
        kept = list(samples)
        for protocol, measure in PROTOCOLS.items():
            taken = saturations(measure, kept)
            if protocol not in self._rates and taken:
                self._rates[protocol] = round(min(taken) * SHARE)
            if rate := self._rates.get(protocol):
                yield FixedRate(f"{protocol}, {rate:,.0f}/s", http2=protocol == "HTTP/2", rate=rate)


def saturations(measure: str, samples: Iterable[Sample]) -> list[float]:
    """Return how many requests a second each system took."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if (sample.measure, sample.case) == (measure, CALIBRATION) and not sample.taken.faults:
            rates[sample.system].append(sample.taken.figures["requests/s"])
    return [statistics.median(values) for values in rates.values()]

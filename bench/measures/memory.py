"""Memory under slow clients: 64 bodies of 100 MB at once, 1 MB/s each, then as fast as they come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..cost import metered
from ..load.slow import read_slowly
from ..origin import FILES
from ..sample import Sample, Taken
from ..subject import Subject
from ..systems.system import HOST
from .case import MEBIBYTE, Case, Pace

__all__ = ["Memory"]

BODY = "100m"
RATE = 1e6


@dataclass(frozen=True, slots=True)
class SlowClients:
    """So many clients of a system that has just been started."""

    clients: int

    @property
    def name(self) -> str:
        """Their number."""
        return f"{self.clients} slow clients"

    def skips(self, system: str) -> bool:
        """Without edge and agent there is nothing to look at."""
        return system == "direct"

    def take(self, subject: Subject, pace: Pace) -> Taken:
        """Watch the peak while they read."""
        with subject.fresh() as running, metered(running.programs) as cost:
            crowd = read_slowly(
                running.public,
                host=HOST,
                path=f"/{BODY}",
                size=FILES[BODY],
                clients=self.clients,
                rate=RATE,
                slow=pace.slow,
                fast=pace.load,
            )
        figures = {f"{name} peak MiB": cost[name].peak / MEBIBYTE for name in ("edge", "agent")}
        figures["MB passed"] = crowd.passed / 1e6
        return Taken(figures, crowd.faults)


class Memory:
    """64 clients."""

    name = "memory"
    title = "Peak memory under 64 downloads of 100 MB to slow clients"
    figures = ("edge peak MiB", "agent peak MiB", "MB passed")
    plotted = ("edge peak MiB", "agent peak MiB")
    rounds = 2

    def missing(self) -> str | None:
        """Nothing else is needed."""
        return None

    def cases(self, samples: Iterable[Sample]) -> Iterable[Case]:
        """One."""
        return [SlowClients(64)]

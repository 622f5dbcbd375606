"""Tunnels at rest: what one costs the edge, and how soon all are back after the edge was restarted.

Their agents share one process (`bench.crowd`) and one address, and dial at the same moment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tests.e2e.programs import Program, eventually

from ..cost import metered, resident
from ..crowd import COMPLETE
from ..sample import Sample, Taken
from ..subject import Subject
from ..systems.backplane import Backplane, Edge
from ..systems.system import Site
from .case import Case, Pace

__all__ = ["Idle"]

SIZES = (1_000, 10_000)
PATIENCE = 300
"""Seconds within which all tunnels have to stand."""
KILOBYTE = 1000


@dataclass(frozen=True, slots=True)
class Tunnels:
    """So many agents with one tunnel each."""

    size: int

    @property
    def name(self) -> str:
        """Their number."""
        return f"{self.size:,} tunnels"

    def skips(self, system: str) -> bool:
        """The crowd speaks h2s."""
        return system not in ("native", "portable")

    def take(self, subject: Subject, pace: Pace) -> Taken:
        """Connect all, let them rest, restart the edge."""
        system = subject.system
        assert isinstance(system, Backplane)
        site = subject.site(tls=False)
        edge = system.start_edge(site)
        before = resident(edge.program)
        crowd = self._start_crowd(system, site, edge)
        try:
            figures = {"connect s": self._completes(crowd, times=1)}
            time.sleep(pace.settle)
            figures["edge KB/tunnel"] = (resident(edge.program) - before) / self.size / KILOBYTE
            began = time.monotonic()
            with metered({"edge": edge.program}) as cost:
                time.sleep(pace.rest)
            figures["edge % of a core"] = cost["edge"].cpu / (time.monotonic() - began) * 100
            began = time.monotonic()
            edge.program.terminate()
            edge.program.exit_code(PATIENCE)
            figures["stop s"] = time.monotonic() - began
            edge = system.start_edge(site, like=edge)
            figures["reconnect s"] = self._completes(crowd, times=2)
        finally:
            for program in (crowd, edge.program):
                if program.running:
                    program.kill()
        return Taken(figures)

    def _start_crowd(self, system: Backplane, site: Site, edge: Edge) -> Program:
        argv = [sys.executable, "-m", "bench.crowd", "--edge", str(edge.tunnel)]
        argv += ["--token-file", str(edge.token_file), "--size", str(self.size)]
        return site.stage.run(f"{site.name}-crowd", argv, system.environment)

    def _completes(self, crowd: Program, *, times: int) -> float:
        """Wait until all tunnels stand, for the first or the second time; return how long that took."""
        began = time.monotonic()
        what = f"{self.size} tunnels stand"

        def complete() -> bool:
            assert crowd.running, f"the crowd ended: {crowd.stderr[-2000:]}"
            return crowd.stdout.count(COMPLETE) >= times

        eventually(complete, within=PATIENCE, what=what)
        return time.monotonic() - began


class Idle:
    """A thousand of them, and ten thousand."""

    name = "idle"
    title = "Tunnels at rest"
    figures = ("edge KB/tunnel", "edge % of a core", "connect s", "stop s", "reconnect s")
    plotted: tuple[str, ...] = ()
    rounds = 1

    def missing(self) -> str | None:
        """Nothing else is needed."""
        return None

    def cases(self, samples: Iterable[Sample]) -> Iterable[Case]:
        """One for each size."""
        return [Tunnels(size) for size in SIZES]

"""Small GETs, as many as a system takes: what a request costs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from ..cost import metered
from ..load.run import Run
from ..load.wrk import run_wrk
from ..sample import Sample, Taken
from ..subject import Subject
from ..systems import Running
from ..systems.system import HOST
from .case import Case, Pace, figures_of

__all__ = ["Small"]


@dataclass(frozen=True, slots=True)
class Saturation:
    """A closed loop over some connections, each with one request at a time."""

    connections: int

    @property
    def name(self) -> str:
        """Its connections."""
        return f"{self.connections} connection{'s' * (self.connections > 1)}"

    def skips(self, system: str) -> bool:
        """Every system answers small requests."""
        return False

    def take(self, subject: Subject, pace: Pace) -> Taken:
        """Drive the load twice: to warm up, and to measure."""
        running = subject.running(tls=False)
        self._load(running, pace.warm_up)
        with metered({**running.programs, "app": subject.ground.app}) as cost:
            run = self._load(running, pace.load)
        return Taken(figures_of(run, cost), run.faults)

    def _load(self, running: Running, seconds: float) -> Run:
        return run_wrk(running.url(), host=HOST, connections=self.connections, seconds=seconds)


class Small:
    """HTTP/1.1 clients: 1, 32 and 256 connections."""

    name = "small"
    title = "Small GET, HTTP/1.1, saturation"
    rounds = 100

    def missing(self) -> str | None:
        """It needs wrk."""
        return None if shutil.which("wrk") else "there is no wrk on the path"

    def cases(self, samples: Iterable[Sample]) -> Iterable[Case]:
        """One for each number of connections."""
        return [Saturation(connections) for connections in (1, 32, 256)]

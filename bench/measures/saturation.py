"""As many requests as a system takes: what a request costs, and how many there are in a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..cost import metered
from ..load.h2load import Target, saturating
from ..load.run import Run
from ..load.wrk import run_wrk
from ..origin import FILES
from ..sample import Taken
from ..subject import Subject
from ..systems import Running
from ..systems.system import HOST
from .case import Pace, figures_of

__all__ = ["Saturation"]

TAIL = 0.5
"""Seconds that h2load runs on after what is looked at."""
COUNTING = 0.98
"""wrk gives the bytes that came in three digits."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """A closed loop over some connections, with some requests at a time on each: wrk in clear, or h2load with TLS."""

    name: str
    connections: int
    http2: bool = False
    streams: int = 1
    """Requests at a time on a connection; HTTP/1.1 has one."""
    body: str | None = None
    """One of the application's files; None: a few bytes."""
    upload: bool = False
    """Whether the body is sent, or else fetched."""
    brief: bool = False
    """Whether it is looked at for a shorter time."""

    def skips(self, system: str) -> bool:
        """Every system answers requests."""
        return False

    def take(self, subject: Subject, pace: Pace) -> Taken:
        """Drive the load, and measure when it is warm."""
        running = subject.running(tls=self.http2)
        origin = subject.ground.origin
        sent = origin.file(self.body) if self.body and self.upload else None
        seconds = pace.brief if self.brief else pace.load
        programs = {**running.programs, "app": origin.program}
        if self.http2:
            target = Target(running.public, HOST, self.path, http2=True, body=sent)
            length = pace.warm_up + seconds + TAIL
            with saturating(
                target, clients=self.connections, streams=self.streams, seconds=length
            ) as loading:
                loading.measure(pace.warm_up)
                with metered(programs) as cost:
                    loading.measure(seconds)
            run = loading.run
        else:
            self._wrk(running, pace.warm_up, sent)
            with metered(programs) as cost:
                run = self._wrk(running, seconds, sent)
        figures = figures_of(run, cost)
        faults = list(run.faults)
        if self.body:
            size = FILES[self.body]
            figures["MB/s"] = run.rate * size / 1e6
            if sent and (stored := (origin.sink / self.body).stat().st_size) != size:
                faults.append(f"{stored} of {size} bytes arrived")
            if run.received is not None and not sent and run.received < run.requests * size * COUNTING:
                faults.append(f"{run.requests} bodies of {size} bytes, but {run.received} bytes came")
        return Taken(figures, tuple(faults))

    @property
    def path(self) -> str:
        """What is requested."""
        if self.body is None:
            return "/"
        return f"/sink/{self.body}" if self.upload else f"/{self.body}"

    def _wrk(self, running: Running, seconds: float, sent: Path | None) -> Run:
        url = running.url(self.path)
        return run_wrk(url, host=HOST, connections=self.connections, seconds=seconds, body=sent)

"""A system as the cases get it: running already, or started anew for them alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.certificate import Certificate
from tests.e2e.programs import Program
from tests.e2e.stage import Stage

from .origin import Origin
from .systems import Running, Site, System

__all__ = ["Ground", "Subject"]


@dataclass(frozen=True, slots=True)
class Ground:
    """What all systems share."""

    stage: Stage
    origin: Origin
    certificate: Certificate

    @property
    def app(self) -> Program:
        """The application."""
        return self.origin.program


@dataclass(slots=True)
class Subject:
    """One system. It runs once with a clear and once with a TLS public side, from the first use to the end."""

    system: System
    ground: Ground
    _running: dict[bool, Running] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def name(self) -> str:
        """The system's name."""
        return self.system.name

    def running(self, *, tls: bool) -> Running:
        """Return the system, running; it has served before and will serve again."""
        if tls not in self._running:
            self._running[tls] = self._start(tls=tls)
        return self._running[tls]

    @contextmanager
    def fresh(self, *, tls: bool = False) -> Iterator[Running]:
        """Give a system that has not served yet, and stop it afterwards."""
        running = self._start(tls=tls)
        try:
            yield running
        finally:
            running.stop()

    def site(self, *, tls: bool) -> Site:
        """Return a place to put the system up that was not used before."""
        name = f"{self.name}-{next(self._numbers)}"
        ground = self.ground
        return Site(ground.stage, ground.origin, ground.certificate, tls=tls, name=name)

    def _start(self, *, tls: bool) -> Running:
        return self.system.start(self.site(tls=tls))

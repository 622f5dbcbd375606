"""Control calls on a tunnel that carries all it can, both ways: what a Poll takes, beside what it takes at rest."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from ..sample import Sample, Taken
from ..subject import Subject
from ..systems.backplane import Backplane
from .case import Case, Pace

__all__ = ["Control"]

MBIT = 1e6 / 8
LINES = {"loopback": 0.0, "100 Mbit/s": 100 * MBIT, "10 Mbit/s": 10 * MBIT}
PATIENCE = 300
"""Seconds that one line may take."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is between edge and agent."""

    name: str

    def skips(self, system: str) -> bool:
        """Only h2s has control calls."""
        return system not in ("native", "portable")

    def take(self, subject: Subject, pace: Pace) -> Taken:
        """Fill it, and call."""
        system, site = subject.system, subject.site(tls=False)
        assert isinstance(system, Backplane)
        argv = [sys.executable, "-m", "bench.control", "--rate", str(LINES[self.name])]
        program = site.stage.run(f"{site.name}-control", argv, system.environment)
        code = program.exit_code(PATIENCE)
        if code:
            return Taken({}, (f"it ended with {code}: {program.stderr[-500:]}",))
        return Taken(json.loads(program.stdout))


class Control:
    """Each line."""

    name = "control"
    title = "Control calls on a full tunnel"
    figures = ("idle p50 ms", "full p50 ms", "full p99 ms", "MB/s from the agent")
    plotted: tuple[str, ...] = ()
    rounds = 1

    def missing(self) -> str | None:
        """Nothing else is needed."""
        return None

    def cases(self, samples: Iterable[Sample]) -> Iterable[Case]:
        """Return all of them."""
        return [Line(name) for name in LINES]

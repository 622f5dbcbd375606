"""What measures have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..cost import Cost
from ..load.run import Run
from ..sample import Sample, Taken
from ..subject import Subject

__all__ = ["Case", "Measure", "Pace", "figures_of"]

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take."""

    quick: bool

    @property
    def load(self) -> float:
        """Seconds of a load that is measured."""
        return 2 if self.quick else 3

    @property
    def brief(self) -> float:
        """Seconds of a load of which there are many."""
        return 2

    @property
    def warm_up(self) -> float:
        """Seconds of the same load before it."""
        return 1

    @property
    def slow(self) -> float:
        """Seconds that slow clients are slow."""
        return 3 if self.quick else 8

    @property
    def settle(self) -> float:
        """Seconds after which what has just come to stand is at rest."""
        return 2 if self.quick else 5

    @property
    def rest(self) -> float:
        """Seconds of rest that are looked at: one interval of PINGs and some more."""
        return 5 if self.quick else 30

    @property
    def transfers(self) -> int:
        """How often a large body is moved."""
        return 2 if self.quick else 4


class Case(Protocol):
    """One load."""

    @property
    def name(self) -> str:
        """What it is called in the results."""

    def skips(self, system: str) -> bool:
        """Return whether it says nothing about a system."""

    def take(self, subject: Subject, pace: Pace) -> Taken:
        """Measure a system."""


class Measure(Protocol):
    """Some cases that belong together."""

    @property
    def name(self) -> str:
        """What it is chosen by."""

    @property
    def title(self) -> str:
        """What it is, for people."""

    @property
    def figures(self) -> Sequence[str]:
        """What of its figures is worth a page."""

    @property
    def plotted(self) -> Sequence[str]:
        """What is worth a chart."""

    @property
    def rounds(self) -> int:
        """In how many rounds it takes part at the most."""

    def missing(self) -> str | None:
        """Return why it cannot be measured here, or None."""

    def cases(self, samples: Iterable[Sample]) -> Iterable[Case]:
        """Return the cases, given what was measured so far."""


def figures_of(run: Run, cost: Mapping[str, Cost]) -> dict[str, float]:
    """Return the figures of a run of many requests."""
    figures = {"requests/s": run.rate, "p50 ms": run.p50, "p99 ms": run.p99}
    through = [name for name in ("edge", "agent") if name in cost]
    for name in (*through, "app"):
        figures[f"{name} µs/request"] = cost[name].cpu / max(run.requests, 1) * 1e6
    if through:
        figures["edge + agent µs/request"] = sum(figures[f"{name} µs/request"] for name in through)
    for name in through:
        figures[f"{name} peak MiB"] = cost[name].peak / MEBIBYTE
    return figures

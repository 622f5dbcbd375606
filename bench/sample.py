"""One measurement: a case, of one system, in one round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Sample", "Taken"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a case found out about a system."""

    figures: Mapping[str, float]
    """By a name that says the unit too."""
    faults: tuple[str, ...] = ()
    """What went wrong. A measurement with faults counts for nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A measurement and what it belongs to."""

    measure: str
    case: str
    system: str
    round: int
    taken: Taken = field(repr=False)

    def __str__(self) -> str:
        return f"{self.measure}, {self.case}, {self.system}, round {self.round}"

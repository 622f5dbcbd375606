"""From samples to medians and ratios.

A figure is the median over the rounds, with its range. A ratio of two systems is taken within a round, where both saw
the same moment of the machine, and then the median of these.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .sample import Sample

__all__ = ["Results", "Spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of several rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        text = digits(self.median)
        if len(self.values) == 1:
            return text
        return f"{text} ({digits(min(self.values))}-{digits(max(self.values))})"


class Results:
    """All samples of a bench."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Take a sample."""
        self.samples.append(sample)

    @property
    def faulty(self) -> list[Sample]:
        """Samples that count for nothing."""
        return [sample for sample in self.samples if sample.taken.faults]

    def cases(self) -> Iterator[tuple[str, str]]:
        """Yield measure and case in the order of their first samples."""
        yield from dict.fromkeys((sample.measure, sample.case) for sample in self.samples)

    def of(self, measure: str, case: str) -> Iterable[Sample]:
        """Return the samples of a case that count."""
        return [
            sample
            for sample in self.samples
            if (sample.measure, sample.case) == (measure, case) and not sample.taken.faults
        ]

    def figures(self, measure: str, case: str) -> list[str]:
        """Return the names of a case's figures."""
        samples = self.of(measure, case)
        longest = max((sample.taken.figures for sample in samples), key=len, default={})
        return list(longest)

    def spread(self, measure: str, case: str, system: str, figure: str) -> Spread | None:
        """Return the values of a figure over the rounds."""
        values = self._by_round(measure, case, system, figure)
        return Spread(tuple(values.values())) if values else None

    def ratio(self, measure: str, case: str, figure: str, *, of: str, to: str) -> Spread | None:
        """Return the ratios of one system to another within each round."""
        ours = self._by_round(measure, case, of, figure)
        theirs = self._by_round(measure, case, to, figure)
        ratios = [value / theirs[number] for number, value in ours.items() if theirs.get(number)]
        return Spread(tuple(ratios)) if ratios else None

    def _by_round(self, measure: str, case: str, system: str, figure: str) -> dict[int, float]:
        return {
            sample.round: sample.taken.figures[figure]
            for sample in self.of(measure, case)
            if sample.system == system and figure in sample.taken.figures
        }


def digits(value: float) -> str:
    """Return a number in three significant digits or all of its whole ones."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

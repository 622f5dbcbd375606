"""What Backplane wants to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .results import Results, Spread

__all__ = ["TARGETS", "Target"]

SYSTEM = "native"
"""The one that the targets are for."""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure, or on its ratio to that of a peer."""

    measure: str
    case: str
    """How the case's name begins: some end with a rate."""
    figure: str
    bound: float
    to: str | None = None
    """The peer; None: the figure itself is bounded."""
    least: bool = False
    """Whether the bound is the least that will do, or the most."""

    @property
    def wanted(self) -> str:
        """The bound in words."""
        sign = "≥" if self.least else "≤"
        return f"{sign} {self.bound:g}" + (f" of {self.to}" if self.to else "")

    def measured(self, results: Results) -> Spread | None:
        """Return what was measured, if it was."""
        for measure, case in results.cases():
            if measure == self.measure and case.startswith(self.case):
                if self.to is None:
                    return results.spread(measure, case, SYSTEM, self.figure)
                return results.ratio(measure, case, self.figure, of=SYSTEM, to=self.to)
        return None

    def verdict(self, results: Results) -> str:
        """Return whether the median keeps the bound."""
        measured = self.measured(results)
        if measured is None:
            return "not measured"
        kept = measured.median >= self.bound if self.least else measured.median <= self.bound
        return "met" if kept else "missed"


COST = "edge + agent µs/request"

TARGETS: Sequence[Target] = [
    Target("small", "32 connections", COST, 1.0, to="haproxy"),
    Target("small", "32 connections", COST, 0.6, to="envoy"),
    Target("small", "256 connections", COST, 1.0, to="haproxy"),
    Target("small", "256 connections", COST, 0.6, to="envoy"),
    Target("latency", "HTTP/1.1", "p50 ms", 1.0, to="haproxy"),
    Target("latency", "HTTP/1.1", "p99 ms", 1.0, to="haproxy"),
    Target("latency", "HTTP/2", "p50 ms", 1.0, to="haproxy"),
    Target("latency", "HTTP/2", "p99 ms", 1.0, to="haproxy"),
    Target("bulk", "down, HTTP/1.1", "MB/s", 1.0, to="envoy", least=True),
    Target("bulk", "up, HTTP/1.1", "MB/s", 1.0, to="envoy", least=True),
    Target("bulk", "down, HTTP/2", "MB/s", 1.0, to="envoy", least=True),
    Target("bulk", "up, HTTP/2", "MB/s", 1.0, to="envoy", least=True),
    Target("memory", "64", "edge peak MiB", 250),
    Target("memory", "64", "agent peak MiB", 250),
    Target("idle", "10,000", "edge KB/tunnel", 100),
    Target("idle", "10,000", "edge % of a core", 5),
]

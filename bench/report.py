"""From measurements to medians: a table for people and JSON for machines.

Each figure is the median of the rounds with its range; a ratio is `tunnel` to `direct` within one round, then the
median of these.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .scene import Small, Streamed

__all__ = ["Report"]

MEBIBYTE = 1024 * 1024

Figures = dict[str, float]


class Report:
    """Takes what each round measured and sums it up."""

    def __init__(self, *, quick: bool, rounds: int) -> None:
        self.quick = quick
        self.rounds = rounds
        self.failures = 0
        self.samples: defaultdict[str, defaultdict[str, list[Figures]]] = defaultdict(
            lambda: defaultdict(list)
        )
        """Figures of each round by case (`32 connections`) and way (`tunnel`)."""

    def small(self, connections: int, results: Mapping[str, Small]) -> None:
        """Take a run of small requests both ways."""
        for way, result in results.items():
            run = result.run
            self.failures += run.failures + (run.requests == 0)
            figures = {"requests/s": run.per_second, "p50 ms": run.p50, "p99 ms": run.p99}
            for name in programs_on(way):
                cost = result.cost[name]
                figures[f"{name} µs/request"] = cost.cpu / max(run.requests, 1) * 1e6
                figures[f"{name} peak MiB"] = cost.peak / MEBIBYTE
            self.samples[f"{connections} connections"][way].append(figures)

    def bulk(self, results: Mapping[str, Mapping[str, Streamed]]) -> None:
        """Take a large body in each direction both ways."""
        for direction, ways in results.items():
            for way, result in ways.items():
                transfer = result.transfer
                self.failures += transfer.passed != transfer.size
                figures = {"MB/s": transfer.rate}
                for name in programs_on(way):
                    cost = result.cost["origin" if name == "app" else name]
                    figures[f"{name} CPU s/GB"] = cost.cpu / max(transfer.passed, 1) * 1e9
                    figures[f"{name} peak MiB"] = cost.peak / MEBIBYTE
                self.samples[f"{transfer.size // MEBIBYTE} MiB {direction}"][way].append(figures)

    def rows(self) -> Iterator[tuple[str, str, list[float], list[float], list[float]]]:
        """Yield case, figure, and its values direct, through the tunnel, and as ratios."""
        for case, ways in self.samples.items():
            for figure in ways["tunnel"][0]:
                direct = [figures[figure] for figures in ways["direct"] if figure in figures]
                tunnel = [figures[figure] for figures in ways["tunnel"]]
                ratios = [t / d for t, d in zip(tunnel, direct, strict=False) if d]
                yield case, figure, direct, tunnel, ratios

    def table(self) -> str:
        """Return the table for people: median (min-max)."""
        lines = [f"{'':18}{'':22}{'direct':>26}{'tunnel':>26}{'tunnel / direct':>26}"]
        last = ""
        for case, figure, *columns in self.rows():
            shown = "".join(f"{spread(values):>26}" for values in columns)
            lines.append(f"{case if case != last else '':18}{figure:22}{shown}")
            last = case
        lines.append(f"failed requests: {self.failures}")
        return "\n".join(lines)

    def write(self, folder: Path) -> Path:
        """Write everything into a new file in `folder` and return its path."""
        folder.mkdir(exist_ok=True)
        path = folder / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
        path.write_text(json.dumps(self._document(), indent=2) + "\n")
        return path

    def _document(self) -> dict[str, Any]:
        return {
            "backplane": version("backplane"),
            "python": sys.version.split()[0],
            "machine": platform.platform(),
            "processors": os.cpu_count(),
            "quick": self.quick,
            "rounds": self.rounds,
            "failures": self.failures,
            "figures": [
                {"case": case, "figure": figure, "direct": direct, "tunnel": tunnel, "ratio": ratios}
                for case, figure, direct, tunnel, ratios in self.rows()
            ],
        }


def programs_on(way: str) -> tuple[str, ...]:
    """Return the programs that a request passes."""
    return ("app",) if way == "direct" else ("edge", "agent", "app")


def spread(values: list[float]) -> str:
    """Return the median and the range of some values, in a sensible number of digits."""
    if not values:
        return "-"
    median = digits(statistics.median(values))
    return median if len(values) == 1 else f"{median} ({digits(min(values))}-{digits(max(values))})"


def digits(value: float) -> str:
    """Return a number in three significant digits or all of its whole ones."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"

"""Results as a table for the terminal and as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .results import Results

__all__ = ["Report"]

OURS = ("native", "portable")
PEERS = ("haproxy", "envoy")


class Report:
    """Results, and what they were taken from."""

    def __init__(
        self, results: Results, *, systems: Mapping[str, str], missing: Mapping[str, str], quick: bool
    ) -> None:
        self.results = results
        self.systems = systems
        """Versions of the systems that were measured, by name."""
        self.missing = missing
        """Why others were not, by name."""
        self.quick = quick

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Ours and the peers: what ratios are of and to."""
        return [(of, to) for of in OURS for to in PEERS if of in self.systems and to in self.systems]

    def text(self) -> str:
        """Return everything for the terminal."""
        return "\n".join([*self._table(), *self._notes()])

    def _table(self) -> Iterator[str]:
        headings = [*self.systems, *(f"{of} / {to}" for of, to in self.pairs)]
        for measure, case in self.results.cases():
            rows = [[f"{measure}, {case}", *headings]]
            for figure in self.results.figures(measure, case):
                spreads = [self.results.spread(measure, case, system, figure) for system in self.systems]
                spreads += [self.results.ratio(measure, case, figure, of=of, to=to) for of, to in self.pairs]
                rows.append([figure, *("-" if spread is None else str(spread) for spread in spreads)])
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
                yield "  ".join([row[0].ljust(widths[0]), *others])
            yield ""

    def _notes(self) -> Iterator[str]:
        for name, version in self.systems.items():
            yield f"{name}: {version}"
        for name, reason in self.missing.items():
            yield f"{name}: not measured: {reason}"
        for sample in self.results.faulty:
            yield f"FAULTY, NOT COUNTED: {sample}: {'; '.join(sample.taken.faults)}"

    def write(self, folder: Path) -> Path:
        """Write everything into a new file in `folder` and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
        path.write_text(json.dumps(self._document(), indent=1, ensure_ascii=False) + "\n")
        return path

    def _document(self) -> dict[str, Any]:
        return {
            "python": sys.version.split()[0],
            "machine": platform.platform(),
            "processors": os.cpu_count(),
            "quick": self.quick,
            "systems": self.systems,
            "missing": self.missing,
            "samples": [
                {
                    "measure": sample.measure,
                    "case": sample.case,
                    "system": sample.system,
                    "round": sample.round,
                    "figures": sample.taken.figures,
                    "faults": sample.taken.faults,
                }
                for sample in self.results.samples
            ],
        }

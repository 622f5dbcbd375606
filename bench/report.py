"""What a bench has found, with what it was found on: kept as JSON, shown on a terminal."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .results import Results
from .sample import Sample, Taken

__all__ = ["Report"]

OURS = ("native", "portable")
PEERS = ("haproxy", "envoy")


def describe_machine() -> Mapping[str, str]:
    """Return what figures depend on."""
    return {
        "processors": str(os.cpu_count()),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": sys.version.split()[0],
    }


@dataclass(slots=True)
class Report:
    """Results, and what they were taken from."""

    results: Results
    systems: Mapping[str, str]
    """Versions of the systems that were measured, by name."""
    missing: Mapping[str, str]
    """Why others were not, by name."""
    quick: bool
    seconds: float
    """How long it all took."""
    machine: Mapping[str, str] = field(default_factory=describe_machine)

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

    def write(self, path: Path) -> None:
        """Keep everything in a file."""
        document = {
            "machine": self.machine,
            "quick": self.quick,
            "seconds": round(self.seconds),
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
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read what `write` has kept."""
        document: dict[str, Any] = json.loads(path.read_text())
        results = Results()
        for kept in document["samples"]:
            taken = Taken(kept["figures"], tuple(kept["faults"]))
            results.add(Sample(kept["measure"], kept["case"], kept["system"], kept["round"], taken))
        return cls(
            results,
            systems=document["systems"],
            missing=document["missing"],
            quick=document["quick"],
            seconds=document["seconds"],
            machine=document["machine"],
        )

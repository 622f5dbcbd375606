"""The results as tables in Markdown, as they stand in `docs/reliability.md`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from .faults import Trial
from .ordeal import Ordeal

__all__ = ["fault_table", "ordeal_table"]

FAULT_HEAD = (
    "fault",
    "rounds",
    "sent",
    "failed",
    "retried",
    "clients notice (s)",
    "whole again (s)",
    "descriptors",
    "memory (MB)",
)
ORDEAL_HEAD = (
    "pressure",
    "p99 alone (ms)",
    "at the onset",
    "under it",
    "ratio",
    "edge (MB)",
    "agent (MB)",
    "cut",
)


def fault_table(trials: Iterable[Trial]) -> str:
    """Return the table of faults: of times the median and the longest, of programs those that lived throughout."""
    return table(FAULT_HEAD, map(fault_row, trials))


def ordeal_table(ordeals: Iterable[Ordeal]) -> str:
    """Return the table of pressures."""
    return table(ORDEAL_HEAD, map(ordeal_row, ordeals))


def fault_row(trial: Trial) -> list[str]:
    """Return the cells of a fault."""
    survivors = trial.survivors
    return [
        trial.fault.name,
        str(trial.rounds),
        f"{trial.sent:,}",
        str(trial.failed),
        f"{trial.retried:.0f}",
        spread(trial.noticed),
        spread(trial.whole),
        each({name: f"{old.descriptors} → {new.descriptors}" for name, (old, new) in survivors.items()}),
        each({name: f"{mega(old.memory)} → {mega(new.memory)}" for name, (old, new) in survivors.items()}),
    ]


def ordeal_row(result: Ordeal) -> list[str]:
    """Return the cells of a pressure."""
    return [
        result.pressure.name,
        milli(result.alone.p99),
        milli(result.onset.p99),
        milli(result.under.p99),
        f"{result.under.p99 / result.alone.p99:.1f}",
        mega(result.edge_memory),
        mega(result.agent_memory),
        str(result.cut),
    ]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    cells = list(head)
    lines = [cells, ["---"] * len(cells), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def each(values: Mapping[str, str]) -> str:
    """Return values with their names."""
    return "<br>".join(f"{name}: {value}" for name, value in values.items())


def spread(seconds: Iterable[float]) -> str:
    """Return the median and the longest of some times."""
    values = list(seconds)
    return f"{statistics.median(values):.1f}, {max(values):.1f}"


def mega(size: int) -> str:
    """Return a number of bytes in megabytes."""
    return f"{size / 1e6:.0f}"


def milli(seconds: float) -> str:
    """Return a time in milliseconds."""
    return f"{seconds * 1e3:.1f}"

"""The results as tables in Markdown, as they stand in `docs/reliability.md`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from .ordeal import Ordeal
from .trial import Trial

__all__ = ["fault_table", "ordeal_table", "with_rows"]

FAULT_HEAD = (
    "fault",
    "rounds",
    "sent",
    "failed",
    "retried",
    "clients notice (s)",
    "whole again (s)",
    "slowest answer (s)",
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
        f"{trial.slowest:.2f}",
        each({name: chain(str(one.descriptors) for one in held) for name, held in survivors.items()}),
        each({name: chain(mega(one.memory) for one in held) for name, held in survivors.items()}),
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


def with_rows(document: str, added: str) -> str:
    """Return a document in Markdown with the rows of a table: in the place of rows that begin alike, else at its end.

    Raises ValueError if the document has no table with this head.
    """
    lines, (head, _, *rows) = document.splitlines(), added.splitlines()
    start = end = lines.index(head)
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    for row in rows:
        name = row.split(" | ")[0]
        known = [number for number in range(start, end) if lines[number].split(" | ")[0] == name]
        lines[slice(known[0], known[0] + 1) if known else slice(end, end)] = [row]
        end += not known
    return "\n".join(lines) + "\n"


def each(values: Mapping[str, str]) -> str:
    """Return values with their names."""
    return "<br>".join(f"{name}: {value}" for name, value in values.items())


def chain(values: Iterable[str]) -> str:
    """Return what was held before, half way and after."""
    return " → ".join(values)


def spread(seconds: Iterable[float]) -> str:
    """Return the median and the longest of some times."""
    values = list(seconds)
    return f"{statistics.median(values):.2f}, {max(values):.2f}"


def mega(size: int) -> str:
    """Return a number of bytes in megabytes."""
    return f"{size / 1e6:.0f}"


def milli(seconds: float) -> str:
    """Return a time in milliseconds."""
    return f"{seconds * 1e3:.1f}"

"""What programs cost: processor time and peak memory of a process and all of its children, from /proc.

The kernel keeps the peak, so nobody has to look at it again and again: `metered` sets it back and reads it at the end.
Of several processes the peaks are added, which is never less than the peak of the sum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import Program

__all__ = ["Cost", "metered", "resident"]

KIBIBYTE = 1024


@dataclass(slots=True)
class Cost:
    """What was used while it was metered."""

    cpu: float = 0.0
    """User and system time, in seconds."""
    peak: int = 0
    """Most resident memory, in bytes."""


@contextmanager
def metered(programs: Mapping[str, Program]) -> Iterator[Mapping[str, Cost]]:
    """Give the cost of each program by its name; complete when the block has ended."""
    costs = {name: Cost(cpu=-cpu_time(program)) for name, program in programs.items()}
    for program in programs.values():
        for process in program.tree():
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    yield costs
    for name, program in programs.items():
        costs[name].cpu += cpu_time(program)
        costs[name].peak = memory(program, "VmHWM")


def cpu_time(program: Program) -> float:
    """Return the seconds of processor time that a program and its children have used."""
    times = [process.cpu_times() for process in program.tree()]
    return sum(time.user + time.system for time in times)


def resident(program: Program) -> int:
    """Return the resident bytes of a program and its children."""
    return memory(program, "VmRSS")


def memory(program: Program, line: str) -> int:
    """Return the sum of one line of /proc/PID/status over a program's processes, in bytes."""
    total = 0
    for process in program.tree():
        match = re.search(rf"^{line}:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(), re.M)
        total += int(match[1]) * KIBIBYTE if match else 0
    return total

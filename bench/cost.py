"""What a program costs: processor time and memory of its process and all of its children."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.programs import Program

__all__ = ["Cost", "metered"]

SAMPLING = 0.02
"""Seconds between two looks at the memory."""


@dataclass(slots=True)
class Cost:
    """What was used while it was metered."""

    cpu: float = 0.0
    """User and system time, in seconds."""
    peak: int = 0
    """Most resident memory seen, in bytes."""
    start: float = field(default=0.0, repr=False)


@contextmanager
def metered(programs: Iterable[Program]) -> Iterator[Mapping[str, Cost]]:
    """Give the cost of each program by its name; complete when the block has ended."""
    watched = list(programs)
    costs = {program.name: Cost(start=cpu_time(program)) for program in watched}
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLING):
            for program in watched:
                costs[program.name].peak = max(costs[program.name].peak, program.memory)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield costs
    finally:
        done.set()
        sampler.join()
        for program in watched:
            cost = costs[program.name]
            cost.cpu = cpu_time(program) - cost.start


def cpu_time(program: Program) -> float:
    """Return the seconds of processor time that a program and its children have used."""
    times = [process.cpu_times() for process in program.tree()]
    return sum(time.user + time.system for time in times)

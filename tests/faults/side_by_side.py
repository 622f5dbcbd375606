"""Faults side by side, each on a stage of its own in a process of its own.

The module is not the program's, because a process that is spawned does not import the `__main__` of a package.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.stage import Stage

from .faults import FAULTS
from .site import Site
from .trial import Trial, trial

__all__ = ["a_stage", "progress", "tried"]


def tried(names: Sequence[str], *, rounds: int, jobs: int) -> Iterator[Trial]:
    """Yield the account of each fault in turn; up to `jobs` of them run at a time."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        for future in [pool.submit(try_fault, name, rounds) for name in names]:
            yield future.result()


def try_fault(name: str, rounds: int) -> Trial:
    """Let a fault happen, and say at once what should not have been."""
    [fault] = [fault for fault in FAULTS if fault.name == name]
    began = time.monotonic()
    with a_stage() as stage, Site.on(stage, fault.needs) as site:
        account = trial(fault, site, rounds=rounds, warm_up=True)
    progress(f"{name}: {rounds} rounds in {time.monotonic() - began:.0f} s")
    for reason in account.broken:
        progress(f"  broken: {reason}")
    return account


@contextmanager
def a_stage() -> Iterator[Stage]:
    """Give a stage in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="backplane-faults-") as folder, Stage.at(Path(folder)) as stage:
        yield stage


def progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)

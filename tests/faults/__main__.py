"""Every fault many times and every pressure at leisure: `python -m tests.faults [--rounds N] [--only TEXT] [--write]`.

Prints the tables of `docs/reliability.md`, or puts their rows there. Faults run side by side, each on a stage of its
own in a process of its own; what is timed, the pressures, runs alone. Exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
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
from .ordeal import Ordeal, ordeal
from .pressure import PRESSURES
from .report import fault_table, ordeal_table, with_rows
from .site import Site
from .trial import Trial, trial

REQUESTS = 2000
"""Small GETs timed for each figure: 20 s."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


def main() -> int:
    """Try what was asked for, report, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="What breaks, and what it costs."
    )
    parser.add_argument("--rounds", type=int, default=100, metavar="N", help="of each fault; default 100")
    parser.add_argument("--only", default="", metavar="TEXT", help="what has this in its name")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="faults side by side; default 2")
    parser.add_argument(
        "--write", action="store_true", help="put the results into docs/reliability.md as they come"
    )
    arguments = parser.parse_args()
    names = [fault.name for fault in FAULTS if arguments.only in fault.name]
    trials: list[Trial] = []
    for account in tried(names, rounds=arguments.rounds, jobs=arguments.jobs):
        trials.append(account)
        tell(fault_table([account]), write=arguments.write)
    for name in [each.name for each in PRESSURES if arguments.only in each.name]:
        tell(ordeal_table([pressed(name)]), write=arguments.write)
    return 1 if any(account.broken for account in trials) else 0


def tell(table: str, *, write: bool) -> None:
    """Give a result away."""
    if write:
        DOCUMENT.write_text(with_rows(DOCUMENT.read_text(), table))
    print(table, flush=True)


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


def pressed(name: str) -> Ordeal:
    """Put programs under a pressure."""
    [pressure] = [each for each in PRESSURES if each.name == name]
    progress(name)
    with a_stage() as stage:
        return asyncio.run(ordeal(pressure, stage, requests=REQUESTS))


@contextmanager
def a_stage() -> Iterator[Stage]:
    """Give a stage in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="backplane-faults-") as folder, Stage.at(Path(folder)) as stage:
        yield stage


def progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

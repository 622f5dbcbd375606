"""Every fault many times and every pressure at leisure: `python -m tests.faults [--rounds N] [--only TEXT] [--write]`.

Prints the tables of `docs/reliability.md`, or puts their rows there. Faults run side by side, each on a stage of its
own in a process of its own; what is timed, the pressures, runs alone. Exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from .faults import FAULTS
from .ordeal import Ordeal, ordeal
from .pressure import PRESSURES
from .report import fault_table, ordeal_table, with_rows
from .side_by_side import a_stage, progress, tried
from .trial import Trial

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


def pressed(name: str) -> Ordeal:
    """Put programs under a pressure."""
    [pressure] = [each for each in PRESSURES if each.name == name]
    progress(name)
    with a_stage() as stage:
        return asyncio.run(ordeal(pressure, stage, requests=REQUESTS))


if __name__ == "__main__":
    sys.exit(main())

"""Every fault many times and every pressure at leisure: `python -m tests.faults [--rounds N] [--only TEXT]`.

Writes the tables of `docs/reliability.md` to stdout at the end. Exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.e2e.stage import Stage

from .faults import FAULTS, Fault, Trial, trial
from .ordeal import Ordeal, ordeal
from .pressure import PRESSURES, Pressure
from .report import fault_table, ordeal_table

T = TypeVar("T")
Result = TypeVar("Result")

REQUESTS = 2000
"""Small GETs timed for each figure: 20 s."""


def main() -> int:
    """Try what was asked for, report, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="What breaks, and what it costs."
    )
    parser.add_argument("--rounds", type=int, default=100, metavar="N", help="of each fault; default 100")
    parser.add_argument("--only", default="", metavar="TEXT", help="what has this in its name")
    arguments = parser.parse_args()
    rounds: int = arguments.rounds
    trials = [on_a_stage(try_fault, fault, rounds) for fault in FAULTS if arguments.only in fault.name]
    ordeals = [on_a_stage(press, each, REQUESTS) for each in PRESSURES if arguments.only in each.name]
    if trials:
        print(fault_table(trials), end="\n\n")
    if ordeals:
        print(ordeal_table(ordeals))
    return 1 if any(one.broken for one in trials) else 0


def on_a_stage(run: Callable[[T, Stage, int], Result], what: T, times: int) -> Result:
    """Run something on a stage of its own."""
    with tempfile.TemporaryDirectory(prefix="backplane-faults-") as folder, Stage.at(Path(folder)) as stage:
        return run(what, stage, times)


def try_fault(fault: Fault, stage: Stage, rounds: int) -> Trial:
    """Let a fault happen, and say at once what should not have been."""
    progress(f"{fault.name}: {rounds} rounds")
    result = trial(fault, stage, rounds=rounds, warm_up=True)
    for reason in result.broken:
        progress(f"  broken: {reason}")
    return result


def press(pressure: Pressure, stage: Stage, requests: int) -> Ordeal:
    """Put programs under a pressure."""
    progress(pressure.name)
    return asyncio.run(ordeal(pressure, stage, requests=requests))


def progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

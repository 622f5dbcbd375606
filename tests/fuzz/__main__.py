"""Fuzz for a given time: `make fuzz ARGS="--seconds 600"`.

The targets take turns, each with a fresh seed, which is printed. A failing case is shrunk and written to a file; it is
run again with `--replay FILE`, and guards against its return once it lies in `tests/fuzz/found`. The exit code is 1 if
anything failed.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import traceback
from itertools import cycle
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from .case import Case, Target
from .targets import TARGETS

ROUND = 15.0
"""Seconds of a target's turn."""
BATCH = 200
"""Examples between two looks at the clock."""


class Round:
    """One turn of a target with one seed."""

    def __init__(self, target: Target, number: int) -> None:
        self.target = target
        self.number = number
        self.cases = 0
        self.failing: Case | None = None
        """The case that failed last; after a run, the smallest that was found."""
        self.error = ""

    def run(self, *, until: float) -> bool:
        """Go on until a time of `time.monotonic`, or until a case fails; return whether none has."""
        batch = 0
        while time.monotonic() < until:
            if not self._batch(self.number + batch):
                return False
            batch += 1
        return True

    def _batch(self, number: int) -> bool:
        @seed(number)
        @settings(
            max_examples=BATCH,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @given(self.target.cases)
        def examine(case: Case) -> None:
            self.cases += 1
            try:
                self.target.check(case)
            except BaseException:
                self.failing = case
                raise

        try:
            examine()
        except Exception:
            self.number = number
            self.error = traceback.format_exc()
            return False
        return True

    def save(self, folder: Path) -> Path:
        """Write the failing case down and return where."""
        assert self.failing is not None
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.target.name}-{self.number}.json"
        self.failing.save(path, target=self.target.name, seed=str(self.number))
        return path


def fuzz(targets: list[Target], *, seconds: float, first_seed: int | None, folder: Path) -> int:
    """Let the targets take turns until the time is up; return how many rounds failed."""
    failures = 0
    end = time.monotonic() + seconds
    turn = min(ROUND, seconds / len(targets))
    for target in cycle(targets):
        start = time.monotonic()
        if start >= end:
            return failures
        current = Round(target, secrets.randbits(32) if first_seed is None else first_seed)
        print(f"{target.name}: seed {current.number} ... ", end="", flush=True)
        fine = current.run(until=min(end, start + turn))
        print(f"{current.cases} cases in {time.monotonic() - start:.0f} s: {'fine' if fine else 'FAILED'}")
        if not fine:
            failures += 1
            print(current.error, f"\nseed {current.number}, saved as {current.save(folder)}\n", flush=True)
    return failures


def main() -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Feed hostile bytes to every parser.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long, in all (60)")
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated"
    )
    parser.add_argument("--seed", type=int, help="begin each round with this seed")
    parser.add_argument(
        "--save", type=Path, default=Path("build/fuzz"), help="where failing cases go (build/fuzz)"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="check one saved case")
    given_ = parser.parse_args()
    if given_.replay is not None:
        name, case = Case.load(given_.replay)
        TARGETS[name].check(case)
        print(f"{name}: fine")
        return 0
    targets = [TARGETS[name] for name in given_.target or TARGETS]
    return 1 if fuzz(targets, seconds=given_.seconds, first_seed=given_.seed, folder=given_.save) else 0


if __name__ == "__main__":
    sys.exit(main())

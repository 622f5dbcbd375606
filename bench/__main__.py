"""Run the bench: `python -m bench [--quick] [--rounds N]`. Exits with 1 if any request failed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .report import Report
from .scene import Scene

CONNECTIONS = (1, 32, 256)
GIBIBYTE = 1024**3


def main() -> int:
    """Measure, report, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="What the tunnel costs.")
    parser.add_argument(
        "--quick", action="store_true", help="short runs and small bodies: shows that it works"
    )
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help="default 3, quick 1")
    arguments = parser.parse_args()
    quick: bool = arguments.quick
    rounds = arguments.rounds or (1 if quick else 3)
    report = Report(quick=quick, rounds=rounds)
    with tempfile.TemporaryDirectory(prefix="backplane-bench-") as folder, Scene.at(Path(folder)) as scene:
        for number in range(1, rounds + 1):
            for connections in CONNECTIONS:
                progress(f"round {number}/{rounds}: {connections} connections")
                report.small(connections, scene.small(connections, seconds=2 if quick else 6))
            progress(f"round {number}/{rounds}: bulk")
            report.bulk(scene.bulk(GIBIBYTE // 8 if quick else GIBIBYTE))
    print(report.table())
    print(f"\nwritten to {report.write(Path(__file__).parent / 'results')}")
    return 1 if report.failures else 0


def progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

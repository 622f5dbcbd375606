"""Run the bench: `python -m bench --help`. Exits with 1 if anything was measured with faults."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from textwrap import shorten

from tests.e2e.certificate import Certificate
from tests.e2e.stage import Stage

from .document import charts, page, publish
from .measures import MEASURES, Case, Measure, Pace
from .origin import Origin, find_nginx
from .report import Report
from .results import Results
from .sample import Sample, Taken
from .subject import Ground, Subject
from .systems import SYSTEMS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "performance.md"


def main() -> int:
    """Measure, report, and return the exit code."""
    arguments = parse()
    if arguments.read is None:
        report = measure(arguments)
        print(report.text())
        print(f"\nwritten to {keep(report)}")
    else:
        report = Report.read(arguments.read)
        print(report.text())
    if arguments.publish:
        publish(report, PAGE)
        print(f"published in {PAGE}")
    return 1 if report.results.faulty else 0


def measure(arguments: argparse.Namespace) -> Report:
    """Take all rounds."""
    began = time.monotonic()
    if find_nginx() is None:
        raise SystemExit("the bench needs nginx as the application: on Debian, apt-get install nginx-light")
    missing = {name: reason for name in arguments.systems if (reason := SYSTEMS[name].missing())}
    for name in arguments.measures:
        if reason := MEASURES[name].missing():
            missing[name] = reason
    for name, reason in missing.items():
        progress(f"{name}: not measured: {reason}")
    systems = [SYSTEMS[name] for name in arguments.systems if name not in missing]
    measures = [MEASURES[name] for name in arguments.measures if name not in missing]
    results = Results()
    with ExitStack() as stack:
        stage = stack.enter_context(Stage.at(Path(stack.enter_context(in_memory()))))
        certificate = Certificate.make(stage.folder)
        ground = Ground(stage, Origin(stage, certificate), certificate)
        subjects = [Subject(system, ground) for system in systems]
        for number in range(1, arguments.rounds + 1):
            run_round(number, subjects, measures, results=results, pace=Pace(quick=arguments.quick))
    versions = {system.name: system.version() for system in systems}
    seconds = time.monotonic() - began
    return Report(results, systems=versions, missing=missing, quick=arguments.quick, seconds=seconds)


def keep(report: Report) -> Path:
    """Write everything into a new folder, and return it."""
    folder = RESULTS / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    folder.mkdir(parents=True)
    report.write(folder / "results.json")
    (folder / "results.md").write_text(page(report))
    for name, drawing in charts(report).items():
        (folder / name).write_text(drawing)
    return folder


def run_round(
    number: int, subjects: list[Subject], measures: Iterable[Measure], *, results: Results, pace: Pace
) -> None:
    """Take every case of every measure, of one system right after the other; another one begins in each round."""
    first = number % len(subjects)
    order = subjects[first:] + subjects[:first]
    for measure in measures:
        if number > measure.rounds:
            continue
        for case in measure.cases(results.samples):
            for subject in order:
                if case.skips(subject.name):
                    continue
                progress(f"round {number}: {measure.name}, {case.name}, {subject.name}")
                taken = attempt(case, subject, pace)
                results.add(Sample(measure.name, case.name, subject.name, number, taken))
                for fault in taken.faults:
                    progress(f"  FAULT, not counted: {fault}")


def attempt(case: Case, subject: Subject, pace: Pace) -> Taken:
    """Take a case; a system that does not start, or a client that fails, is a fault."""
    try:
        return case.take(subject, pace)
    except (AssertionError, subprocess.SubprocessError) as error:
        return Taken({}, (shorten(f"{type(error).__name__}: {error}", 300, placeholder=" ..."),))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="What the way through edge and agent costs."
    )
    parser.add_argument("--quick", action="store_true", help="short loads and one round: shows that it works")
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help="default 5, quick 1")
    parser.add_argument(
        "--systems", type=chosen(SYSTEMS), default=list(SYSTEMS), help=f"of {','.join(SYSTEMS)}"
    )
    parser.add_argument(
        "--measures", type=chosen(MEASURES), default=list(MEASURES), help=f"of {','.join(MEASURES)}"
    )
    parser.add_argument(
        "--publish", action="store_true", help="write the tables and charts of docs/performance.md"
    )
    parser.add_argument(
        "--read",
        type=Path,
        default=None,
        metavar="FILE",
        help="measure nothing: report what a results.json has",
    )
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    return arguments


def chosen(among: Mapping[str, object]) -> Callable[[str], list[str]]:
    """Return what reads a list of names with commas."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in among:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(among)}")
        return [name for name in among if name in names]

    return read


def in_memory() -> tempfile.TemporaryDirectory[str]:
    """Return a new folder, in memory where that is possible, so that no disk is measured."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="backplane-bench-", dir=memory if memory.is_dir() else None)


def progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""A report as a page: tables in Markdown, charts beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .chart import Chart
from .measures import MEASURES, Measure
from .report import Report
from .results import Spread
from .targets import TARGETS

__all__ = ["charts", "page", "publish"]

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"
OURS = "native"
"""Whose ratios the page shows."""


def page(report: Report, *, folder: str = ".") -> str:
    """Return the tables, with the charts that are in `folder`."""
    return "\n".join(
        [*introduction(report), *target_table(report), *sections(report, folder), *faults(report)]
    )


def charts(report: Report) -> dict[str, str]:
    """Return the charts by file name."""
    drawn = {}
    for measure in MEASURES.values():
        for figure in measure.plotted:
            groups = []
            for name, case in report.results.cases():
                if name == measure.name:
                    bars = {
                        system: spread
                        for system in report.systems
                        if (spread := report.results.spread(name, case, system, figure))
                    }
                    groups.append((case, bars))
            if any(bars for _, bars in groups):
                drawn[file_name(measure, figure)] = Chart(measure.title, figure, groups).svg()
    return drawn


def publish(report: Report, path: Path) -> None:
    """Write the measured part of a page that has a place for it, and its charts into a folder of the same name."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no place between {BEGIN} and {END}")
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, drawing in charts(report).items():
        (folder / name).write_text(drawing)
    path.write_text(f"{before}{BEGIN}\n{page(report, folder=folder.name)}\n{END}{after}")


def introduction(report: Report) -> Iterator[str]:
    """Yield what was measured on what."""
    machine = report.machine
    rounds = max((sample.round for sample in report.results.samples), default=0)
    yield (
        f"{machine['processors']} processors ({machine['architecture']}, {machine['system']}), Python"
        f" {machine['python']}; {rounds} round{'s' * (rounds > 1)} in {report.seconds / 60:.0f} minutes."
        + (" Short loads: not figures to go by." if report.quick else "")
    )
    yield ""
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in report.systems.items()) + "."
    for name, reason in report.missing.items():
        yield f"Not measured: {name}, because {reason}."
    yield ""


def target_table(report: Report) -> Iterator[str]:
    """Yield the targets and what became of them."""
    yield "### Targets"
    yield ""
    yield "| measure | case | figure | target | measured | |"
    yield "|---|---|---|---|---|---|"
    for target in TARGETS:
        measured = target.measured(report.results)
        cells = [target.measure, target.case, target.figure, target.wanted, cell(measured)]
        yield row([*cells, target.verdict(report.results)])
    yield ""


def sections(report: Report, folder: str) -> Iterator[str]:
    """Yield a table for each measure."""
    results = report.results
    pairs = [(of, to) for of, to in report.pairs if of == OURS]
    for measure in MEASURES.values():
        cases = [case for name, case in results.cases() if name == measure.name]
        if not cases:
            continue
        yield f"### {measure.title}"
        yield ""
        for figure in measure.plotted:
            if any(
                results.spread(measure.name, case, name, figure) for case in cases for name in report.systems
            ):
                yield f"![{measure.title}: {figure}]({folder}/{file_name(measure, figure)})"
                yield ""
        yield row(["case", "", *report.systems, *(f"{of} / {to}" for of, to in pairs)])
        yield "|---" * (2 + len(report.systems) + len(pairs)) + "|"
        for case in cases:
            shown = [figure for figure in measure.figures if figure in results.figures(measure.name, case)]
            for figure in shown:
                spreads = [results.spread(measure.name, case, system, figure) for system in report.systems]
                spreads += [results.ratio(measure.name, case, figure, of=of, to=to) for of, to in pairs]
                yield row([case if figure == shown[0] else "", figure, *map(cell, spreads)])
        yield ""


def faults(report: Report) -> Iterator[str]:
    """Yield what was not counted."""
    faulty = report.results.faulty
    total = len(report.results.samples)
    yield f"{total - len(faulty)} of {total} measurements count; of these, no request failed and no byte was lost."
    if faulty:
        yield "The others do not:"
        yield ""
        for sample in faulty:
            yield f"* {sample}: {'; '.join(sample.taken.faults)}"


def file_name(measure: Measure, figure: str) -> str:
    """Return the name of a chart's file."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in figure)
    return "-".join([measure.name, *words.lower().split()]) + ".svg"


def row(cells: Iterable[str]) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(cells) + " |"


def cell(spread: Spread | None) -> str:
    """Return what a table shows of some values."""
    return "" if spread is None else str(spread)

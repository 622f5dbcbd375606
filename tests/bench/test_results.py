"""Medians, ratios within a round, and what counts for nothing."""

from __future__ import annotations

from pathlib import Path

from bench.report import Report
from bench.results import Results
from bench.sample import Sample, Taken
from bench.targets import Target


def results_of(*values: tuple[str, int, float], faulty: tuple[tuple[str, int], ...] = ()) -> Results:
    results = Results()
    for system, number, value in values:
        faults = ("one answer is missing",) if (system, number) in faulty else ()
        results.add(Sample("small", "32 connections", system, number, Taken({"µs": value}, faults)))
    return results


def test_a_ratio_is_taken_within_a_round() -> None:
    results = results_of(("native", 1, 10), ("haproxy", 1, 20), ("native", 2, 90), ("haproxy", 2, 30))
    ratio = results.ratio("small", "32 connections", "µs", of="native", to="haproxy")
    assert ratio is not None
    assert ratio.values == (0.5, 3.0)
    assert ratio.median == 1.75


def test_a_measurement_with_faults_counts_neither_alone_nor_in_a_ratio() -> None:
    results = results_of(
        ("native", 1, 10), ("haproxy", 1, 20), ("native", 2, 90), ("haproxy", 2, 30), faulty=(("native", 2),)
    )
    spread = results.spread("small", "32 connections", "native", "µs")
    ratio = results.ratio("small", "32 connections", "µs", of="native", to="haproxy")
    assert spread is not None
    assert spread.values == (10,)
    assert ratio is not None
    assert ratio.values == (0.5,)
    assert [str(sample) for sample in results.faulty] == ["small, 32 connections, native, round 2"]


def test_what_was_not_measured_is_no_number() -> None:
    results = results_of(("native", 1, 10))
    assert results.spread("small", "32 connections", "envoy", "µs") is None
    assert results.ratio("small", "32 connections", "µs", of="native", to="envoy") is None


def test_a_target_is_met_or_missed_by_the_median_or_not_measured() -> None:
    results = results_of(("native", 1, 10), ("haproxy", 1, 20))
    kept = Target("small", "32", "µs", 0.5, to="haproxy")
    missed = Target("small", "32", "µs", 0.4, to="haproxy")
    least = Target("small", "32", "µs", 11, least=True)
    absent = Target("small", "256", "µs", 1.0)
    assert [target.verdict(results) for target in (kept, missed, least, absent)] == [
        "met",
        "missed",
        "missed",
        "not measured",
    ]


def test_a_report_that_was_kept_is_read_as_it_was(tmp_path: Path) -> None:
    results = results_of(("native", 1, 10), ("haproxy", 1, 20), faulty=(("haproxy", 1),))
    report = Report(results, systems={"native": "1"}, missing={"envoy": "absent"}, quick=False, seconds=60)
    report.write(tmp_path / "results.json")
    again = Report.read(tmp_path / "results.json")
    assert again == Report(again.results, report.systems, report.missing, quick=False, seconds=60)
    assert again.results.samples == results.samples
    assert again.text() == report.text()

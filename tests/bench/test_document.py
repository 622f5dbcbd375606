"""The page and its charts."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.document import BEGIN, END, charts, publish
from bench.report import Report
from bench.results import Results
from bench.sample import Sample, Taken


@pytest.fixture
def report() -> Report:
    results = Results()
    for number in (1, 2):
        for system, cost in (("native", 40.0 + number), ("haproxy", 40.0), ("envoy", 90.0)):
            figures = {"requests/s": 1e4, "edge + agent µs/request": cost}
            faults = ("3 answers with status 503",) if (system, number) == ("envoy", 2) else ()
            results.add(Sample("small", "32 connections", system, number, Taken(figures, faults)))
    systems = {"native": "1.0", "haproxy": "3.4", "envoy": "1.40.0"}
    return Report(results, systems, missing={"portable": "it is not there"}, quick=False, seconds=90)


def test_a_chart_has_a_bar_for_each_system(report: Report) -> None:
    (drawing,) = charts(report).values()
    svg = ElementTree.fromstring(drawing)
    words = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"native", "haproxy", "envoy", "32 connections", "41.5", "40", "90"} <= set(words)


def test_publishing_replaces_what_was_measured_and_nothing_else(report: Report, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Mine\n\n{BEGIN}\nold figures\n{END}\n\nand mine\n")
    (tmp_path / "performance").mkdir()
    (tmp_path / "performance" / "old.svg").write_text("<svg/>")
    publish(report, page)
    publish(report, page)
    text = page.read_text()
    assert text.startswith(f"# Mine\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nand mine\n")
    assert "old figures" not in text
    assert (
        "| small | 32 connections | edge + agent µs/request | ≤ 1 of haproxy | 1.04 (1.02-1.05) | missed |"
        in text
    )
    assert "Not measured: portable, because it is not there." in text
    assert "* small, 32 connections, envoy, round 2: 3 answers with status 503" in text
    assert [path.name for path in (tmp_path / "performance").iterdir()] == ["small-edge-agent-s-request.svg"]


def test_a_page_without_a_place_is_left_alone(report: Report, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Mine\n")
    with pytest.raises(SystemExit):
        publish(report, page)
    assert page.read_text() == "# Mine\n"

from __future__ import annotations

from pathlib import Path

import pytest

from bench.routes.edge import document
from bench.routes.table import Table, publish


def test_the_table_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured -->\n| old |\n<!-- /measured -->\nafter\n")
    table = Table()
    table.add("10 routes", "0.1 s", "quick")
    publish(table, page)
    publish(table, page)
    assert page.read_text() == (
        "before\n<!-- measured -->\n| | | |\n|---|---|---|\n| 10 routes | 0.1 s | quick |\n<!-- /measured -->\nafter\n"
    )


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    with pytest.raises(ValueError, match="has no place for it"):
        publish(Table(), page)
    assert page.read_text() == "before\n"


def test_one_of_the_routes_is_for_every_host() -> None:
    assert document(2).count(b'"name"') == 2
    assert b'"host": "*.routes.test"' in document(2)

from __future__ import annotations

import pytest

from .report import table, with_rows

HEAD = ["fault", "failed"]
DOCUMENT = f"""# Title

{table(HEAD, [["one", "1"], ["two", "2"]])}

The end.
"""


def test_a_row_takes_the_place_of_the_one_before() -> None:
    assert with_rows(DOCUMENT, table(HEAD, [["one", "0"]])) == DOCUMENT.replace("| one | 1 |", "| one | 0 |")


def test_a_new_row_comes_last() -> None:
    expected = DOCUMENT.replace("| two | 2 |", "| two | 2 |\n| three | 3 |")
    assert with_rows(DOCUMENT, table(HEAD, [["three", "3"]])) == expected


def test_the_end_of_the_document_may_be_the_end_of_the_table() -> None:
    assert with_rows(table(HEAD, []), table(HEAD, [["one", "1"]])) == table(HEAD, [["one", "1"]]) + "\n"


def test_a_table_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not in list"):
        with_rows(DOCUMENT, table(["pressure"], [["x"]]))

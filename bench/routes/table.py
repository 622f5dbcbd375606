"""The table of what was measured, as Markdown, and its place on a page."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Table", "publish"]

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


class Table:
    """Rows of what, how much, and a remark."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str]] = []

    def add(self, what: str, value: str, remark: str = "") -> None:
        """Add a row."""
        self._rows.append((what, value, remark))

    def text(self) -> str:
        """Return it as Markdown."""
        rows = [f"| {what} | {value} | {remark} |" for what, value, remark in self._rows]
        return "\n".join(["| | | |", "|---|---|---|", *rows])


def publish(table: Table, page: Path) -> None:
    """Put it between its marks on a page. Raises ValueError if they are not there."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for it: {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{table.text()}\n{END}{after}", "utf-8")

"""What a command shows: a table for people, JSON or YAML for programs.

A table has columns of the width they need, one line for each thing, and no frames: `grep` and `awk` can read it. It
is coloured on a terminal, unless NO_COLOR is set. What is said beside the result goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, TextIO

import typer

__all__ = ["Format", "is_coloured", "note", "paint", "print_data", "print_details", "print_table", "warn"]


class Format(StrEnum):
    """How results are shown."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def is_coloured(stream: TextIO) -> bool:
    """Return whether what goes to `stream` may have colours (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def paint(text: str, *, colour: str | None = None, bold: bool = False, stream: TextIO | None = None) -> str:
    """Return `text` in a colour, if that is allowed."""
    if not is_coloured(stream or sys.stdout):
        return text
    return typer.style(text, fg=colour, bold=bold or None)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print lines below headings; without lines, nothing at all."""
    body = [[_cell(text) for text in row] for row in rows]
    if not body:
        return
    lines = [list(headings), *body]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        typer.echo(paint(text, bold=True) if number == 0 else text)


def print_details(pairs: Iterable[tuple[str, str | Sequence[str]]]) -> None:
    """Print names and what they are; several values are under each other."""
    given = [(name, [value] if isinstance(value, str) else list(value)) for name, value in pairs]
    width = max((len(name) for name, _ in given), default=0)
    for name, values in given:
        for number, value in enumerate(values):
            label = paint((name if number == 0 else "").ljust(width), bold=True)
            typer.echo(f"{label}  {_line(value)}".rstrip())


def print_data(data: Any, form: Format) -> None:
    """Print what JSON can say as JSON or YAML."""
    if form is Format.YAML:
        from .yaml import to_yaml

        typer.echo(to_yaml(data), nl=False)
    else:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Say something to a person beside the result."""
    typer.echo(text, err=True)


def warn(text: str) -> None:
    """Say what may not be meant so."""
    typer.echo(paint("warning:", colour="yellow", stream=sys.stderr) + f" {_line(text)}", err=True)


def _cell(text: str) -> str:
    return _line(text) or "-"


def _line(text: str) -> str:
    """Return a text without what would move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else "?" for character in text)

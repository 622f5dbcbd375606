"""`backplane apply` and `backplane export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from ..console import Console, speaks_to_an_edge
from ..difference import difference, summary
from ..documents import read_bytes
from ..exit import ExitCode
from ..output import Format, print_data, warn

if TYPE_CHECKING:
    from ...models import ConfigResult

__all__ = ["apply", "export"]

MAX_WARNINGS = 10
"""Warnings that are shown one by one."""


@speaks_to_an_edge
def apply(
    console: Console,
    file: Annotated[
        Path, Option("--file", "-f", metavar="PATH", help="A configuration as YAML or JSON; - is stdin.")
    ],
    dry_run: Annotated[bool, Option("--dry-run", help="Only show what would change.")] = False,
    exit_code: Annotated[
        bool, Option("--exit-code", help="With --dry-run: exit with 7 if something would change.")
    ] = False,
) -> int:
    """Make routes and policies what a file says, in one step, and show what that changes.

    A part that the file has (routes, policies, default_policies) is then exactly as it says: a route that it does not
    name is deleted. A part that it does not have stays as it is.
    """
    kind = "application/json" if file.suffix == ".json" else "application/yaml"
    result = console.client.config.apply(read_bytes(file), dry_run=dry_run, media_type=kind)
    _show(console, result)
    return ExitCode.DIFFERENT if dry_run and exit_code and result.changes else ExitCode.OK


@speaks_to_an_edge
def export(console: Console) -> None:
    """Write routes and policies as one document, without what is as by default. Applying it changes nothing."""
    if console.format is Format.JSON:
        print_data(console.client.config.export(), Format.JSON)
    else:
        typer.echo(console.client.config.export_text("yaml"), nl=False)


def _show(console: Console, result: ConfigResult) -> None:
    if console.is_table:
        for change in result.changes:
            for line in difference(change):
                typer.echo(line)
        typer.echo(summary(result))
    else:
        print_data(result.model_dump(mode="json"), console.format)
    for one in result.warnings[:MAX_WARNINGS]:
        warn(f"{one.field}: {one.detail}")
    if len(result.warnings) > MAX_WARNINGS:
        warn(f"and {len(result.warnings) - MAX_WARNINGS} more, which --output json shows")

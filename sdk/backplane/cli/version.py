"""`backplane version`: what is installed here, in the lines a bug report needs.

A distribution adds a line with an entry point of the group `backplane.version`: its name is the line's label, and it
is a function without arguments that returns the text.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, entry_points
from importlib.metadata import version as distribution_version

import typer

__all__ = ["VERSION_GROUP", "version"]

VERSION_GROUP = "backplane.version"
"""Entry points of this group are lines of `backplane version`."""
DISTRIBUTIONS = ("backplane", "backplane-server")


def version() -> None:
    """Show the versions of what is installed here."""
    lines = list(_lines())
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        typer.echo(f"{label:<{width}}  {text}")


def _lines() -> Iterator[tuple[str, str]]:
    for name in DISTRIBUTIONS:
        try:
            yield name, distribution_version(name)
        except PackageNotFoundError:
            continue
    for entry in sorted(entry_points(group=VERSION_GROUP), key=lambda entry: entry.name):
        try:
            yield entry.name, str(entry.load()())
        except (ImportError, AttributeError) as error:
            yield entry.name, f"cannot be loaded: {error}"
    yield "python", f"{platform.python_version()} ({platform.system()} {platform.machine()})"

"""The verbs of an operator: each module has one, or a group of them. They load little until one is called."""

from __future__ import annotations

import typer

from .context import context, login
from .route import route

__all__ = ["add_verbs"]


def add_verbs(program: typer.Typer) -> None:
    """Add them to the command."""
    program.command()(login)
    program.add_typer(context, name="context")
    program.add_typer(route, name="route")

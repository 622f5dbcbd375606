"""The verbs of an operator: each module has one, or a group of them. They load little until one is called."""

from __future__ import annotations

import typer

from .completion import completion
from .config import apply, export
from .context import context, login
from .events import events
from .explain import explain
from .instance import instance
from .policy import policy
from .route import route
from .status import status
from .token import token
from .tunnel import tunnel

__all__ = ["add_verbs"]


def add_verbs(program: typer.Typer) -> None:
    """Add them to the command."""
    for verb in (login, status, explain, events, apply, export, completion):
        program.command()(verb)
    groups = {
        "context": context,
        "route": route,
        "policy": policy,
        "token": token,
        "instance": instance,
        "tunnel": tunnel,
    }
    for name, group in groups.items():
        program.add_typer(group, name=name)

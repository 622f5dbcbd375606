"""Completion in a shell: its scripts, and names that an edge knows.

A name is looked up while somebody waits for it, so an edge that does not answer at once has none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import typer

__all__ = ["COMPLETE_VARIABLE", "completion_script", "names_of", "prepare_completion"]

COMPLETE_VARIABLE = "_BACKPLANE_COMPLETE"
"""Set by the scripts: the command then answers with completions."""
PATIENCE = 1.0
"""Seconds that an edge has to answer."""
MAX_NAMES = 1000


def completion_script(shell: str) -> str:
    """Return what a shell has to read: bash, zsh or fish."""
    import typer.completion as made

    script: str = made.get_completion_script(  # type: ignore[attr-defined]
        prog_name="backplane", complete_var=COMPLETE_VARIABLE, shell=shell
    )
    return script


def prepare_completion() -> None:
    """Answer a shell that asks for completions as those scripts expect it."""
    if COMPLETE_VARIABLE in os.environ:
        import typer.completion as made

        made.completion_init()  # type: ignore[attr-defined]


def names_of(resource: str, attribute: str = "name") -> Callable[[typer.Context, str], list[str]]:
    """Return what completes the names of a resource of the client, such as `routes`."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            found = islice(_list(ctx, resource), MAX_NAMES)
            return [
                name for name in (getattr(one, attribute) for one in found) if name.startswith(incomplete)
            ]
        except Exception:  # whatever it is, a shell that completes is no place to say so
            return []

    return complete


def _list(ctx: typer.Context, resource: str) -> Any:
    from dataclasses import replace

    from ..client import Client
    from ..retry import RetryPolicy
    from .connection import Place, find_endpoint

    def path(name: str) -> Path | None:
        given = ctx.params.get(name)
        return Path(given) if given else None

    place = Place(
        context=ctx.params.get("context"),
        api=ctx.params.get("api"),
        token_file=path("token_file"),
        data_dir=path("data_dir"),
        ca_file=path("ca_file"),
    )
    endpoint = replace(find_endpoint(place), timeout=PATIENCE)
    with Client.at(endpoint, retry=RetryPolicy(attempts=1)) as client:
        yield from getattr(client, resource).list(page_size=MAX_NAMES)

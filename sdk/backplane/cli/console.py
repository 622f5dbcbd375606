"""What a verb that speaks to an edge works with, and how a function becomes such a verb.

A verb is a function whose first argument is a `Console`. `speaks_to_an_edge` puts the options in its place that say
which edge, and how to show what it answers, so that every verb has the same ones.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from typer import Option

from .connection import Place, find_endpoint
from .failure import edge_errors
from .output import Format, print_data, print_table, warn

if TYPE_CHECKING:
    from ..client import Client

__all__ = ["Console", "shared_options", "speaks_to_an_edge"]

PANEL = "Which edge"


class Shown(Protocol):
    """What can be shown as JSON."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return it as JSON has it."""


class Console:
    """One call of a verb: the edge it speaks to, and how it shows what it gets."""

    def __init__(self, place: Place, form: Format) -> None:
        self._place = place
        self.format = form
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The client of the edge. Raises CommandError if it is not clear which edge is meant."""
        if self._client is None:
            from ..client import Client
            from ..retry import RetryPolicy

            self._client = Client.at(find_endpoint(self._place), retry=RetryPolicy(attempts=3))
        return self._client

    @property
    def is_table(self) -> bool:
        """Whether the result is for people."""
        return self.format is Format.TABLE

    def show_list(
        self, items: Iterable[Shown], headings: Sequence[str], row: Callable[[Any], Sequence[str]]
    ) -> None:
        """Print a list of things."""
        if self.is_table:
            print_table(headings, map(row, items))
        else:
            print_data([one.model_dump(mode="json") for one in items], self.format)

    def show_change(self, changed: Any, sentence: str) -> None:
        """Print what was changed, and what may not be meant so."""
        if self.is_table:
            print_data_line(sentence)
        else:
            print_data(changed.model_dump(mode="json"), self.format)
        for one in changed.warnings:
            warn(f"{one.field}: {one.detail}")

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()


def print_data_line(sentence: str) -> None:
    """Print one line for a person."""
    typer.echo(sentence)


def speaks_to_an_edge(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a verb of a function that takes a Console first."""
    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())[1:]
    shared = list(inspect.signature(_options, eval_str=True).parameters.values())

    @functools.wraps(function)
    def verb(**arguments: Any) -> Any:
        given = {one.name: arguments.pop(one.name) for one in shared}
        form = given.pop("output")
        with edge_errors():
            console = Console(Place(**given), form)
            try:
                return function(console, **arguments)
            finally:
                console.close()

    parameters = [*own, *shared]
    verb.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    )
    verb.__annotations__ = {one.name: one.annotation for one in parameters}
    del verb.__wrapped__
    return verb


def shared_options() -> list[Any]:
    """Return the options that every verb has, as typer knows them."""
    program = typer.Typer()
    program.command()(_options)
    params: list[Any] = typer.main.get_command(program).params
    return [one for one in params if "completion" not in one.name]


def _options(
    output: Annotated[
        Format, Option("--output", "-o", metavar="table|json|yaml", help="How to show the result.")
    ] = Format.TABLE,
    context: Annotated[
        str | None, Option("--context", metavar="NAME", help="A context.", rich_help_panel=PANEL)
    ] = None,
    api: Annotated[
        str | None,
        Option("--api", metavar="URL", help="Its management API (BACKPLANE_API_URL).", rich_help_panel=PANEL),
    ] = None,
    token_file: Annotated[
        Path | None,
        Option(
            "--token-file",
            metavar="PATH",
            help="A file with a token of the API (BACKPLANE_API_TOKEN_FILE).",
            rich_help_panel=PANEL,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        Option(
            "--data-dir",
            metavar="PATH",
            help="The data directory of an edge on this machine.",
            show_default="edge-data, without a context",
            rich_help_panel=PANEL,
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        Option("--ca-file", metavar="PATH", help="The CA of its certificate (PEM).", rich_help_panel=PANEL),
    ] = None,
) -> None:
    """The options that every verb has."""

"""`backplane login` and `backplane context`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from typer import Argument, Option

from ..exit import CommandError, ExitCode
from ..failure import edge_errors
from ..output import print_table

if TYPE_CHECKING:
    from ..contexts import Contexts

__all__ = ["context", "login"]

context = typer.Typer(help="Edges that you are logged in to.", no_args_is_help=True)

Name = Annotated[
    str, Argument(metavar="NAME", help="The name of a context.", autocompletion=lambda: _names())
]


def login(
    url: Annotated[str, Argument(metavar="URL", help="The management API, https://edge.example.com:7000")],
    token_file: Annotated[
        Path | None,
        Option(
            "--token-file", metavar="PATH", help="A file with the token; - is stdin. Without it, a prompt."
        ),
    ] = None,
    name: Annotated[
        str | None, Option("--name", metavar="NAME", help="What to call it.", show_default="its host")
    ] = None,
    ca_file: Annotated[
        Path | None, Option("--ca-file", metavar="PATH", help="The CA of its certificate (PEM).")
    ] = None,
) -> None:
    """Keep the token of an edge's API, and use that edge from now on.

    The token is tried first. It is kept in a file that only you can read; `backplane context delete` forgets it.
    """
    from ...client import Client
    from ...endpoint import Endpoint, read_token
    from ..contexts import Context, Contexts

    address = (url if "://" in url else f"https://{url}").rstrip("/")
    with edge_errors():
        if token_file is None or str(token_file) == "-":
            token = _ask(hidden=token_file is None)
        else:
            token = read_token(token_file)
        try:
            endpoint = Endpoint(
                url=address, token=token, ca_file=None if ca_file is None else ca_file.absolute()
            )
        except ValueError as error:
            raise CommandError(str(error), ExitCode.USAGE) from None
        with Client.at(endpoint) as client:
            next(client.routes.list(page_size=1), None)
    known = Contexts.load()
    chosen = name or _free_name(known, endpoint.url)
    known.contexts[chosen] = Context(api=endpoint.url, token=token, ca_file=endpoint.ca_file)
    known.current = chosen
    known.save()
    typer.echo(f"logged in to {endpoint.url} (context {chosen})")


@context.command("list")
def list_contexts() -> None:
    """Show the contexts; a star is at the current one."""
    from ..contexts import Contexts

    known = Contexts.load()
    rows = [
        ["*" if name == known.current else " ", name, one.api] for name, one in sorted(known.contexts.items())
    ]
    print_table(["", "NAME", "API"], rows)


@context.command("use")
def use_context(name: Name) -> None:
    """Speak to this edge from now on."""
    from ..contexts import Contexts

    known = Contexts.load()
    known.get(name)
    known.current = name
    known.save()
    typer.echo(f"using {name}")


@context.command("delete")
def delete_context(name: Name) -> None:
    """Forget an edge and its token. The token itself is as good as before."""
    from ..contexts import Contexts

    known = Contexts.load()
    known.get(name)
    del known.contexts[name]
    if known.current == name:
        known.current = None
    known.save()
    typer.echo(f"{name} is forgotten")


def _free_name(known: Contexts, url: str) -> str:
    """Return the host of an edge, with its port if the host alone is another edge."""
    parts = urlsplit(url)
    host = parts.hostname or url
    other = known.contexts.get(host)
    return host if other is None or other.api == url else parts.netloc


def _ask(*, hidden: bool) -> str:
    """Return a token that a person types, or what is piped in."""
    if hidden and sys.stdin.isatty():
        return str(typer.prompt("Token", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _names() -> list[str]:
    from ..contexts import Contexts

    try:
        return sorted(Contexts.load().contexts)
    except CommandError:
        return []

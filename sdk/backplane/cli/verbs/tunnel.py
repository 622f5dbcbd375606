"""`backplane tunnel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument

from ..console import Console, speaks_to_an_edge
from ..times import age

if TYPE_CHECKING:
    from ...models import Tunnel

__all__ = ["tunnel"]

tunnel = typer.Typer(help="The connections of agents.", no_args_is_help=True)


@tunnel.command("list")
@speaks_to_an_edge
def list_tunnels(
    console: Console,
    selector: Annotated[
        str | None,
        Argument(metavar="[SELECTOR]", help="Only those of agents with an instance that it picks."),
    ] = None,
) -> None:
    """Show the tunnels that stand."""
    found = console.client.tunnels.list(selector=selector, page_size=1000)
    console.show_list(found, ["ID", "AGENT", "SERVICES", "UP", "RUNNING", "DRAINING", "FROM", "TOKEN"], _row)


def _row(one: Tunnel) -> list[str]:
    return [
        one.id,
        one.agent,
        ",".join(one.services),
        age(one.opened),
        str(one.in_flight),
        "yes" if one.draining else "",
        one.address,
        one.token,
    ]

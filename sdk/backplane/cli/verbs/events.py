"""`backplane events`."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ..console import Console, speaks_to_an_edge
from ..output import Format, paint
from ..times import ago, moment

if TYPE_CHECKING:
    from ...models import Event, StreamedEvent

__all__ = ["events"]


@speaks_to_an_edge
def events(
    console: Console,
    follow: Annotated[bool, Option("--follow", help="Show what happens, until Ctrl-C.")] = False,
    limit: Annotated[int, Option("--limit", metavar="N", min=1, help="The newest, at the most.")] = 50,
    kind: Annotated[
        str | None, Option("--kind", metavar="KIND", help="route, policy, setting, join_token or api_token.")
    ] = None,
    name: Annotated[str | None, Option("--name", metavar="NAME", help="Only of this name.")] = None,
    actor: Annotated[str | None, Option("--actor", metavar="ID", help="Only what this token did.")] = None,
    since: Annotated[
        str | None, Option("--since", metavar="TIME", help="1h, 7d, 2031-02-03T04:05:06Z")
    ] = None,
) -> None:
    """Show what was changed, and by whom; the newest is the last.

    With --follow also what happens to instances is shown.
    """
    if follow:
        _follow(console)
        return
    found = console.client.events.list(
        kind=kind, name=name, actor=actor, since=ago(since), page_size=min(limit, 1000)
    )
    newest = list(islice(found, limit))[::-1]
    console.show_list(newest, ["TIME", "ACTOR", "ACTION", "KIND", "NAME"], _row)


def _follow(console: Console) -> None:
    try:
        for one in console.client.events.follow():
            typer.echo(_line(one, console.format))
    except KeyboardInterrupt:
        return


def _row(one: Event) -> list[str]:
    return [moment(one.time), one.actor, one.action, one.kind, one.name]


def _line(one: StreamedEvent, form: Format) -> str:
    """Return one line, or for YAML one document of a stream."""
    if form is Format.JSON:
        return json.dumps({"event": one.kind, "id": one.id, "data": one.data}, ensure_ascii=False)
    if form is Format.YAML:
        from ..yaml import to_yaml

        return "---\n" + to_yaml({"event": one.kind, "id": one.id, "data": one.data}).rstrip()
    event = one.event
    if event is not None:
        return "  ".join(_row(event))
    told = " ".join(
        f"{key}={_value(value)}" for key, value in one.data.items() if value not in (None, "", {})
    )
    return f"{paint(one.kind, bold=True)}  {told}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)

"""`backplane route`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from ..completion import names_of
from ..console import Console, speaks_to_an_edge
from ..documents import read_document
from ..exit import CommandError, ExitCode
from ..output import print_data, print_details
from ..targets import (
    default_name,
    read_conditions,
    read_place,
    read_targets,
    read_weights,
    target_text,
)

if TYPE_CHECKING:
    from ...models import Route

__all__ = ["route"]


class _RouteGroup(TyperGroup):
    """Takes `route HOST TARGET` for `route to HOST TARGET`: a host has a dot or a slash, a verb has not."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb that is meant."""
        first = args[0] if args else ""
        if first not in self.commands and ("." in first or "/" in first or first == "localhost"):
            args = ["to", *args]
        return super().resolve_command(ctx, args)


route = typer.Typer(
    cls=_RouteGroup,
    no_args_is_help=True,
    help='Send requests to instances. In short: `backplane route example.com "service=web"`',
)

Name = Annotated[str, Argument(metavar="NAME", help="The route's name.", autocompletion=names_of("routes"))]
Place = Annotated[
    str | None,
    Argument(metavar="HOST[/PATH]", help="Which requests, shop.example.com/api", show_default=False),
]
Targets = Annotated[
    list[str] | None,
    Argument(
        metavar="[NAME[=WEIGHT]:]SELECTOR...",
        help="Where they go, v1=90:service=web,release=v1",
        show_default=False,
    ),
]
Methods = Annotated[
    list[str] | None, Option("--method", metavar="METHOD", help="Only this method; repeatable.")
]
Headers = Annotated[
    list[str] | None,
    Option(
        "--header", metavar="NAME[=VALUE]", help="Only with this header field, !NAME without; repeatable."
    ),
]
Query = Annotated[
    list[str] | None,
    Option("--query", metavar="NAME[=VALUE]", help="Only with this parameter, !NAME without; repeatable."),
]
Priority = Annotated[
    int | None,
    Option("--priority", metavar="N", help="The higher goes first among those of one host and path."),
]
Policies = Annotated[
    list[str] | None, Option("--policy", metavar="NAME", help="A policy that applies; repeatable.")
]
Disabled = Annotated[bool, Option("--disabled", help="Keep it, but let it match nothing.")]
File = Annotated[
    Path | None, Option("--file", "-f", metavar="PATH", help="The route as YAML or JSON; - is stdin.")
]


@route.command("list")
@speaks_to_an_edge
def list_routes(
    console: Console,
    host: Annotated[str | None, Option("--host", metavar="HOST", help="Only those of this host.")] = None,
    policy: Annotated[
        str | None, Option("--policy", metavar="NAME", help="Only those that use this policy.")
    ] = None,
    discovered: Annotated[
        bool, Option("--discovered", help="Those that published services make by being there.")
    ] = False,
) -> None:
    """Show routes."""
    source = "discovered" if discovered else "configured"
    found = console.client.routes.list(source=source, host=host, policy=policy, page_size=1000)
    console.show_list(found, ["NAME", "HOST", "PATH", "TARGETS", "POLICIES", "ENABLED"], _row)


@route.command("get")
@speaks_to_an_edge
def get_route(console: Console, name: Name) -> None:
    """Show one route."""
    found = console.client.routes.get(name)
    if console.is_table:
        print_details(_details(found))
    else:
        print_data(found.model_dump(mode="json"), console.format)


@route.command("create")
@speaks_to_an_edge
def create_route(
    console: Console,
    name: Name,
    place: Place = None,
    targets: Targets = None,
    method: Methods = None,
    header: Headers = None,
    query: Query = None,
    priority: Priority = None,
    policy: Policies = None,
    disabled: Disabled = False,
    file: File = None,
) -> None:
    """Add a route. It is in effect when this returns."""
    content = _content(name, place, targets, method, header, query, priority, policy, disabled, file)
    console.show_change(console.client.routes.create(content), f"route {name} is created")


@route.command("set")
@speaks_to_an_edge
def set_route(
    console: Console,
    name: Name,
    place: Place = None,
    targets: Targets = None,
    method: Methods = None,
    header: Headers = None,
    query: Query = None,
    priority: Priority = None,
    policy: Policies = None,
    disabled: Disabled = False,
    file: File = None,
) -> None:
    """Create a route, or replace the whole of it: what is not given is as by default."""
    content = _content(name, place, targets, method, header, query, priority, policy, disabled, file)
    console.show_change(console.client.routes.replace(content), f"route {name} is set")


@route.command("to", hidden=True)
@speaks_to_an_edge
def route_to(
    console: Console,
    place: Annotated[str, Argument(metavar="HOST[/PATH]")],
    targets: Annotated[list[str], Argument(metavar="[NAME[=WEIGHT]:]SELECTOR...")],
    policy: Policies = None,
) -> None:
    """Create the route of a host, or replace the whole of it. It is called after the host."""
    name = default_name(place)
    content = _content(name, place, targets, None, None, None, None, policy, False, None)
    console.show_change(console.client.routes.replace(content), f"route {name} is set")


@route.command("weights")
@speaks_to_an_edge
def set_weights(
    console: Console,
    name: Name,
    weights: Annotated[
        list[str], Argument(metavar="TARGET=WEIGHT...", help="Weights, v1=90 v2=10", show_default=False)
    ],
) -> None:
    """Shift traffic between a route's targets, in one step. Targets that are not named keep their weights."""
    changed = console.client.routes.weights(name, read_weights(weights))
    now = ", ".join(f"{one.name}={one.weight}" for one in changed.targets)
    console.show_change(changed, f"route {name} has the weights {now}")


@route.command("enable")
@speaks_to_an_edge
def enable_route(console: Console, name: Name) -> None:
    """Let a route match again."""
    changed = console.client.routes.update(name, {"enabled": True})
    console.show_change(changed, f"route {name} is enabled")


@route.command("disable")
@speaks_to_an_edge
def disable_route(console: Console, name: Name) -> None:
    """Keep a route, but let it match nothing."""
    changed = console.client.routes.update(name, {"enabled": False})
    console.show_change(changed, f"route {name} is disabled")


@route.command("delete")
@speaks_to_an_edge
def delete_route(console: Console, name: Name) -> None:
    """Take a route away."""
    console.client.routes.delete(name)
    if console.is_table:
        typer.echo(f"route {name} is deleted")


def _content(
    name: str,
    place: str | None,
    targets: list[str] | None,
    methods: list[str] | None,
    headers: list[str] | None,
    query: list[str] | None,
    priority: int | None,
    policies: list[str] | None,
    disabled: bool,
    file: Path | None,
) -> dict[str, Any]:
    """Return a route as JSON has it, from flags or from a file."""
    flags = {
        **(read_place(place) if place is not None else {}),
        "targets": read_targets(targets or []),
        "methods": methods,
        "headers": read_conditions(headers or []),
        "query": read_conditions(query or []),
        "priority": priority,
        "policies": policies,
        "enabled": False if disabled else None,
    }
    given = {key: value for key, value in flags.items() if value not in (None, [])}
    if file is not None:
        if given:
            raise CommandError("give a file or the parts of a route, not both", ExitCode.USAGE)
        return {**read_document(file), "name": name}
    if place is None or not targets:
        raise CommandError(
            f"a route needs a host and a target: backplane route set {name} example.com service=web",
            ExitCode.USAGE,
        )
    return {"name": name, **given}


def _row(one: Route) -> list[str]:
    return [
        one.name,
        one.host,
        one.path,
        " ".join(target_text(target.name, target.selector, target.weight) for target in one.targets),
        ",".join(one.policies),
        "yes" if one.enabled else "no",
    ]


def _details(one: Route) -> list[tuple[str, str | list[str]]]:
    conditions = [("header", match) for match in one.headers]
    wanted = [f"{kind} {match.name} {_wanted(match)}" for kind, match in conditions]
    wanted += [f"query {match.name} {_wanted(match)}" for match in one.query]
    return [
        ("name", one.name),
        ("host", one.host),
        ("path", one.path),
        ("methods", ", ".join(one.methods) or "any"),
        ("conditions", wanted or "none"),
        ("priority", str(one.priority)),
        ("targets", [target_text(target.name, target.selector, target.weight) for target in one.targets]),
        ("policies", ", ".join(one.policies) or "none"),
        ("enabled", "yes" if one.enabled else "no"),
        ("version", str(one.version or "-")),
        ("updated", one.updated.isoformat(timespec="seconds") if one.updated else "-"),
        ("warnings", [f"{warned.field}: {warned.detail}" for warned in one.warnings] or "none"),
    ]


def _wanted(match: Any) -> str:
    if match.exact is not None:
        return f"is {match.exact!r}"
    if match.prefix is not None:
        return f"starts with {match.prefix!r}"
    return "is there" if match.present else "is not there"

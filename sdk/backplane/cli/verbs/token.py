"""`backplane token`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ..completion import names_of
from ..console import Console, speaks_to_an_edge
from ..exit import CommandError, ExitCode
from ..output import note, print_data, print_details
from ..times import later, moment

if TYPE_CHECKING:
    from ...models import ApiToken, CreatedToken, JoinToken

__all__ = ["token"]

token = typer.Typer(help="Who may register agents, and who may use the API.", no_args_is_help=True)
create = typer.Typer(help="Make a token. Its secret is shown this once.", no_args_is_help=True)
token.add_typer(create, name="create")

Id = Annotated[str, Argument(metavar="ID", help="The token's id.", autocompletion=names_of("tokens", "id"))]
Description = Annotated[str, Option("--description", metavar="TEXT", help="For people.", show_default=False)]
Expires = Annotated[
    str | None, Option("--expires", metavar="TIME", help="When it ends: 30d, 12h, 2031-02-03T04:05:06Z")
]
SecretFile = Annotated[
    Path | None,
    Option(
        "--secret-file", metavar="PATH", help="Write the secret there, for your eyes only, not to stdout."
    ),
]


@token.command("list")
@speaks_to_an_edge
def list_tokens(
    console: Console,
    kind: Annotated[
        str | None, Option("--kind", metavar="join|api", help="Only those for agents, or for the API.")
    ] = None,
    revoked: Annotated[bool, Option("--revoked", help="Also those that are revoked.")] = False,
) -> None:
    """Show tokens, without their secrets."""
    found = console.client.tokens.list(kind=kind, revoked=revoked, page_size=1000)
    console.show_list(found, ["ID", "KIND", "GOOD FOR", "EXPIRES", "REVOKED", "DESCRIPTION"], _row)


@token.command("get")
@speaks_to_an_edge
def get_token(console: Console, token_id: Id) -> None:
    """Show one token, without its secret."""
    found = console.client.tokens.get(token_id)
    if console.is_table:
        print_details(_details(found))
    else:
        print_data(found.model_dump(mode="json"), console.format)


@create.command("join")
@speaks_to_an_edge
def create_join_token(
    console: Console,
    service: Annotated[
        list[str] | None,
        Option(
            "--service", metavar="NAME", help="A service its agents may serve; repeatable; all without it."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        Option("--label", metavar="KEY=VALUE", help="A label its instances get; repeatable."),
    ] = None,
    publish: Annotated[
        bool, Option("--publish", help="Serve its services to the public without a route.")
    ] = False,
    max_agents: Annotated[
        int | None, Option("--max-agents", metavar="N", min=1, help="How many agents it lets in.")
    ] = None,
    expires: Expires = None,
    description: Description = "",
    secret_file: SecretFile = None,
) -> None:
    """Make a token for agents, and write its secret to stdout."""
    from ...models import JoinTokenInput

    labels = dict(map(_label, label or []))
    wanted = JoinTokenInput.model_validate(
        {
            "services": service or ["*"],
            "labels": labels,
            "publish": publish,
            "max_agents": max_agents,
            "expires": later(expires),
            "description": description,
        }
    )
    _create(console, wanted, secret_file)


@create.command("api")
@speaks_to_an_edge
def create_api_token(
    console: Console,
    role: Annotated[
        str,
        Option(
            "--role",
            metavar="ROLE",
            help="viewer reads, editor also changes routes and policies, admin tokens.",
        ),
    ],
    expires: Expires = None,
    description: Description = "",
    secret_file: SecretFile = None,
) -> None:
    """Make a token for the management API, and write its secret to stdout."""
    from ...models import ApiTokenInput

    wanted = ApiTokenInput.model_validate(
        {"role": role, "expires": later(expires), "description": description}
    )
    _create(console, wanted, secret_file)


@token.command("set")
@speaks_to_an_edge
def set_token(
    console: Console,
    token_id: Id,
    expires: Annotated[
        str | None, Option("--expires", metavar="TIME|never", help="When it ends: 30d, 12h, never.")
    ] = None,
    description: Annotated[str | None, Option("--description", metavar="TEXT", help="For people.")] = None,
) -> None:
    """Change when a token ends, or what is said of it. What it is good for never changes."""
    changes: dict[str, Any] = {} if description is None else {"description": description}
    if expires is not None:
        changes["expires"] = None if expires == "never" else later(expires)
    if not changes:
        raise CommandError("nothing to set: give --expires or --description", ExitCode.USAGE)
    found = console.client.tokens.update(token_id, changes)
    if console.is_table:
        typer.echo(f"token {token_id} is set")
    else:
        print_data(found.model_dump(mode="json"), console.format)


@token.command("delete")
@speaks_to_an_edge
def delete_token(
    console: Console,
    token_id: Id,
    close_tunnels: Annotated[
        bool, Option("--close-tunnels", help="Also close the tunnels of agents that came with it.")
    ] = False,
) -> None:
    """Revoke a token: it is good for nothing, from now on and for good."""
    console.client.tokens.revoke(token_id, close_tunnels=close_tunnels)
    if console.is_table:
        typer.echo(f"token {token_id} is revoked")


def _create(console: Console, wanted: Any, secret_file: Path | None) -> None:
    # Opened before anything is made: a secret that cannot be kept would be lost.
    descriptor = None if secret_file is None else _open(secret_file)
    try:
        made = console.client.tokens.create(wanted)
    except BaseException:
        if secret_file is not None and descriptor is not None:
            os.close(descriptor)
            secret_file.unlink(missing_ok=True)
        raise
    if descriptor is not None:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(made.secret + "\n")
    _show(console, made, secret_file)


def _show(console: Console, made: CreatedToken, secret_file: Path | None) -> None:
    if not console.is_table:
        shown = made.model_dump(mode="json")
        if secret_file is not None:
            del shown["secret"]
        print_data(shown, console.format)
        return
    if secret_file is None:
        note(f"token {made.token.id} is made; this is its secret, which is not shown again:")
        typer.echo(made.secret)
    else:
        note(f"token {made.token.id} is made; its secret is in {secret_file}")


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", ExitCode.USAGE) from None


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CommandError(f"{text!r} is not KEY=VALUE: write team=web", ExitCode.USAGE)
    return key, value


def _good_for(one: JoinToken | ApiToken) -> str:
    if one.kind == "api":
        return one.role
    labels = "".join(f",{key}={value}" for key, value in one.labels.items())
    limit = "" if one.max_agents is None else f" ({one.agents} of {one.max_agents} agents)"
    return ",".join(one.services) + labels + (" (published)" if one.publish else "") + limit


def _row(one: JoinToken | ApiToken) -> list[str]:
    return [one.id, one.kind, _good_for(one), moment(one.expires), moment(one.revoked), one.description]


def _details(one: JoinToken | ApiToken) -> list[tuple[str, str]]:
    return [
        ("id", one.id),
        ("kind", one.kind),
        ("good for", _good_for(one)),
        ("description", one.description or "none"),
        ("created", moment(one.created)),
        ("expires", moment(one.expires) or "never"),
        ("revoked", moment(one.revoked) or "no"),
    ]

"""`backplane policy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ..completion import names_of
from ..console import Console, speaks_to_an_edge
from ..documents import read_document
from ..exit import CommandError, ExitCode
from ..output import Format, print_data, print_table

if TYPE_CHECKING:
    from ...models import Policy

__all__ = ["policy"]

policy = typer.Typer(help="Bundles of rules that routes use.", no_args_is_help=True)

Name = Annotated[
    str, Argument(metavar="NAME", help="The policy's name.", autocompletion=names_of("policies"))
]
Description = Annotated[str | None, Option("--description", metavar="TEXT", help="For people.")]
Allow = Annotated[
    list[str] | None, Option("--allow", metavar="CIDR", help="Let only this network in; repeatable.")
]
Deny = Annotated[
    list[str] | None, Option("--deny", metavar="CIDR", help="Keep this network out; repeatable.")
]
Proxies = Annotated[
    list[str] | None,
    Option("--trusted-proxy", metavar="CIDR", help="Believe X-Forwarded-For of these peers; repeatable."),
]
Request = Annotated[
    list[str] | None,
    Option("--request-header", metavar="NAME=VALUE", help="Set a field that the app gets; repeatable."),
]
Response = Annotated[
    list[str] | None,
    Option("--response-header", metavar="NAME=VALUE", help="Set a field that the client gets; repeatable."),
]
File = Annotated[
    Path | None, Option("--file", "-f", metavar="PATH", help="The policy as YAML or JSON; - is stdin.")
]


@policy.command("list")
@speaks_to_an_edge
def list_policies(console: Console) -> None:
    """Show policies."""
    found = console.client.policies.list(page_size=1000)
    console.show_list(found, ["NAME", "RULES", "DESCRIPTION"], _row)


@policy.command("get")
@speaks_to_an_edge
def get_policy(console: Console, name: Name) -> None:
    """Show one policy."""
    found = console.client.policies.get(name)
    form = Format.YAML if console.is_table else console.format
    print_data(found.model_dump(mode="json"), form)


@policy.command("create")
@speaks_to_an_edge
def create_policy(
    console: Console,
    name: Name,
    allow: Allow = None,
    deny: Deny = None,
    trusted_proxy: Proxies = None,
    request_header: Request = None,
    response_header: Response = None,
    description: Description = None,
    file: File = None,
) -> None:
    """Add a policy. It does nothing until a route uses it."""
    rules = _rules(allow, deny, trusted_proxy, request_header, response_header)
    content = _content(name, rules, description, file)
    console.show_change(console.client.policies.create(content), f"policy {name} is created")


@policy.command("set")
@speaks_to_an_edge
def set_policy(
    console: Console,
    name: Name,
    allow: Allow = None,
    deny: Deny = None,
    trusted_proxy: Proxies = None,
    request_header: Request = None,
    response_header: Response = None,
    description: Description = None,
    file: File = None,
) -> None:
    """Create a policy, or replace the whole of it."""
    rules = _rules(allow, deny, trusted_proxy, request_header, response_header)
    content = _content(name, rules, description, file)
    console.show_change(console.client.policies.replace(content), f"policy {name} is set")


@policy.command("delete")
@speaks_to_an_edge
def delete_policy(console: Console, name: Name) -> None:
    """Take a policy away that nothing uses."""
    console.client.policies.delete(name)
    if console.is_table:
        typer.echo(f"policy {name} is deleted")


@policy.command("defaults")
@speaks_to_an_edge
def default_policies(
    console: Console,
    names: Annotated[
        list[str] | None,
        Argument(metavar="[NAME]...", help="What they are from now on.", autocompletion=names_of("policies")),
    ] = None,
    none: Annotated[bool, Option("--none", help="There are none from now on.")] = False,
) -> None:
    """Show or set the policies of services that are found by discovery."""
    if names and none:
        raise CommandError("give names or --none, not both", ExitCode.USAGE)
    defaults = console.client.default_policies
    found = defaults.replace(names or []) if names or none else defaults.get()
    if console.is_table:
        print_table(["NAME"], [[name] for name in found])
    else:
        print_data(list(found), console.format)


def _rules(
    allow: list[str] | None,
    deny: list[str] | None,
    proxies: list[str] | None,
    request: list[str] | None,
    response: list[str] | None,
) -> list[dict[str, Any]]:
    """Return the rules that flags stand for."""
    rules: list[dict[str, Any]] = []
    addresses = {"allow": allow, "deny": deny, "trusted_proxies": proxies}
    if any(addresses.values()):
        rules.append({"type": "ip", **{name: given for name, given in addresses.items() if given}})
    edits = {"request": request, "response": response}
    if any(edits.values()):
        changes = {name: {"set": _fields(given)} for name, given in edits.items() if given}
        rules.append({"type": "headers", **changes})
    return rules


def _fields(given: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in map(_field, given):
        if name in fields:
            raise CommandError(f"{name} is given twice: a field is set to one value", ExitCode.USAGE)
        fields[name] = value
    return fields


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"{text!r} is not NAME=VALUE: write x-frame-options=DENY", ExitCode.USAGE)
    return name.strip().lower(), value.strip()


def _content(
    name: str, rules: list[dict[str, Any]], description: str | None, file: Path | None
) -> dict[str, Any]:
    if file is not None:
        if rules:
            raise CommandError("give a file or rules, not both", ExitCode.USAGE)
        content = {**read_document(file), "name": name}
    elif rules:
        content = {"name": name, "rules": rules}
    else:
        raise CommandError(
            f"a policy needs rules: backplane policy set {name} --allow 192.0.2.0/24, or --file",
            ExitCode.USAGE,
        )
    return content if description is None else {**content, "description": description}


def _row(one: Policy) -> list[str]:
    return [one.name, ",".join(rule.type for rule in one.rules), one.description]

"""`backplane explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from typer import Argument, Option

from ..console import Console, speaks_to_an_edge
from ..exit import CommandError, ExitCode
from ..output import print_data, print_details

if TYPE_CHECKING:
    from ...models import ExplainedTarget, Explanation, Question

__all__ = ["explain"]


@speaks_to_an_edge
def explain(
    console: Console,
    url: Annotated[
        str, Argument(metavar="URL", help="What a client would ask for, https://shop.example.com/cart?x=1")
    ],
    method: Annotated[str, Option("--method", "-X", metavar="METHOD", help="How.")] = "GET",
    header: Annotated[
        list[str] | None,
        Option("--header", "-H", metavar="NAME=VALUE", help="A header field it would send; repeatable."),
    ] = None,
    client: Annotated[
        str, Option("--client", metavar="ADDRESS", help="The client's address.", show_default=False)
    ] = "",
) -> None:
    """Say which route, target and instances would serve a request now, and why. Nothing is sent there."""
    found = console.client.routes.explain(_question(url, method, header or [], client))
    if console.is_table:
        print_details(_details(found))
    else:
        print_data(found.model_dump(mode="json"), console.format)


def _question(url: str, method: str, headers: list[str], client: str) -> Question:
    from ...models import Question

    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise CommandError(f"{url!r} is not a URL: write https://example.com/path", ExitCode.USAGE)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(not "!" <= char <= "~" for char in path):
        raise CommandError(f"{path!r} is no path: write %20 for a space, and the like", ExitCode.USAGE)
    fields = []
    for text in headers:
        separator = "=" if "=" in text.partition(":")[0] or ":" not in text else ":"
        name, found, value = text.partition(separator)
        if not found:
            raise CommandError(f"{text!r} is not NAME=VALUE: write x-canary=yes", ExitCode.USAGE)
        fields.append((name.strip(), value.strip()))
    return Question(
        method=method, scheme=parts.scheme, host=parts.netloc, path=path, headers=fields, client=client
    )


def _details(found: Explanation) -> list[tuple[str, str | list[str]]]:
    served = f"route {found.route}" if found.route else f"service {found.service} (discovered)"
    pairs: list[tuple[str, str | list[str]]] = []
    if found.route or found.service:
        pairs += [
            ("served by", served),
            ("policies", ", ".join(found.policies) or "none"),
            ("targets", [_target(one) for one in found.targets] or "none"),
        ]
    if found.status is not None:
        pairs.append(("answer", f"{found.status} {found.code or ''}, from the edge itself"))
    return [*pairs, ("why", found.why or "")]


def _target(one: ExplainedTarget) -> str:
    instances = f"{one.instances} healthy instance{'' if one.instances == 1 else 's'}"
    name = "" if one.name == one.selector else f"{one.name}: "
    return f"{round(one.share * 100)}% to {name}{one.selector} ({instances})"

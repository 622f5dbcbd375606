"""Routes as the command line writes them.

HOST[/PATH]                   shop.example.com/api
[NAME[=WEIGHT]:]SELECTOR      v2=10:service=web,release=v2
NAME=WEIGHT                   v2=10
NAME, NAME=VALUE, !NAME       a header field or query parameter that is there, has a value, is not there
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from .exit import CommandError, ExitCode

__all__ = ["default_name", "read_conditions", "read_place", "read_targets", "read_weights", "target_text"]


def read_place(text: str) -> dict[str, str]:
    """Return host and path of a route."""
    host, slash, path = text.partition("/")
    if "://" in text or not host:
        raise CommandError(f"{text!r} is not HOST or HOST/PATH: write example.com/api", ExitCode.USAGE)
    return {"host": host, "path": slash + path or "/"}


def read_targets(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the targets of a route."""
    return [_target(text) for text in texts]


def _target(text: str) -> dict[str, Any]:
    head, colon, selector = text.partition(":")
    if not colon:
        return {"selector": text}
    name, equals, weight = head.partition("=")
    if not name or not selector or (equals and not _is_number(weight)):
        raise CommandError(
            f"{text!r} is not [NAME[=WEIGHT]:]SELECTOR: write v2=10:service=web,release=v2", ExitCode.USAGE
        )
    return {"name": name, "selector": selector, **({"weight": int(weight)} if equals else {})}


def read_weights(texts: Iterable[str]) -> dict[str, int]:
    """Return weights by the names of targets."""
    weights = {}
    for text in texts:
        name, _, weight = text.rpartition("=")
        if not name or not _is_number(weight):
            raise CommandError(f"{text!r} is not NAME=WEIGHT: write v2=10", ExitCode.USAGE)
        weights[name] = int(weight)
    return weights


def read_conditions(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Return conditions on header fields or query parameters."""
    conditions: list[dict[str, Any]] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if name.startswith("!"):
            conditions.append({"name": name[1:], "present": False})
        elif equals:
            conditions.append({"name": name, "exact": value})
        else:
            conditions.append({"name": name, "present": True})
    return conditions


def default_name(place: str) -> str:
    """Return what a route is called that nobody has given a name: after its host and path."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", place.replace("*.", "any.", 1)).strip("-._")
    return name[:128].strip("-._") or "route"


def target_text(name: str, selector: str, weight: int) -> str:
    """Return a target as a person reads it."""
    return selector if name == selector and weight == 1 else f"{name}={weight}:{selector}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10

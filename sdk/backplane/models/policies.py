"""Policies: named bundles of rules that routes use."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from .shared import Model, Warned

__all__ = ["FieldEdits", "HeadersRule", "IpRule", "OtherRule", "Policy", "Rule"]


class IpRule(Model):
    """Lets clients in by their address."""

    type: Literal["ip"] = "ip"
    allow: list[str] = Field(default=[], description="Only these addresses and networks; empty for all.")
    deny: list[str] = Field(default=[], description="None of these.")
    trusted_proxies: list[str] = Field(default=[], description="Peers whose X-Forwarded-For is believed.")


class FieldEdits(Model):
    """Changes of a head, made in this order: `remove`, `set`, `add`."""

    remove: list[str] = Field(default=[])
    set: dict[str, str] = Field(default={})
    add: dict[str, str] = Field(default={})


class HeadersRule(Model):
    """Changes fields of the request that goes to the app, and of the response that goes to the client."""

    type: Literal["headers"] = "headers"
    request: FieldEdits = FieldEdits()
    response: FieldEdits = FieldEdits()


class OtherRule(Model):
    """A rule that this version does not know; it is kept as it is."""

    type: str


def _kind(rule: Any) -> str:
    kind = rule.get("type") if isinstance(rule, dict) else getattr(rule, "type", None)
    return kind if kind in ("ip", "headers") else "other"


Rule = Annotated[
    Annotated[IpRule, Tag("ip")]
    | Annotated[HeadersRule, Tag("headers")]
    | Annotated[OtherRule, Tag("other")],
    Discriminator(_kind),
]
"""Any rule; `type` says which."""


class Policy(Model):
    """A named bundle of rules, attached to routes by its name."""

    read_only: ClassVar[frozenset[str]] = frozenset({"revision", "created", "updated", "warnings"})

    name: str
    version: int = Field(default=1, description="The version of this schema.")
    description: str = ""
    rules: list[Rule] = Field(default=[], description="What it does, in this order.")

    revision: int | None = Field(default=None, description="For `if_version`.")
    created: datetime | None = None
    updated: datetime | None = None
    warnings: list[Warned] = Field(default=[])

"""Routes: which requests go to which instances."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from pydantic import Field, model_validator

from .shared import Model, Warned

__all__ = ["HeaderMatch", "QueryMatch", "Route", "Target"]


class HeaderMatch(Model):
    """A condition on a header field: exactly one of `exact`, `prefix` and `present`."""

    name: str
    exact: str | None = None
    prefix: str | None = None
    present: bool | None = None


class QueryMatch(Model):
    """A condition on a parameter of the query: exactly one of `exact`, `prefix` and `present`."""

    name: str
    exact: str | None = None
    prefix: str | None = None
    present: bool | None = None


class Target(Model):
    """One of the places that a route sends its requests to."""

    name: str = Field(default="", description="Its name within the route; the selector, if none is given.")
    selector: str = Field(description="Which instances, `service=web,release=v2`.")
    weight: int = Field(default=1, description="Its share, relative to the others'. 0: no requests.")

    @model_validator(mode="after")
    def _name_it(self) -> Self:
        self.name = self.name or self.selector
        return self


class Route(Model):
    """Sends the requests of a host, below a path and under conditions, to weighted targets."""

    read_only: ClassVar[frozenset[str]] = frozenset({"source", "version", "created", "updated", "warnings"})

    name: str
    host: str = Field(description="A host name, or `*.suffix` for every host that ends so.")
    path: str = Field(default="/", description="A prefix in whole segments.")
    methods: list[str] = Field(default=[], description="One of these; empty for any.")
    headers: list[HeaderMatch] = Field(default=[], description="All of these conditions.")
    query: list[QueryMatch] = Field(default=[], description="All of these conditions.")
    priority: int = Field(default=0, description="Among routes of one host and path the higher goes first.")
    targets: list[Target]
    policies: list[str] = Field(default=[], description="The names of policies, in their order.")
    enabled: bool = Field(default=True, description="False: it is kept, and matches nothing.")

    source: str = Field(
        default="configured", description="`configured`, or `discovered` by a service's being there."
    )
    version: int | None = Field(default=None, description="For `if_version`.")
    created: datetime | None = None
    updated: datetime | None = None
    warnings: list[Warned] = Field(default=[])

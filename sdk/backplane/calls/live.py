"""Calls for what is connected now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from ..call import Call, Query, Repeat, nothing, one_of, path
from ..models.live import Drain, Edge, Instance, InstanceCount, Service, Tunnel
from ..models.shared import Model, Page
from .pages import PageOf, page

__all__ = [
    "EDGES",
    "INSTANCES",
    "SERVICES",
    "TUNNELS",
    "Live",
    "count",
    "disconnect",
    "drain",
    "list_drains",
    "resume",
]

M = TypeVar("M", bound=Model)


class Live(Generic[M]):
    """The calls for one kind of things that are there or not, and cannot be made or changed."""

    def __init__(self, collection: str, model: type[M]) -> None:
        self.collection = collection
        self.model = model

    def list(self, query: Query) -> PageOf[M]:
        """All of them."""
        answer: type[Page[M]] = Page[self.model]  # type: ignore[name-defined]
        return page(path(self.collection), answer, query)

    def get(self, name: str) -> Call[M]:
        """One of them."""
        return Call(
            method="GET",
            path=path(self.collection, name),
            understand=one_of(self.model),
            repeat=Repeat.SAFELY,
        )


SERVICES = Live("services", Service)
INSTANCES = Live("instances", Instance)
TUNNELS = Live("tunnels", Tunnel)
EDGES = Live("edges", Edge)


def count(by: Sequence[str], query: Query) -> PageOf[InstanceCount]:
    """How many instances there are of each service, zone or value of a label."""
    return page(path("instances:count"), Page[InstanceCount], {**query, "by": tuple(by)})


def drain(instance: str) -> Call[None]:
    """An instance that is to get no new requests."""
    return _order(instance, "drain")


def resume(instance: str) -> Call[None]:
    """An instance that is to get requests again."""
    return _order(instance, "resume")


def disconnect(instance: str, *, grace: float) -> Call[None]:
    """An instance whose agent's tunnels are closed."""
    return Call(
        method="POST",
        path=path("instances", f"{instance}:disconnect"),
        query={"grace": grace},
        understand=nothing,
    )


def list_drains(query: Query) -> PageOf[Drain]:
    """Instances that an operator wants to get no new requests."""
    return page(path("drains"), Page[Drain], query)


def _order(instance: str, verb: str) -> Call[None]:
    # Once more says the same.
    return Call(
        method="POST",
        path=path("instances", f"{instance}:{verb}"),
        understand=nothing,
        repeat=Repeat.SAFELY,
    )

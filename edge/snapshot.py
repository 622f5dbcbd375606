"""The config that a data plane serves from: immutable, versioned, and how it changes.

A `Snapshot` says everything, a `SnapshotChange` what has changed since the version that it names. Either may come in
parts, so that a hundred thousand routes are read in small pieces: the first is not `complete`, the rest follows in
changes from that version to itself, and nothing is served from before the last (`edge.intake`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from h2s.messages import ConfigVersion, EdgeAddress

from .policies import PolicySpec
from .route import RouteSpec

__all__ = ["JoinGrant", "Snapshot", "SnapshotChange", "parts"]

ROUTES_PER_PART = 20
"""About half a millisecond of a data plane's time."""


class JoinGrant(BaseModel):
    """What the holder of a join token may register. Decided here, never taken from the agent's word."""

    model_config = ConfigDict(frozen=True)

    token_id: str
    secret_sha256: str = Field(repr=False)
    services: tuple[str, ...] = ("*",)
    """Names of services, or `*` for any."""
    labels: dict[str, str] = {}
    """Labels that every instance of this token gets, whatever it says of itself."""
    publish: bool = True
    """Whether its services are reachable as `<service>.<domain>` without a route."""
    expires: float | None = None
    """Unix time, or never."""
    max_agents: int | None = None
    """How many agents it lets in; None: any number."""
    agents: frozenset[str] = frozenset()
    """Ids of those that it has let in, if their number is limited."""

    def allows(self, service: str) -> bool:
        """Whether an agent of this token may serve `service`."""
        return "*" in self.services or service in self.services


class Snapshot(BaseModel):
    """Everything a data plane needs to know."""

    model_config = ConfigDict(frozen=True)

    version: ConfigVersion
    edge_id: str
    zone: str = ""
    domain: str = "localhost"
    default_service: str = "auto"
    """A service's name, `auto` (the only one there is), or `none`."""
    edges: tuple[EdgeAddress, ...] = ()
    grants: tuple[JoinGrant, ...] = ()
    routes: tuple[RouteSpec, ...] = ()
    policies: tuple[PolicySpec, ...] = ()
    default_policies: tuple[str, ...] = ()
    """Policies of services that are found by discovery."""
    drained: tuple[str, ...] = ()
    """Ids of instances that are to get no new requests."""
    closed_tokens: tuple[str, ...] = ()
    """Ids of join tokens whose agents have to go."""
    complete: bool = True
    """False: more of it follows in changes."""

    @property
    def default_mode(self) -> Literal["auto", "none", "name"]:
        """How a request is served whose host names no service."""
        if self.default_service == "auto":
            return "auto"
        return "none" if self.default_service == "none" else "name"


class SnapshotChange(BaseModel):
    """What makes the snapshot of one version that of another; what is not named stays."""

    model_config = ConfigDict(frozen=True)

    base: ConfigVersion
    version: ConfigVersion
    routes: tuple[RouteSpec, ...] = ()
    """Added, or in place of those of the same names."""
    routes_removed: tuple[str, ...] = ()
    policies: tuple[PolicySpec, ...] = ()
    policies_removed: tuple[str, ...] = ()
    default_policies: tuple[str, ...] | None = None
    grants: tuple[JoinGrant, ...] = ()
    grants_removed: tuple[str, ...] = ()
    """By token id."""
    edges: tuple[EdgeAddress, ...] | None = None
    drained: tuple[str, ...] | None = None
    closed_tokens: tuple[str, ...] | None = None
    complete: bool = True
    """False: more of it follows, in changes from `version` to itself."""


def parts(
    whole: Snapshot | SnapshotChange, size: int = ROUTES_PER_PART
) -> Iterator[Snapshot | SnapshotChange]:
    """Yield `whole` in parts of at most `size` routes, to be taken in one after the other."""
    routes = whole.routes
    removed = whole.routes_removed if isinstance(whole, SnapshotChange) else ()
    if len(routes) + len(removed) <= size:
        yield whole
        return
    version = whole.version
    rest: list[SnapshotChange] = []
    for start in range(size, len(removed), size):
        names = removed[start : start + size]
        rest.append(SnapshotChange(base=version, version=version, routes_removed=names, complete=False))
    in_first = 0 if removed else size
    for start in range(in_first, len(routes), size):
        some = routes[start : start + size]
        rest.append(SnapshotChange(base=version, version=version, routes=some, complete=False))
    first: dict[str, object] = {"routes": routes[:in_first], "complete": False}
    if removed:
        first["routes_removed"] = removed[:size]
    yield whole.model_copy(update=first)
    if whole.complete:
        rest[-1] = rest[-1].model_copy(update={"complete": True})
    yield from rest

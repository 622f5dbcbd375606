"""From a request to where it goes: the routes that operators have made, then discovery, which nobody has to configure.

Discovery: `<service>.<domain>` is served by the service of that name, if a token lets it be published. Any other host
goes to the default service: a fixed one, or, with `auto`, the only one there is. A service whose last instance has
gone is still found: that its host answers 503 and not 404 tells a client to come back.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Protocol

from .message import Request
from .policies import Chain
from .registry import Instance, Registry, Service, Tunnel
from .routes import RoutingTable, host_of
from .snapshot import Snapshot

__all__ = ["Destination", "Router", "host_of"]


class Destination(Protocol):
    """Where a request goes: what an exchange picks an instance from, as often as it has to. `str` names it."""

    @property
    def service_name(self) -> str:
        """What its requests are counted under; empty when it is no one service."""

    def pick(
        self, *, tried: Container[Instance], random: Callable[[], float]
    ) -> tuple[Instance, Tunnel] | None:
        """Return an instance not tried before and a tunnel to it, or None."""

    def holds(self, instance: Instance) -> bool:
        """Whether `instance` is one of those to pick from."""

    def has_others(self, tried: Sequence[Instance]) -> bool:
        """Whether there is one to pick from, be it full, that is not among `tried`."""


class Router:
    """Finds the destination of a request. Lives as long as its snapshot."""

    def __init__(self, snapshot: Snapshot, registry: Registry, table: RoutingTable | None = None) -> None:
        """`table` holds the routes of `snapshot`, compiled."""
        self._suffix = "." + snapshot.domain.lower()
        self.discovery = f"domain {snapshot.domain}, default service {snapshot.default_service}"
        """Its settings, for people."""
        self._mode = snapshot.default_mode
        self._default = snapshot.default_service
        self._registry = registry
        self.table = table or RoutingTable()
        self._discovered_policies = self.table.chain_of(None)

    def find(self, request: Request) -> tuple[Destination | None, Chain | None]:
        """Return where a request goes and the policies it goes there under; None for none.

        Raises Refusal for a request that may go nowhere.
        """
        host = host_of(request.authority)
        table = self.table
        route = table.find(request, host)
        if route is not None:
            return route, table.chain_of(route)
        return self.discover(host), self._discovered_policies

    def discover(self, host: str) -> Service | None:
        """Return the service for a host without a route, or None when nothing was ever found under that host."""
        registry = self._registry
        if host.endswith(self._suffix):
            name = host[: -len(self._suffix)]
            service = registry.services.get(name) or registry.departed.get(name)
            return service if service is not None and service.published else None
        if self._mode == "auto":
            candidates = registry.published or registry.departed.values()
            return next(iter(candidates)) if len(candidates) == 1 else None
        if self._mode == "name":
            return registry.services.get(self._default) or Service(self._default)
        return None

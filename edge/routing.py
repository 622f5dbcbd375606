"""From a request's host to a service: discovery, the route that nobody has to configure.

`<service>.<domain>` is served by the service of that name, if a token lets it be published. Any other host goes to
the default service: a fixed one, or, with `auto`, the only one there is. A service whose last instance has gone is
still found: that its host answers 503 and not 404 tells a client to come back.
"""

from __future__ import annotations

from .registry import Registry, Service
from .snapshot import Snapshot

__all__ = ["Router", "host_of"]


def host_of(authority: bytes) -> str:
    """Return the host of `host[:port]` in lower case, without a trailing dot; brackets of IPv6 stay."""
    text = authority.decode("latin-1").lower()
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        host = text if not text.endswith(":") else text[:-1]
    return host.removesuffix(".")


class Router:
    """Finds the service for a host. Lives as long as its snapshot."""

    def __init__(self, snapshot: Snapshot, registry: Registry) -> None:
        self._suffix = "." + snapshot.domain.lower()
        self._mode = snapshot.default_mode
        self._default = snapshot.default_service
        self._registry = registry

    def find(self, authority: bytes) -> Service | None:
        """Return the service for a Host or :authority, or None when nothing was ever found under that host."""
        host = host_of(authority)
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

"""All routes of a snapshot, compiled: immutable, found in a time that does not depend on how many there are.

Hosts are looked up whole; then, if there are wildcards, each of their suffixes, the longest first. Below a host is a
tree of paths (`edge.routes.tree`). Of all routes that match, the first found is the most specific.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address

from ..message import Request
from ..policies import Chain, Steps
from ..problem import Refusal
from .compiled import Route
from .path import is_plain, path_of, readings
from .shards import Shards
from .tree import Node, walk

__all__ = ["RoutingTable", "host_of"]

PolicyNames = tuple[str, ...]


def host_of(authority: bytes) -> str:
    """Return the host of `host[:port]` in lower case, without a trailing dot; IPv6 stays in brackets."""
    text = authority.decode("latin-1").lower()
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        host = text if not text.endswith(":") else text[:-1]
    return host.removesuffix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """The routes and policies of one snapshot. Made by `edge.routes.edit`."""

    routes: Shards[Route] = field(default_factory=Shards)
    """By name; only those that are enabled."""
    hosts: Shards[Node] = field(default_factory=Shards)
    """By exact host."""
    suffixes: Shards[Node] = field(default_factory=Shards)
    """Of wildcards, without `*.`."""
    policies: Mapping[str, tuple[Steps, ...]] = field(default_factory=dict)
    chains: Mapping[PolicyNames, Chain | None] = field(default_factory=dict)
    """What the policies of a route come to, for each list of names that a route has; None for nothing."""
    uses: Mapping[PolicyNames, int] = field(default_factory=dict)
    """How many routes have this list of policies."""
    default_policies: PolicyNames = ()
    """Those of services that are found by discovery."""

    def find(self, request: Request, host: str) -> Route | None:
        """Return the route that serves a request for `host` (`host_of` its authority), or None.

        Raises Refusal (400) when the app may read the path so that another route would have served it.
        """
        if not self.routes.size:
            return None
        roots = self.roots(host)
        if not roots:
            return None
        path = path_of(request.path)
        found = first_match(roots, path, request)
        for root in roots:
            if root.children:
                self._check_readings(roots, path, request, found)
                break
        return found

    def roots(self, host: str) -> list[Node]:
        """Return the trees that routes of this host are in, the most specific first."""
        if host[:1] == "[":
            host = _canonical_ipv6(host)
        node = self.hosts.get(host)
        roots = [node] if node is not None else []
        if self.suffixes.size:
            roots += self._wildcards(host)
        return roots

    def chain_of(self, route: Route | None) -> Chain | None:
        """Return the steps of a route's policies; of what is discovered, for None. None: there are no steps."""
        policies = self.default_policies if route is None else route.policies
        return self.chains[policies] if policies else None

    @property
    def pieces(self) -> list[Mapping[str, object]]:
        """What holds all of its routes, to be let go of one by one: at once takes a tenth of a second for 100,000."""
        return [*self.routes.pieces, *self.hosts.pieces, *self.suffixes.pieces]

    def shares_with(self, other: RoutingTable) -> bool:
        """Say whether the two have routes in one piece, so that neither goes as a whole."""
        return any(
            ours is theirs for ours, theirs in zip(self.routes.pieces, other.routes.pieces, strict=True)
        )

    def _check_readings(self, roots: list[Node], path: bytes, request: Request, found: Route | None) -> None:
        if is_plain(path):
            return
        for reading in readings(path):
            if first_match(roots, reading, request) is not found:
                raise Refusal(
                    400, "ambiguous_path", "The path can be read in two ways that lead to different places."
                )

    def _wildcards(self, host: str) -> Iterator[Node]:
        dot = host.find(".")
        while dot >= 0:
            node = self.suffixes.get(host[dot + 1 :])
            if node is not None:
                yield node
            dot = host.find(".", dot + 1)


def first_match(roots: list[Node], path: bytes, request: Request) -> Route | None:
    """Return the most specific route for a path."""
    for root in roots:
        for node in walk(root, path):
            for route in node.routes:
                if route.matches(request):
                    return route
    return None


def _canonical_ipv6(host: str) -> str:
    try:
        return f"[{IPv6Address(host[1:-1])}]"
    except AddressValueError:
        return host

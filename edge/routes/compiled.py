"""A route as requests meet it: conditions that answer yes or no, and targets that hold their instances."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from ..balance import pick
from ..message import Request
from ..pools import Pool, Pools
from ..registry import Instance, Tunnel
from ..route import HeaderMatch, QueryMatch, RouteSpec
from .conditions import Check, header_check, method_of, query_check

__all__ = ["Route", "Target"]


class Target:
    """A place that a route sends requests to. Immutable but for the instances of its pool."""

    __slots__ = ("name", "pool", "weight")

    def __init__(self, name: str, pool: Pool, weight: int) -> None:
        self.name = name
        self.pool = pool
        self.weight = weight


class Route:
    """One route, compiled; an `edge.routing.Destination`. Immutable."""

    __slots__ = (
        "_checks",
        "_methods",
        "_only",
        "_open",
        "headers",
        "host",
        "identity",
        "name",
        "order",
        "path",
        "policies",
        "priority",
        "query",
        "service_name",
        "targets",
    )

    def __init__(self, spec: RouteSpec, pools: Pools) -> None:
        self.name = spec.name
        self.host = spec.host
        self.path = spec.path
        self.priority = spec.priority
        self.policies = spec.policies
        self.headers: tuple[HeaderMatch, ...] = spec.headers
        self.query: tuple[QueryMatch, ...] = spec.query
        self.identity = spec.key[2:]
        """What tells it apart from other routes of its host and path."""
        conditions = len(spec.headers) + len(spec.query) + bool(spec.methods)
        self.order = (-spec.priority, -conditions, spec.name)
        """Routes of one host and path are looked at in this order."""
        self._methods = frozenset(method.encode() for method in spec.methods) if spec.methods else None
        self._checks: tuple[Check, ...] = (
            *map(header_check, spec.headers),
            *map(query_check, spec.query),
        )
        self.targets = tuple(
            Target(target.name, pools.get(target.selector), target.weight) for target in spec.targets
        )
        self._open = tuple(target for target in self.targets if target.weight)
        self._only = self._open[0].pool if len(self._open) == 1 else None
        """What there is to pick from, if that is one: a request by one route of many finds little in the cache."""
        services = {target.pool.selector.services for target in self.targets}
        named = services.pop() if len(services) == 1 else None
        self.service_name = named[0] if named is not None and len(named) == 1 else ""
        """The only service that its targets name, or empty: what its requests are counted under."""

    @property
    def methods(self) -> frozenset[bytes] | None:
        """The methods it takes, or None for any."""
        return self._methods

    def matches(self, request: Request) -> bool:
        """Say whether its conditions hold; host and path have led here."""
        if self._methods is not None and method_of(request) not in self._methods:
            return False
        for check in self._checks:  # noqa: SIM110 - a generator would cost every request without conditions
            if not check(request):
                return False
        return True

    def pick(
        self, *, tried: Container[Instance], random: Callable[[], float]
    ) -> tuple[Instance, Tunnel] | None:
        """Return an instance not tried before and a tunnel to it, of a target drawn by weight; or None.

        Targets that have no instance to offer take no part in the draw: the others have their share.
        """
        if self._only is not None:
            return pick(self._only.candidates, tried=tried, random=random)
        left = [target for target in self._open if target.pool.candidates.all]
        while left:
            target = left[0] if len(left) == 1 else _draw(left, random())
            found = pick(target.pool.candidates, tried=tried, random=random)
            if found is not None:
                return found
            left.remove(target)
        return None

    def holds(self, instance: Instance) -> bool:
        """Whether `instance` is one of those to pick from."""
        return any(instance in target.pool.candidates for target in self._open)

    def has_others(self, tried: Sequence[Instance]) -> bool:
        """Whether there is one to pick from, be it full, that is not among `tried`."""
        return any(
            len(candidates.all) > sum(instance in candidates for instance in tried)
            for candidates in (target.pool.candidates for target in self._open)
        )

    def __str__(self) -> str:
        return f"route {self.name!r}"


def _draw(targets: list[Target], chance: float) -> Target:
    """Return one of `targets` by weight; `chance` is in [0, 1)."""
    point = chance * sum(target.weight for target in targets)
    for target in targets:
        point -= target.weight
        if point < 0:
            return target
    return targets[-1]

"""Which instance and which tunnel a request takes: plain functions of what is known now.

Two instances are drawn at random and the one with less in flight for its capacity is taken ("power of two choices",
Mitzenmacher 2001): nearly as even as looking at all of them, at the cost of looking at two. The edge's own zone comes
first as long as it has an instance with room.

An instance has room while it has less in flight than its `limit`, and a tunnel with a free stream. One that is warming
up (`edge.warmup`) is passed over for the other drawn one as often as it is cold.

When the instance drawn cannot take the request, the others are gone through from a random place on, and the better of
the first two that can is taken: so that an edge under full load does not look at every instance for every request.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .instance import Instance, Tunnel

__all__ = ["Choice", "pick", "pick_instance", "pick_tunnel", "way_to"]


class Choice(Protocol):
    """What there is to pick from."""

    @property
    def all(self) -> Sequence[Instance]:
        """Routable instances."""

    @property
    def local(self) -> Sequence[Instance]:
        """Those in the edge's own zone."""


def pick(
    choice: Choice, *, tried: Container[Instance], random: Callable[[], float]
) -> tuple[Instance, Tunnel] | None:
    """Return an instance of `choice` not tried before and a tunnel to it, or None.

    `random` returns floats in [0, 1).
    """
    for candidates in (choice.local, choice.all):
        found = _pick_among(candidates, tried, random)
        if found is not None:
            return found
    return None


def _pick_among(
    candidates: Sequence[Instance], tried: Container[Instance], random: Callable[[], float]
) -> tuple[Instance, Tunnel] | None:
    instance = pick_instance(candidates, random)
    if instance is None:
        return None
    tunnel = way_to(instance)
    if tunnel is not None and instance not in tried:
        return instance, tunnel
    return _search(candidates, tried, int(random() * len(candidates)))


def _search(
    candidates: Sequence[Instance], tried: Container[Instance], start: int
) -> tuple[Instance, Tunnel] | None:
    """Return the less loaded of the first two, from index `start` on and around, that can take the request."""
    found: tuple[Instance, Tunnel] | None = None
    for index in range(start - len(candidates), start):
        instance = candidates[index]
        tunnel = None if instance in tried else way_to(instance)
        if tunnel is None:
            continue
        if found is not None:
            return found if less_loaded(found[0], instance) is found[0] else (instance, tunnel)
        found = instance, tunnel
    return found


def less_loaded(a: Instance, b: Instance) -> Instance:
    """Return the one with less in flight for its capacity; `a` when they are even."""
    return a if a.in_flight * b.capacity <= b.in_flight * a.capacity else b


def pick_instance(candidates: Sequence[Instance], random: Callable[[], float]) -> Instance | None:
    """Return the less loaded of two distinct candidates drawn at random, or the other if that one is too cold."""
    count = len(candidates)
    if count < 2:
        return candidates[0] if count else None
    first = int(random() * count)
    second = int(random() * (count - 1))
    if second >= first:
        second += 1
    a, b = candidates[first], candidates[second]
    better = less_loaded(a, b)
    if better.warmth < 1.0 and random() >= better.warmth:
        return b if better is a else a
    return better


def way_to(instance: Instance) -> Tunnel | None:
    """Return a tunnel for one more request to `instance`, or None if it has no room."""
    return pick_tunnel(instance.agent.tunnels) if instance.in_flight < instance.limit else None


def pick_tunnel(tunnels: Sequence[Tunnel]) -> Tunnel | None:
    """Return the tunnel with the fewest requests in flight among those with a free stream."""
    best: Tunnel | None = None
    for tunnel in tunnels:
        if (best is None or tunnel.in_flight < best.in_flight) and tunnel.free_streams > 0:
            best = tunnel
    return best

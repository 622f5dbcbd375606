"""Which instance and which tunnel a request takes: plain functions of what is known now.

Two instances are drawn at random and the one with less in flight for its capacity is taken ("power of two choices",
Mitzenmacher 2001): nearly as even as looking at all of them, at the cost of looking at two. The edge's own zone comes
first as long as it has an instance with a free stream.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from .registry import Instance, Service, Tunnel

__all__ = ["pick", "pick_instance", "pick_tunnel"]


def pick(
    service: Service, *, tried: Container[Instance], random: Callable[[], float]
) -> tuple[Instance, Tunnel] | None:
    """Return an instance of `service` not tried before and a tunnel to it, or None.

    `random` returns floats in [0, 1).
    """
    for candidates in (service.local, service.all):
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
    tunnel = pick_tunnel(instance.agent.tunnels)
    if tunnel is not None and instance not in tried:
        return instance, tunnel
    # The usual draw failed: look at every other one.
    rest = [other for other in candidates if other not in tried and other is not instance]
    for other in sorted(rest, key=load):
        tunnel = pick_tunnel(other.agent.tunnels)
        if tunnel is not None:
            return other, tunnel
    return None


def load(instance: Instance) -> float:
    """Requests in flight as a share of capacity."""
    return instance.in_flight / instance.capacity


def pick_instance(candidates: Sequence[Instance], random: Callable[[], float]) -> Instance | None:
    """Return the less loaded of two distinct candidates drawn at random."""
    count = len(candidates)
    if count < 2:
        return candidates[0] if count else None
    first = int(random() * count)
    second = int(random() * (count - 1))
    if second >= first:
        second += 1
    a, b = candidates[first], candidates[second]
    return a if a.in_flight * b.capacity <= b.in_flight * a.capacity else b


def pick_tunnel(tunnels: Sequence[Tunnel]) -> Tunnel | None:
    """Return the tunnel with the fewest requests in flight among those with a free stream."""
    best: Tunnel | None = None
    for tunnel in tunnels:
        if (best is None or tunnel.in_flight < best.in_flight) and tunnel.free_streams > 0:
            best = tunnel
    return best

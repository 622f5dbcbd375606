"""What happens to tunnels and instances, found out by comparing what a data plane says with what it said before.

A data plane tells states, not events: what comes and goes between two of its words is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edge.port import InstanceState, TunnelState

__all__ = ["AgentView", "Happening", "happenings"]


@dataclass(frozen=True, slots=True)
class AgentView:
    """What is known of one agent."""

    instances: tuple[InstanceState, ...] = ()
    tunnels: tuple[TunnelState, ...] = ()


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that has happened."""

    kind: str
    """`tunnel_opened`, `tunnel_closed`, or `instance_` and one of `up`, `down`, `health`, `drained`, `resumed`,
    `reconnecting`, `reconnected`, `ejected`, `returned`."""
    data: dict[str, object] = field(default_factory=dict)


NOTHING = AgentView()


def happenings(before: AgentView | None, after: AgentView | None) -> Iterator[Happening]:
    """Yield what has happened to an agent; None is one that is not there."""
    old, new = before or NOTHING, after or NOTHING
    yield from _of_tunnels("tunnel_opened", new, _missing_in(old.tunnels, new.tunnels))
    known = {one.service: one for one in old.instances}
    for now in new.instances:
        yield from _of_instance(known.pop(now.service, None), now)
    for gone in known.values():
        if gone.healthy:
            yield _instance("instance_down", gone, healthy=0)
    yield from _of_tunnels("tunnel_closed", old, _missing_in(new.tunnels, old.tunnels))


def _missing_in(known: Iterable[TunnelState], tunnels: Iterable[TunnelState]) -> Iterator[TunnelState]:
    ids = {one.tunnel_id for one in known}
    return (one for one in tunnels if one.tunnel_id not in ids)


def _of_tunnels(kind: str, agent: AgentView, tunnels: Iterable[TunnelState]) -> Iterator[Happening]:
    for one in tunnels:
        yield Happening(
            kind,
            {
                "tunnel": one.tunnel_id,
                "agent": one.agent_id,
                "address": one.address,
                "services": sorted(instance.service for instance in agent.instances),
            },
        )


def _of_instance(before: InstanceState | None, now: InstanceState) -> Iterator[Happening]:
    was, healthy = before.healthy if before is not None else 0, now.healthy
    if bool(was) != bool(healthy):
        yield _instance("instance_up" if healthy else "instance_down", now, healthy=healthy)
    elif before is not None and (was, before.total) != (healthy, now.total):
        yield _instance("instance_health", now, healthy=healthy)
    if before is None:
        return
    if before.drained != now.drained:
        yield _instance("instance_drained" if now.drained else "instance_resumed", now, healthy=healthy)
    if before.reconnecting != now.reconnecting and was and healthy:
        kind = "instance_reconnecting" if now.reconnecting else "instance_reconnected"
        yield _instance(kind, now, healthy=healthy)
    if before.ejected != now.ejected and healthy:
        yield _instance("instance_ejected" if now.ejected else "instance_returned", now, healthy=healthy)


def _instance(kind: str, one: InstanceState, *, healthy: int) -> Happening:
    return Happening(
        kind,
        {
            "instance": one.instance_id,
            "service": one.service,
            "agent": one.agent_id,
            "zone": one.zone,
            "healthy": healthy,
            "total": one.total,
        },
    )

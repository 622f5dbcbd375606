"""How instances are summed up as services."""

from __future__ import annotations

from collections.abc import Iterable

from app.management.context import Management
from app.resources.instances.schemas import draining_of, is_healthy
from edge.port import InstanceState

from .schemas import Service, ZoneCount

__all__ = ["by_service", "shown"]


def by_service(instances: Iterable[InstanceState]) -> dict[str, list[InstanceState]]:
    """Return the instances of each service."""
    found: dict[str, list[InstanceState]] = {}
    for one in instances:
        found.setdefault(one.service, []).append(one)
    return found


async def shown(management: Management, services: dict[str, list[InstanceState]]) -> list[Service]:
    """Return services as the API shows them. Raises Unavailable."""
    if not services:
        return []
    load = await management.planes.load(services=services)
    requests = _requests(management, services.keys())
    return [
        Service(
            name=name,
            host=f"{name}.{management.domain}" if any(one.publish for one in instances) else None,
            instances=len(instances),
            healthy=sum(1 for one in instances if is_healthy(one)),
            reconnecting=sum(1 for one in instances if one.reconnecting),
            draining=sum(1 for one in instances if draining_of(one) is not None),
            capacity=sum(one.capacity for one in instances),
            in_flight=load.services.get(name, 0),
            requests=requests[name],
            requests_per_second=management.state.rates.of(name),
            zones=_zones(instances),
        )
        for name, instances in services.items()
    ]


def _requests(management: Management, names: Iterable[str]) -> dict[str, int]:
    totals = dict.fromkeys(names, 0)
    counters = management.state.counters
    for one in counters.requests if counters is not None else ():
        if one.service in totals:
            totals[one.service] += one.count
    return totals


def _zones(instances: Iterable[InstanceState]) -> dict[str, ZoneCount]:
    zones: dict[str, ZoneCount] = {}
    for one in instances:
        zone = zones.setdefault(one.zone, ZoneCount(instances=0, healthy=0))
        zone.instances += 1
        zone.healthy += is_healthy(one)
    return dict(sorted(zones.items()))

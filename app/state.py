"""What the control process knows of its data planes: the last thing each said, added up over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from edge.port import (
    Counters,
    InstanceState,
    PlaneReady,
    PortMessage,
    RegistryChange,
    RegistryState,
    RequestCount,
)

__all__ = ["EdgeState"]


class EdgeState:
    """The whole edge as last reported; fed with notices from the port."""

    def __init__(self) -> None:
        self.ready: PlaneReady | None = None
        self.tunnels = 0
        self.counters: Counters | None = None
        """The last totals, with every series of requests."""
        self.draining = False
        self.listening = asyncio.Event()
        """Set once the data plane has accepted connections."""
        self.plane_gone = asyncio.Event()
        """Set while there is no data plane."""
        self.plane_gone.set()
        self._agents: dict[str, tuple[InstanceState, ...]] = {}

    @property
    def instances(self) -> tuple[InstanceState, ...]:
        """Every instance connected to this edge."""
        return tuple(instance for instances in self._agents.values() for instance in instances)

    @property
    def serving(self) -> bool:
        """Whether new requests are welcome."""
        return self.ready is not None and not self.draining

    def on_notice(self, notice: PortMessage) -> None:
        """Take a message from the data plane."""
        if isinstance(notice, PlaneReady):
            self.ready = notice
            self.plane_gone.clear()
            self.listening.set()
        elif isinstance(notice, RegistryState):
            self.tunnels = notice.tunnels
            self._agents = _by_agent(notice.instances)
        elif isinstance(notice, RegistryChange):
            self.tunnels = notice.tunnels
            for agent_id in notice.agents:
                self._agents.pop(agent_id, None)
            self._agents |= _by_agent(notice.instances)
        elif isinstance(notice, Counters):
            self.counters = _with_all_series(notice, self.counters)

    def on_plane_gone(self) -> None:
        """There is no data plane any more; one that comes begins to count anew."""
        self.ready = None
        self.tunnels = 0
        self.counters = None
        self._agents.clear()
        self.plane_gone.set()


def _by_agent(instances: Iterable[InstanceState]) -> dict[str, tuple[InstanceState, ...]]:
    agents: dict[str, tuple[InstanceState, ...]] = {}
    for instance in instances:
        agents[instance.agent_id] = (*agents.get(instance.agent_id, ()), instance)
    return agents


def _with_all_series(counters: Counters, before: Counters | None) -> Counters:
    """Return totals with the series that have not changed since the ones before."""
    if before is None:
        return counters
    series: dict[tuple[str, str], RequestCount] = {
        (one.service, one.status_class): one for one in (*before.requests, *counters.requests)
    }
    return counters.model_copy(update={"requests": tuple(series.values())})

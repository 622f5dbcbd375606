"""What the control process knows of its data planes: the last thing each said, added up over all of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from edge.port import (
    Counters,
    InstanceState,
    PlaneReady,
    PortMessage,
    RegistryChange,
    RegistryState,
    RequestCount,
    TunnelState,
)

from .happenings import AgentView, Happening, happenings
from .rates import Rates

__all__ = ["EdgeState"]

State = TypeVar("State", InstanceState, TunnelState)


class EdgeState:
    """The whole edge as last reported; fed with notices from the port."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.ready: PlaneReady | None = None
        self.tunnels = 0
        self.counters: Counters | None = None
        """The last totals, with every series of requests."""
        self.rates = Rates()
        self.draining = False
        self.listening = asyncio.Event()
        """Set once the data plane has accepted connections."""
        self.plane_gone = asyncio.Event()
        """Set while there is no data plane."""
        self.plane_gone.set()
        self.on_happening: Callable[[Happening], None] | None = None
        """Hears what happens to tunnels and instances; None: nobody wants to know."""
        self._clock = clock
        self._agents: dict[str, AgentView] = {}

    @property
    def instances(self) -> tuple[InstanceState, ...]:
        """Every instance connected to this edge."""
        return tuple(instance for agent in self._agents.values() for instance in agent.instances)

    @property
    def standing(self) -> tuple[TunnelState, ...]:
        """Every tunnel of an agent."""
        return tuple(tunnel for agent in self._agents.values() for tunnel in agent.tunnels)

    def agent(self, agent_id: str) -> AgentView | None:
        """Return what is known of an agent, or None if it is not connected."""
        return self._agents.get(agent_id)

    @property
    def agents(self) -> int:
        """How many agents are connected."""
        return len(self._agents)

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
            self._tell(Happening("data_plane_up"))
        elif isinstance(notice, RegistryState):
            self.tunnels = notice.tunnels
            self._agents = _by_agent(notice)
        elif isinstance(notice, RegistryChange):
            self._change(notice)
        elif isinstance(notice, Counters):
            self.counters = _with_all_series(notice, self.counters)
            totals = Counter[str]()
            for one in self.counters.requests:
                totals[one.service] += one.count
            self.rates.add(totals, self._clock())

    def on_plane_gone(self) -> None:
        """There is no data plane any more; one that comes begins to count anew."""
        self.ready = None
        self.tunnels = 0
        self.counters = None
        self.rates.clear()
        self._agents.clear()
        self.plane_gone.set()
        self._tell(Happening("data_plane_down"))

    def _change(self, change: RegistryChange) -> None:
        self.tunnels = change.tunnels
        now = _by_agent(change)
        for agent_id in change.agents:
            before = self._agents.pop(agent_id, None)
            if self.on_happening is not None:
                for happening in happenings(before, now.get(agent_id)):
                    self._tell(happening)
        self._agents |= now

    def _tell(self, happening: Happening) -> None:
        if self.on_happening is not None:
            self.on_happening(happening)


def _by_agent(told: RegistryState | RegistryChange) -> dict[str, AgentView]:
    instances, tunnels = _grouped(told.instances), _grouped(told.standing)
    return {
        agent_id: AgentView(tuple(instances.get(agent_id, ())), tuple(tunnels.get(agent_id, ())))
        for agent_id in instances.keys() | tunnels.keys()
    }


def _grouped(states: Iterable[State]) -> dict[str, list[State]]:
    found: dict[str, list[State]] = {}
    for one in states:
        found.setdefault(one.agent_id, []).append(one)
    return found


def _with_all_series(counters: Counters, before: Counters | None) -> Counters:
    """Return totals with the series that have not changed since the ones before."""
    if before is None:
        return counters
    series: dict[tuple[str, str], RequestCount] = {
        (one.service, one.status_class): one for one in (*before.requests, *counters.requests)
    }
    return counters.model_copy(update={"requests": tuple(series.values())})

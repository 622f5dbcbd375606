"""What a data plane tells the control process of itself: states, not events.

So one that comes late, or is slow, knows as much as any other: all of the registry once, then the agents that
something has changed about, as they are when there is room to say it. A great many agents are told in parts, between
which traffic has its turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from .gateway import EdgeGateway
from .ingress import Ingress
from .port import (
    AskLoad,
    Counters,
    InstanceState,
    Load,
    RegistryChange,
    RegistryState,
    RequestCount,
    TunnelState,
)
from .registry import Agent, Registry, Tunnel
from .seam import Port
from .tunnels import TunnelListener

__all__ = ["Reports"]

AGENTS_PER_REPORT = 200
"""About a millisecond of the data plane's time."""


class Reports:
    """Has reports made and sent."""

    def __init__(
        self,
        port: Port,
        *,
        registry: Registry,
        gateway: EdgeGateway,
        ingress: Ingress,
        tunnels: TunnelListener,
    ) -> None:
        self._port = port
        self._registry = registry
        self._gateway = gateway
        self._ingress = ingress
        self._tunnels = tunnels
        self._registry_is_unknown = True
        """Whether the control process has to be told of the whole registry."""
        self._told: dict[tuple[str, int], int] | None = None
        """Requests as the control process knows them; None: not at all."""

    def begin(self) -> None:
        """Tell a control process that may know nothing."""
        self._registry_is_unknown = True
        self._told = None
        self.registry_changed()
        self.count()

    def registry_changed(self) -> None:
        """Tell of the registry as it is now."""
        self._port.post(self._registry_report)

    def count(self) -> None:
        """Tell of the counters as they are now."""
        self._port.post(self._counters_report)

    def load(self, asked: AskLoad) -> Load:
        """Answer what is in flight just now."""
        registry = self._registry
        agents = [registry.agents[one] for one in asked.agents if one in registry.agents]
        return Load(
            id=asked.id,
            instances={
                instance.instance_id: instance.in_flight
                for agent in agents
                for instance in agent.instances.values()
                if instance.in_flight
            },
            tunnels={
                tunnel.tunnel_id: tunnel.in_flight
                for agent in agents
                for tunnel in _tunnels(agent)
                if tunnel.in_flight
            },
            services={
                name: sum(instance.in_flight for instance in registry.services[name].instances)
                for name in asked.services
                if name in registry.services
            },
        )

    # -- inside ------------------------------------------------------------------------------------------------------

    def _registry_report(self) -> RegistryState | RegistryChange:
        registry = self._registry
        tunnels = len(self._tunnels.tunnels)
        whole = self._registry_is_unknown
        if whole:
            self._registry_is_unknown = False
            registry.changed = set(registry.agents)
        told = tuple(islice(registry.changed, AGENTS_PER_REPORT))
        registry.changed.difference_update(told)
        if registry.changed:
            self._port.post(self._registry_report)
        agents = [registry.agents[agent_id] for agent_id in told if agent_id in registry.agents]
        instances, standing = tuple(_instance_states(agents)), tuple(_tunnel_states(agents))
        if whole:
            return RegistryState(instances=instances, standing=standing, tunnels=tunnels)
        return RegistryChange(agents=told, instances=instances, standing=standing, tunnels=tunnels)

    def _counters_report(self) -> Counters:
        counters = self._gateway.counters
        told = self._told or {}
        requests = tuple(
            RequestCount(service=service, status_class=f"{hundreds}xx", count=count)
            for (service, hundreds), count in counters.requests.items()
            if told.get((service, hundreds)) != count
        )
        self._told = dict(counters.requests)
        return Counters(
            requests=requests,
            duration_buckets=tuple(counters.duration_buckets),
            duration_sum=counters.duration_sum,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            retries=counters.retries,
            in_flight=self._gateway.in_flight,
            waiting=self._gateway.room.size,
            public_connections=self._ingress.connections,
            tunnels_opened=self._tunnels.opened,
            registrations_refused=self._tunnels.refused,
        )


def _instance_states(agents: Iterable[Agent]) -> Iterator[InstanceState]:
    for agent in agents:
        for instance in agent.instances.values():
            yield InstanceState(
                service=instance.service,
                agent_id=agent.agent_id,
                zone=agent.zone,
                labels=instance.labels,
                healthy=instance.healthy,
                total=instance.total,
                since=instance.since,
                capacity=instance.capacity,
                drained=instance.drained,
                in_flight=instance.in_flight,
                tunnels=len(agent.tunnels),
                reconnecting=agent.reconnecting,
                ejected=instance.ejected,
                publish=instance.publish,
                address=agent.peer,
                version=agent.version,
                token_id=agent.token_id,
                connected=agent.connected,
            )


def _tunnel_states(agents: Iterable[Agent]) -> Iterator[TunnelState]:
    for agent in agents:
        for tunnel in _tunnels(agent):
            yield TunnelState(
                tunnel_id=tunnel.tunnel_id,
                agent_id=agent.agent_id,
                address=tunnel.peer,
                opened=tunnel.opened,
                draining=tunnel in agent.draining,
            )


def _tunnels(agent: Agent) -> tuple[Tunnel, ...]:
    return *agent.tunnels, *agent.draining

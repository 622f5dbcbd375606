"""Who is connected: agents, their tunnels, and the instances they make up.

A plain state machine without I/O. Connecting is registering: a tunnel that comes up adds its agent, its first Report
makes the agent's services routable, and when the last tunnel goes the instances go with it. An *instance* is one
(agent, service) pair however many tunnels the agent has; a *tunnel* is whatever object the caller uses to reach the
agent, as long as it can say how many streams it has free (`Tunnel`).

Agents of one id are told apart by their generation: a newer one takes over at once and the tunnels of the older are
handed back to be closed; an older one is refused.

The lists that the hot path picks from (`Service.local`, `Service.all`) change when an instance becomes routable or
stops being so, not per request and not per Report: ten thousand agents report all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from h2s.connection import Connection
from h2s.messages import Report

from .balance import pick

__all__ = [
    "Agent",
    "Change",
    "Conflict",
    "Instance",
    "Listener",
    "Offer",
    "Registry",
    "Service",
    "Superseded",
    "Tunnel",
]


class Tunnel(Protocol):
    """A connection to an agent, as far as the registry, the balancer and an exchange care."""

    tunnel_id: str
    peer: str
    """The address that it was dialled from."""
    opened: float
    """When it was (Unix time)."""
    connection: Connection
    in_flight: int

    @property
    def free_streams(self) -> int:
        """How many more requests it takes now; 0 when it is draining."""

    def release(self) -> None:
        """A request that was counted in `in_flight` is over."""


class Listener(Protocol):
    """Follows which instances are routable."""

    def on_listed(self, instance: Instance) -> None:
        """It takes requests from now on."""

    def on_unlisted(self, instance: Instance) -> None:
        """It takes no requests any more."""


class Superseded(Exception):
    """An agent of this id and a newer generation is connected."""


class Conflict(Exception):
    """Another tunnel of this very agent process was let in with other rights."""


@dataclass(slots=True, eq=False)
class Instance:
    """One (agent, service) pair."""

    agent: Agent
    service: str
    labels: dict[str, str]
    publish: bool
    capacity: int
    """Requests at once that it is taken to handle; the weight in balancing."""
    healthy: int = 0
    """Upstreams that are healthy; 0 until the first Report."""
    total: int = 0
    in_flight: int = 0
    since: float = 0.0
    """When its health last changed (Unix time)."""
    drained: bool = False
    """Whether an operator wants it to get no new requests."""
    listed: bool = False
    """Whether it is in its service's lists of routable instances."""

    @property
    def instance_id(self) -> str:
        """Its name: no service has a dot in its own."""
        return f"{self.service}.{self.agent.agent_id}"

    @property
    def routable(self) -> bool:
        """Whether requests may be sent to it."""
        return self.healthy > 0 and not self.drained and bool(self.agent.tunnels)


@dataclass(slots=True, eq=False)
class Agent:
    """One agent process and its tunnels to this edge."""

    agent_id: str
    generation: int
    version: str
    zone: str
    peer: str
    token_id: str
    """The join token it came with; no other one may take its id over while it is connected."""
    connected: float = 0.0
    """When its first tunnel came (Unix time)."""
    tunnels: list[Tunnel] = field(default_factory=list)
    """Those that take requests."""
    draining: list[Tunnel] = field(default_factory=list)
    """Those that finish what they have."""
    instances: dict[str, Instance] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Service:
    """The instances of one name, and the lists a request picks from; an `edge.routing.Destination`."""

    name: str
    instances: list[Instance] = field(default_factory=list)
    all: list[Instance] = field(default_factory=list)
    """Routable ones."""
    local: list[Instance] = field(default_factory=list)
    """Routable ones in the edge's own zone."""

    published: bool = False
    """Whether discovery makes it reachable from outside."""

    @property
    def service_name(self) -> str:
        """What its requests are counted under."""
        return self.name

    def pick(
        self, *, tried: Container[Instance], random: Callable[[], float]
    ) -> tuple[Instance, Tunnel] | None:
        """Return an instance not tried before and a tunnel to it, or None."""
        return pick(self, tried=tried, random=random)

    def __str__(self) -> str:
        return f"service {self.name!r}"


@dataclass(frozen=True, slots=True)
class Change:
    """Something an operator wants to know: `kind` is instance_up, instance_down or instance_health."""

    kind: str
    service: str
    agent_id: str
    zone: str
    healthy: int
    total: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A service as the edge lets an agent serve it."""

    service: str
    labels: dict[str, str]
    publish: bool
    capacity: int | None
    token_id: str
    """The join token that grants it."""

    def grants(self, instance: Instance | None) -> bool:
        """Whether this gives the rights that `instance` has."""
        return instance is not None and (instance.labels, instance.publish) == (self.labels, self.publish)


DEFAULT_CAPACITY = 100
"""Weight of an instance that names no capacity."""
MAX_DEPARTED = 1000
"""Services without instances that are remembered."""


class Registry:
    """All agents of one data plane."""

    def __init__(self, *, zone: str = "") -> None:
        """Start empty; `zone` is the edge's own, preferred in balancing."""
        self.zone = zone
        self.agents: dict[str, Agent] = {}
        self.services: dict[str, Service] = {}
        self.departed: dict[str, Service] = {}
        """Published services whose last instance has gone: their hosts answer 503, not 404. Oldest first."""
        self.published: list[Service] = []
        """Services with instances that discovery may route to."""
        self.listeners: list[Listener] = []
        self.drained: frozenset[str] = frozenset()
        """Ids of the instances that are to get no new requests, connected or not."""
        self.changed: set[str] = set()
        """Ids of the agents that something has changed about; whoever has told of them takes them out."""

    def check(self, agent_id: str, generation: int, offers: list[Offer]) -> None:
        """Say whether a tunnel of this agent may come.

        Raises Superseded when a newer generation is connected. Raises Conflict when the id is held with another token,
        whatever the generation, or this generation has other rights: a credential for one service must neither push
        out the agent of another nor get its requests.
        """
        known = self.agents.get(agent_id)
        if known is None:
            return
        if any(offer.token_id != known.token_id for offer in offers):
            raise Conflict(f"agent {agent_id!r} is connected with another join token")
        if known.generation < generation:
            return
        if known.generation > generation:
            raise Superseded(f"a newer process of agent {agent_id!r} is connected")
        if len(offers) != len(known.instances) or not all(
            offer.grants(known.instances.get(offer.service)) for offer in offers
        ):
            raise Conflict(f"agent {agent_id!r} is connected with other services or labels")

    def add_tunnel(self, agent: Agent, offers: list[Offer], tunnel: Tunnel) -> tuple[Agent, list[Tunnel]]:
        """Take a new tunnel in.

        Returns the agent it belongs to (the one known already, if it is) and the tunnels of an older generation,
        which get no more requests and are to be closed. Raises Superseded or Conflict.
        """
        self.check(agent.agent_id, agent.generation, offers)
        known = self.agents.get(agent.agent_id)
        outdated: list[Tunnel] = []
        if known is not None and known.generation < agent.generation:
            outdated = [*known.tunnels, *known.draining]
            known.tunnels.clear()
            known.draining.clear()
            self._remove_agent(known)
            known = None
        if known is None:
            known = self.agents[agent.agent_id] = agent
            for offer in offers:
                self._add_instance(agent, offer)
        known.tunnels.append(tunnel)
        self.changed.add(known.agent_id)
        self._list_instances(known)
        return known, outdated

    def report(self, agent: Agent, report: Report, now: float) -> list[Change]:
        """Apply what an agent says of its services; those it may not serve are ignored, and so is one superseded."""
        changes: list[Change] = []
        if self.agents.get(agent.agent_id) is not agent:
            return changes
        for item in report.instances:
            instance = agent.instances.get(item.service)
            if instance is None:
                continue
            instance.capacity = item.capacity or instance.capacity
            if (instance.healthy, instance.total) != (item.healthy, item.total):
                was_up = instance.healthy > 0
                instance.healthy, instance.total, instance.since = item.healthy, item.total, now
                changes.append(_change(instance, was_up))
        if changes:
            self.changed.add(agent.agent_id)
            self._list_instances(agent)
        return changes

    def drain_tunnel(self, agent: Agent, tunnel: Tunnel) -> None:
        """Send the tunnel nothing new."""
        if tunnel in agent.tunnels:
            agent.tunnels.remove(tunnel)
            agent.draining.append(tunnel)
            self.changed.add(agent.agent_id)
            self._list_instances(agent)

    def remove_tunnel(self, agent: Agent, tunnel: Tunnel) -> list[Change]:
        """Forget a tunnel that is gone; with the last one the agent's instances go."""
        for tunnels in (agent.tunnels, agent.draining):
            if tunnel in tunnels:
                tunnels.remove(tunnel)
        if self.agents.get(agent.agent_id) is not agent:
            return []
        self.changed.add(agent.agent_id)
        if agent.tunnels or agent.draining:
            self._list_instances(agent)
            return []
        return self._remove_agent(agent)

    def drain(self, instance_ids: Iterable[str]) -> bool:
        """Send these instances nothing new, and no others; say whether any of them is connected that was not so."""
        before, self.drained = self.drained, frozenset(instance_ids)
        found = False
        for instance_id in before ^ self.drained:
            service, _, agent_id = instance_id.partition(".")
            agent = self.agents.get(agent_id)
            instance = agent.instances.get(service) if agent is not None else None
            if agent is not None and instance is not None:
                instance.drained = instance_id in self.drained
                self.changed.add(agent_id)
                self._list_instances(agent)
                found = True
        return found

    # -- inside ----------------------------------------------------------------------------------------------------

    def _add_instance(self, agent: Agent, offer: Offer) -> None:
        instance = Instance(
            agent=agent,
            service=offer.service,
            labels=offer.labels,
            publish=offer.publish,
            capacity=offer.capacity or DEFAULT_CAPACITY,
            since=agent.connected,
        )
        instance.drained = instance.instance_id in self.drained
        agent.instances[offer.service] = instance
        service = self.services.get(offer.service)
        if service is None:
            self.departed.pop(offer.service, None)
            service = self.services[offer.service] = Service(offer.service)
        service.instances.append(instance)
        self._set_published(service)

    def _remove_agent(self, agent: Agent) -> list[Change]:
        del self.agents[agent.agent_id]
        changes = []
        for instance in agent.instances.values():
            if instance.healthy:
                instance.healthy = 0
                changes.append(_change(instance, True))
        self._list_instances(agent)
        for name, instance in agent.instances.items():
            service = self.services[name]
            service.instances.remove(instance)
            if service.instances:
                self._set_published(service)
            else:
                self._depart(service)
        return changes

    def _list_instances(self, agent: Agent) -> None:
        """Put the agent's instances into the lists of routable ones, or take them out."""
        for instance in agent.instances.values():
            routable = instance.routable
            if routable is instance.listed:
                continue
            instance.listed = routable
            service = self.services[instance.service]
            for instances in (service.all, service.local) if agent.zone == self.zone else (service.all,):
                if routable:
                    instances.append(instance)
                else:
                    instances.remove(instance)
            for listener in self.listeners:
                if routable:
                    listener.on_listed(instance)
                else:
                    listener.on_unlisted(instance)

    def _set_published(self, service: Service) -> None:
        published = any(instance.publish for instance in service.instances)
        if published is not service.published:
            service.published = published
            if published:
                self.published.append(service)
            else:
                self.published.remove(service)

    def _depart(self, service: Service) -> None:
        del self.services[service.name]
        if service.published:
            self.published.remove(service)
            self.departed[service.name] = service
            if len(self.departed) > MAX_DEPARTED:
                del self.departed[next(iter(self.departed))]


def _change(instance: Instance, was_up: bool) -> Change:
    is_up = instance.healthy > 0
    kind = "instance_health" if was_up == is_up else "instance_up" if is_up else "instance_down"
    return Change(
        kind=kind,
        service=instance.service,
        agent_id=instance.agent.agent_id,
        zone=instance.agent.zone,
        healthy=instance.healthy,
        total=instance.total,
    )

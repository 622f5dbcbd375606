"""Who is connected: agents, their tunnels, and the instances they make up.

A plain state machine without I/O. Connecting is registering: a tunnel that comes up adds its agent, its first Report
makes the agent's services routable, and when the last tunnel goes the instances go with it. An *instance* is one
(agent, service) pair however many tunnels the agent has; a *tunnel* is whatever object the caller uses to reach the
agent, as long as it can say how many streams it has free (`Tunnel`).

Agents of one id are told apart by their generation: a newer one takes over at once and the tunnels of the older are
handed back to be closed; an older one is refused. One whose last tunnel breaks is kept for a moment, as reconnecting
(`edge.absences`), and an id that processes take from each other stays where it is (`edge.rivals`).

The lists that the hot path picks from (`Service.local`, `Service.all`) change when an instance becomes routable or
stops being so, not per request and not per Report: ten thousand agents report all the time. An instance is *able* when
requests could be sent to it at all, and *fit* when it is healthy besides. Those that are fit and not ejected
(`edge.outliers`) are in the lists; in a panic all that are able.

What has to be done at some time (`due`) is done by `tend`; `tell` hears of changes that come about by themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from h2s.messages import Report

from .absences import Absences
from .balancing import Balancing
from .instance import Agent, Instance, Service, Tunnel
from .outliers import Outliers
from .rivals import Rivals
from .warmup import Warmup

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


class Listener(Protocol):
    """Follows which instances are routable."""

    def on_listed(self, instance: Instance) -> None:
        """It takes requests from now on."""

    def on_unlisted(self, instance: Instance) -> None:
        """It takes no requests any more."""

    def on_room(self, instance: Instance) -> None:
        """It takes more requests at once than before."""


class Superseded(Exception):
    """An agent of this id and a newer generation is connected."""


class Conflict(Exception):
    """Another tunnel of this very agent process was let in with other rights, or the id is contested."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something an operator wants to know of an instance, or, with an empty `service`, of an agent."""

    kind: str
    """`instance_` and one of `up`, `down`, `health`, `reconnecting`, `reconnected`, `ejected`, `returned`; or
    `agent_contested`."""
    service: str
    agent_id: str
    zone: str
    healthy: int
    total: int
    detail: str = ""


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
UNLIMITED = 1 << 60
"""Requests at once for an instance that names no capacity."""
MAX_DEPARTED = 1000
"""Services without instances that are remembered."""


class Registry:
    """All agents of one data plane."""

    def __init__(
        self,
        *,
        zone: str = "",
        balancing: Balancing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty; `zone` is the edge's own, preferred in balancing."""
        self.zone = zone
        self.clock = clock
        balancing = balancing or Balancing(slow_start=0, eject_after=0, reconnect_grace=0)
        self._panic_threshold = balancing.panic_threshold
        self._outliers = Outliers(after=balancing.eject_after, seconds=balancing.eject_time)
        self._warmup = Warmup(balancing.slow_start)
        self._absences = Absences(balancing.reconnect_grace)
        self._rivals = Rivals()
        self.tell: Callable[[tuple[Change, ...]], None] = lambda changes: None
        self.on_due: Callable[[], None] = lambda: None
        """Hears that `due` may be earlier than before."""
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
        out the agent of another nor get its requests. Raises Conflict, too, when two processes fight for the id.
        """
        known = self.agents.get(agent_id)
        if known is None or not (known.tunnels or known.draining):
            return
        if any(offer.token_id != known.token_id for offer in offers):
            raise Conflict(f"agent {agent_id!r} is connected with another join token")
        if known.generation < generation:
            if known.tunnels and self._rivals.contested(agent_id, self.clock()):
                raise Conflict(
                    f"two processes take the agent id {agent_id!r} from each other: give each its own"
                )
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
        if known is not None and not self._is_the_same(known, agent, offers):
            outdated = [*known.tunnels, *known.draining]
            if known.tunnels and self._rivals.took_over(agent.agent_id, self.clock()):
                self._tell_of_rivals(known, agent)
            known.tunnels.clear()
            known.draining.clear()
            self._remove_agent(known)
            known = None
        if known is None:
            known = self.agents[agent.agent_id] = agent
            for offer in offers:
                self._add_instance(agent, offer)
        if known.reconnecting:
            known.peer = agent.peer
        known.tunnels.append(tunnel)
        self.changed.add(known.agent_id)
        self._list_instances(known)
        for instance in known.instances.values():
            if instance.listed:
                self._make_room(instance)
        return known, outdated

    def report(self, agent: Agent, report: Report, now: float) -> list[Change]:
        """Apply what an agent says of its services; those it may not serve are ignored, and so is one superseded."""
        changes: list[Change] = []
        if self.agents.get(agent.agent_id) is not agent:
            return changes
        if agent.reconnecting:
            self._absences.end(agent)
            agent.reconnecting = False
            changes += [
                _change("instance_reconnected", one) for one in agent.instances.values() if one.healthy
            ]
        for item in report.instances:
            instance = agent.instances.get(item.service)
            if instance is None:
                continue
            if item.capacity and item.capacity != instance.limit:
                self.changed.add(agent.agent_id)
                if instance.announce(item.capacity):
                    self._make_room(instance)
            if (instance.healthy, instance.total) != (item.healthy, item.total):
                was_up = instance.healthy > 0
                instance.healthy, instance.total, instance.since = item.healthy, item.total, now
                changes.append(_change(_kind(was_up, instance), instance))
        if changes:
            self.changed.add(agent.agent_id)
            self._list_instances(agent)
        return changes

    def failed(self, instance: Instance) -> None:
        """A request to an instance has ended with an error of a gateway, which may get it ejected."""
        service = self.services.get(instance.service)
        if service is None or not self._outliers.fails(instance, service, self.clock()):
            return
        self.changed.add(instance.agent.agent_id)
        self._list(instance, service)
        self.tell((_change("instance_ejected", instance),))
        self.on_due()

    @property
    def due(self) -> float | None:
        """When `tend` has something to do, by the clock; None: not as far as is known."""
        times = (self._absences.due, self._outliers.due, self._warmup.due)
        return min((one for one in times if one is not None), default=None)

    def tend(self) -> None:
        """Do what is due."""
        now = self.clock()
        self._warmup.advance(now)
        changes: list[Change] = []
        for instance in self._outliers.returning(now):
            changes.append(self._end_ejection(instance))
            self._list_instances(instance.agent)
        for agent in self._absences.over(now):
            agent.reconnecting = False
            self.changed.add(agent.agent_id)
            if agent.tunnels or agent.draining:
                changes += self._mark_down(agent)
                self._list_instances(agent)
            else:
                changes += self._remove_agent(agent)
        if changes:
            self.tell(tuple(changes))

    def drain_tunnel(self, agent: Agent, tunnel: Tunnel) -> None:
        """Send the tunnel nothing new."""
        if tunnel in agent.tunnels:
            agent.tunnels.remove(tunnel)
            agent.draining.append(tunnel)
            self.changed.add(agent.agent_id)
            self._list_instances(agent)

    def remove_tunnel(self, agent: Agent, tunnel: Tunnel) -> list[Change]:
        """Forget a tunnel that is gone; with the last one the agent's instances go, unless it broke: then they wait."""
        broke = tunnel in agent.tunnels
        for tunnels in (agent.tunnels, agent.draining):
            if tunnel in tunnels:
                tunnels.remove(tunnel)
        if self.agents.get(agent.agent_id) is not agent:
            return []
        self.changed.add(agent.agent_id)
        if agent.tunnels or agent.draining:
            self._list_instances(agent)
            return []
        if not broke or not self._absences.grace:
            return self._remove_agent(agent)
        changes: list[Change] = []
        if not agent.reconnecting:
            agent.reconnecting = True
            changes = [
                _change("instance_reconnecting", one) for one in agent.instances.values() if one.healthy
            ]
        self._absences.begin(agent, self.clock())
        self._list_instances(agent)
        self.on_due()
        return changes

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
            limit=offer.capacity or UNLIMITED,
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

    def _is_the_same(self, known: Agent, agent: Agent, offers: list[Offer]) -> bool:
        """Whether a tunnel that may come belongs to the agent that is known."""
        if known.tunnels or known.draining:
            return known.generation == agent.generation
        return (
            (known.generation, known.token_id) == (agent.generation, agent.token_id)
            and len(offers) == len(known.instances)
            and all(offer.grants(known.instances.get(offer.service)) for offer in offers)
        )

    def _tell_of_rivals(self, known: Agent, agent: Agent) -> None:
        peers = ", ".join(dict.fromkeys((known.peer, agent.peer)))
        self.tell((Change("agent_contested", "", agent.agent_id, agent.zone, 0, 0, detail=peers),))

    def _mark_down(self, agent: Agent) -> list[Change]:
        changes = []
        for instance in agent.instances.values():
            if instance.healthy:
                instance.healthy = 0
                changes.append(_change("instance_down", instance))
        return changes

    def _remove_agent(self, agent: Agent) -> list[Change]:
        del self.agents[agent.agent_id]
        self._absences.end(agent)
        changes = self._mark_down(agent)
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
            service = self.services[instance.service]
            if self._count(instance, service):
                while (back := self._outliers.surplus(service)) is not None:
                    self.tell((self._end_ejection(back),))
                    self._list(back, service)
            panicking = 100 * (service.fit - service.ejected) < self._panic_threshold * service.able
            if panicking is not service.panicking:
                service.panicking = panicking
                for one in service.instances:
                    self._list(one, service)
            else:
                self._list(instance, service)

    def _count(self, instance: Instance, service: Service) -> bool:
        """Bring the counts of a service up to date with one instance; say whether it is fit no more."""
        agent = instance.agent
        able = bool(agent.tunnels) and not agent.reconnecting and not instance.drained and instance.total > 0
        fit = able and instance.healthy > 0
        was_fit = instance.fit
        service.able += able - instance.able
        service.fit += fit - was_fit
        instance.able, instance.fit = able, fit
        if instance.healthy == 0:
            instance.fresh = True
        if fit or not was_fit:
            return False
        if instance.ejected:
            self._end_ejection(instance)
        return True

    def _end_ejection(self, instance: Instance) -> Change:
        instance.ejected = False
        instance.back = self.clock()
        self.services[instance.service].ejected -= 1
        self.changed.add(instance.agent.agent_id)
        return _change("instance_returned", instance)

    def _list(self, instance: Instance, service: Service) -> None:
        """Put an instance into the lists of routable ones, or take it out."""
        routable = instance.routable or (service.panicking and instance.able)
        if routable is instance.listed:
            return
        instance.listed = routable
        for instances in (service.all, service.local) if instance.agent.zone == self.zone else (service.all,):
            if routable:
                instances.append(instance)
            else:
                instances.remove(instance)
        if routable and instance.fresh:
            instance.fresh = False
            self._warmup.begin(instance, self.clock())
            self.on_due()
        for listener in self.listeners:
            if routable:
                listener.on_listed(instance)
            else:
                listener.on_unlisted(instance)

    def _make_room(self, instance: Instance) -> None:
        for listener in self.listeners:
            listener.on_room(instance)

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


def _kind(was_up: bool, instance: Instance) -> str:
    is_up = instance.healthy > 0
    return "instance_health" if was_up == is_up else "instance_up" if is_up else "instance_down"


def _change(kind: str, instance: Instance) -> Change:
    return Change(
        kind=kind,
        service=instance.service,
        agent_id=instance.agent.agent_id,
        zone=instance.agent.zone,
        healthy=instance.healthy,
        total=instance.total,
    )

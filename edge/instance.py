"""What the registry is made of: agents with their tunnels, and the instances and services that they make up.

Plain data, which the hot path reads and `edge.registry` keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from h2s.connection import Connection

from .balance import pick

__all__ = ["Agent", "Instance", "Service", "Tunnel"]


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


@dataclass(slots=True, eq=False)
class Instance:
    """One (agent, service) pair."""

    agent: Agent
    service: str
    labels: dict[str, str]
    publish: bool
    capacity: int
    """Requests at once that it is taken to handle; the weight in balancing."""
    limit: int
    """Requests at once that it gets at the most: its capacity, if its agent has announced one."""
    healthy: int = 0
    """Upstreams that are healthy; 0 until the first Report."""
    total: int = 0
    in_flight: int = 0
    since: float = 0.0
    """When its health last changed (Unix time)."""
    drained: bool = False
    """Whether an operator wants it to get no new requests."""
    able: bool = False
    """Whether requests could be sent to it at all. This and the next are as the registry has counted it."""
    fit: bool = False
    """Whether it is healthy besides."""
    listed: bool = False
    """Whether it is in its service's lists of routable instances."""
    fresh: bool = True
    """Whether it starts slowly when it is listed: it was not healthy before."""
    warmth: float = 1.0
    """The chance with which it is taken when it is drawn (`edge.warmup`)."""
    failures: int = 0
    """Errors of a gateway in a row."""
    ejected: bool = False
    ejections: int = 0
    """In a row: each makes the next one longer."""
    back: float = -1e9
    """When it is to come, or came, back from an ejection, by the registry's clock."""

    @property
    def instance_id(self) -> str:
        """Its name: no service has a dot in its own."""
        return f"{self.service}.{self.agent.agent_id}"

    @property
    def routable(self) -> bool:
        """Whether requests may be sent to it, unless its service is in panic."""
        return self.fit and not self.ejected

    def announce(self, capacity: int) -> bool:
        """Take its agent's word on how many requests it takes at once; say whether that is more than before."""
        before, self.limit = self.limit, capacity
        self.capacity = capacity
        return capacity > before


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
    reconnecting: bool = False
    """Its last tunnel has broken, and it has not reported since."""


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
    able: int = 0
    """How many instances are so."""
    fit: int = 0
    ejected: int = 0
    panicking: bool = False
    """So few are fit that all that are able are used."""

    @property
    def service_name(self) -> str:
        """What its requests are counted under."""
        return self.name

    def pick(
        self, *, tried: Container[Instance], random: Callable[[], float]
    ) -> tuple[Instance, Tunnel] | None:
        """Return an instance not tried before and a tunnel to it, or None."""
        return pick(self, tried=tried, random=random)

    def holds(self, instance: Instance) -> bool:
        """Whether `instance` is one of those to pick from."""
        return instance.listed and instance.service == self.name

    def has_others(self, tried: Sequence[Instance]) -> bool:
        """Whether there is one to pick from, be it full, that is not among `tried`."""
        return len(self.all) > sum(self.holds(instance) for instance in tried)

    def __str__(self) -> str:
        return f"service {self.name!r}"

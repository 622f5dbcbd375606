"""What is connected now: services, instances, tunnels, edges."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .shared import Model

__all__ = ["Drain", "Edge", "Instance", "InstanceCount", "Service", "SnapshotVersion", "Tunnel", "ZoneCount"]


class ZoneCount(Model):
    """How many instances of a service are in a zone."""

    instances: int
    healthy: int


class Service(Model):
    """All instances of one name that are connected to an edge."""

    name: str
    host: str | None = Field(default=None, description="The host that discovery serves it under.")
    instances: int
    healthy: int
    reconnecting: int = Field(default=0, description="Those that are expected back.")
    draining: int
    capacity: int
    in_flight: int = Field(description="Requests that run now.")
    requests: int = Field(description="Requests that are over.")
    requests_per_second: float = Field(description="The mean of the last ten seconds.")
    zones: dict[str, ZoneCount]


class Instance(Model):
    """One service of one agent, as an edge sees it."""

    id: str = Field(description="`<service>.<agent>`.")
    service: str
    agent: str
    labels: dict[str, str]
    zone: str
    health: str = Field(description="`healthy`, `unhealthy`, `starting` or `reconnecting`.")
    since: datetime = Field(description="When its health last changed.")
    healthy: int = Field(description="Upstreams that take requests.")
    total: int = Field(description="Upstreams.")
    ejected: bool = Field(default=False, description="Whether the edge leaves it out for a while.")
    draining: str | None = Field(
        default=None, description="Who wants it to get no new requests: `operator`, `agent`, nobody."
    )
    in_flight: int
    capacity: int
    tunnels: int
    published: bool
    address: str
    agent_version: str
    token: str
    connected: datetime


class InstanceCount(Model):
    """How many instances have something in common."""

    by: dict[str, str | None] = Field(description="What they have in common; None: no such label.")
    instances: int
    healthy: int
    reconnecting: int = Field(default=0, description="Those that are expected back.")
    draining: int
    capacity: int


class Drain(Model):
    """An instance that an operator wants to get no new requests, connected or not."""

    instance: str
    actor: str
    since: datetime


class Tunnel(Model):
    """One connection from an agent to an edge."""

    id: str
    agent: str
    services: list[str]
    zone: str
    address: str
    agent_version: str
    token: str
    opened: datetime
    draining: bool
    in_flight: int


class SnapshotVersion(Model):
    """A version of the configuration; numbers are comparable within one fleet and epoch."""

    fleet: str
    epoch: int
    n: int


class Edge(Model):
    """An edge and how it is."""

    id: str
    zone: str
    domain: str
    version: str
    engine: str | None = None
    status: str = Field(description="`starting`, `ok` or `draining`.")
    database: str | None = Field(default=None, description="Why its database is not available.")
    started: datetime | None = None
    public: str | None = None
    tunnel: str | None = None
    snapshot: SnapshotVersion | None = Field(
        default=None, description="The version of the configuration that is in force."
    )
    services: int
    instances: int
    healthy: int
    agents: int
    tunnels: int
    in_flight: int
    public_connections: int
    requests: int
    requests_per_second: float

"""Instances as the API shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.management.pages import Page
from edge.port import InstanceState

__all__ = ["Drain", "DrainPage", "Health", "Instance", "InstanceCount", "InstanceCountPage", "InstancePage"]

Health = Literal["starting", "healthy", "unhealthy", "reconnecting"]

_EXAMPLE: dict[str, Any] = {
    "id": "web.host1-4f2a",
    "service": "web",
    "agent": "host1-4f2a",
    "labels": {"release": "v1"},
    "zone": "a",
    "health": "healthy",
    "since": "2031-02-03T04:05:06Z",
    "healthy": 2,
    "total": 2,
    "ejected": False,
    "draining": None,
    "in_flight": 3,
    "capacity": 100,
    "tunnels": 2,
    "published": True,
    "address": "192.0.2.7",
    "agent_version": "0.1.0",
    "token": "token-1f2e3d4c",
    "connected": "2031-02-03T04:05:00Z",
}


class Instance(BaseModel):
    """One service of one agent, as this edge sees it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str = Field(description="`<service>.<agent>`.")
    service: str = Field(description="The name that it serves under.")
    agent: str = Field(description="The id of its agent.")
    labels: dict[str, str] = Field(description="Its own and those of its join token.")
    zone: str = Field(description="Where its agent is.")
    health: Health = Field(
        description="`healthy`: at least one upstream takes requests. `starting`: it has not reported yet. "
        "`reconnecting`: its last tunnel has broken, and it is expected back."
    )
    since: datetime = Field(description="When its health last changed.")
    healthy: int = Field(description="Upstreams that take requests.")
    total: int = Field(description="Upstreams.")
    ejected: bool = Field(
        description="Whether this edge leaves it out for a while, because what it was sent went wrong."
    )
    draining: Literal["operator", "agent"] | None = Field(
        description="Who wants it to get no new requests: an operator, its agent, which stops, or nobody."
    )
    in_flight: int = Field(description="Requests that this edge has sent it and that run now.")
    capacity: int = Field(
        description="Requests at once that it is taken to handle; its weight in balancing, and its limit if it said so."
    )
    tunnels: int = Field(description="Tunnels of its agent that take requests.")
    published: bool = Field(description="Whether discovery makes it reachable as `<service>.<domain>`.")
    address: str = Field(description="Where its agent dialled from.")
    agent_version: str = Field(description="Of its agent's software.")
    token: str = Field(description="The join token that its agent came with.")
    connected: datetime = Field(description="When its agent came.")

    @classmethod
    def of(cls, state: InstanceState, in_flight: int) -> Instance:
        """Return an instance as it is shown."""
        return cls(
            id=state.instance_id,
            service=state.service,
            agent=state.agent_id,
            labels=state.labels,
            zone=state.zone,
            health=health_of(state),
            since=datetime.fromtimestamp(state.since, UTC),
            healthy=state.healthy,
            total=state.total,
            ejected=state.ejected,
            draining=draining_of(state),
            in_flight=in_flight,
            capacity=state.capacity,
            tunnels=state.tunnels,
            published=state.publish,
            address=state.address,
            agent_version=state.version,
            token=state.token_id,
            connected=datetime.fromtimestamp(state.connected, UTC),
        )


def health_of(state: InstanceState) -> Health:
    """Return how an instance is."""
    if state.reconnecting:
        return "reconnecting"
    if state.healthy:
        return "healthy"
    return "unhealthy" if state.total else "starting"


def is_healthy(state: InstanceState) -> bool:
    """Say whether an instance counts as healthy."""
    return health_of(state) == "healthy"


def draining_of(state: InstanceState) -> Literal["operator", "agent"] | None:
    """Return who wants an instance to get no new requests."""
    if state.drained:
        return "operator"
    return None if state.tunnels or state.reconnecting else "agent"


class InstancePage(Page[Instance]):
    """A page of instances."""


class InstanceCount(BaseModel):
    """How many instances have something in common."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "by": {"service": "web", "release": "v1"},
                    "instances": 3,
                    "healthy": 2,
                    "reconnecting": 0,
                    "draining": 1,
                    "capacity": 300,
                }
            ]
        }
    )

    by: dict[str, str | None] = Field(description="What they have in common; null: they have no such label.")
    instances: int = Field(description="How many there are.")
    healthy: int = Field(description="Those that are healthy.")
    reconnecting: int = Field(description="Those that are expected back.")
    draining: int = Field(description="Those that are to get no new requests.")
    capacity: int = Field(description="The sum of their capacities.")


class InstanceCountPage(Page[InstanceCount]):
    """A page of counts."""


class Drain(BaseModel):
    """An instance that an operator wants to get no new requests, connected or not."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "instance": "web.host1-4f2a",
                    "actor": "admin-1f2e3d4c",
                    "since": "2031-02-03T04:05:06Z",
                }
            ]
        }
    )

    instance: str = Field(description="`<service>.<agent>`.")
    actor: str = Field(description="The id of the token that wanted it.")
    since: datetime = Field(description="When.")


class DrainPage(Page[Drain]):
    """A page of drains."""

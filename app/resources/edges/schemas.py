"""Edges as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.management.pages import Page

__all__ = ["Edge", "EdgePage", "SnapshotVersion"]


class SnapshotVersion(BaseModel):
    """A version of the configuration; numbers are comparable within one fleet and epoch."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"fleet": "fleet-4c3b2a19", "epoch": 1, "n": 42}]}
    )

    fleet: str = Field(description="The name of all edges on one database.")
    epoch: int = Field(description="It grows when a database takes another's place.")
    n: int = Field(description="It grows with each change; events have it as `version`.")


class Edge(BaseModel):
    """An edge and how it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "edge-0a1b2c3d",
                    "zone": "a",
                    "domain": "example.com",
                    "version": "0.1.0",
                    "engine": "native",
                    "status": "ok",
                    "database": None,
                    "started": "2031-02-03T04:05:06Z",
                    "public": "192.0.2.1:443",
                    "tunnel": "192.0.2.1:7443",
                    "snapshot": {"fleet": "fleet-4c3b2a19", "epoch": 1, "n": 42},
                    "services": 3,
                    "instances": 12,
                    "healthy": 11,
                    "agents": 10,
                    "tunnels": 20,
                    "in_flight": 7,
                    "public_connections": 31,
                    "requests": 123456,
                    "requests_per_second": 87.5,
                }
            ]
        }
    )

    id: str = Field(description="Its name.")
    zone: str = Field(description="Where it is.")
    domain: str = Field(description="Published services are served as `<service>.<domain>`.")
    version: str = Field(description="Of its software.")
    engine: str | None = Field(description="The HTTP/2 engine of its data plane.")
    status: Literal["starting", "ok", "draining"] = Field(description="Whether it takes new requests.")
    database: str | None = Field(description="Why its database is not available; null: it is.")
    started: datetime | None = Field(description="When its data plane began to listen.")
    public: str | None = Field(description="Where it serves the public.")
    tunnel: str | None = Field(description="Where agents dial in.")
    snapshot: SnapshotVersion | None = Field(description="The version of the configuration that is in force.")
    services: int = Field(description="Services with instances.")
    instances: int = Field(description="Instances.")
    healthy: int = Field(description="Those that are healthy.")
    agents: int = Field(description="Agents.")
    tunnels: int = Field(description="Tunnels.")
    in_flight: int = Field(description="Public requests that run now, as of the last second.")
    public_connections: int = Field(description="Public connections, as of the last second.")
    requests: int = Field(description="Requests that are over, since the data plane began.")
    requests_per_second: float = Field(description="The mean of the last ten seconds.")


class EdgePage(Page[Edge]):
    """A page of edges."""

"""Tunnels as the API shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.management.pages import Page

__all__ = ["Tunnel", "TunnelPage"]


class Tunnel(BaseModel):
    """One connection from an agent to this edge."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "t-0123456789abcdef",
                    "agent": "host1-4f2a",
                    "services": ["web"],
                    "zone": "a",
                    "address": "192.0.2.7",
                    "agent_version": "0.1.0",
                    "token": "token-1f2e3d4c",
                    "opened": "2031-02-03T04:05:06Z",
                    "draining": False,
                    "in_flight": 3,
                }
            ]
        }
    )

    id: str = Field(description="Its id, as in the logs of edge and agent.")
    agent: str = Field(description="The id of the agent.")
    services: list[str] = Field(description="What the agent serves.")
    zone: str = Field(description="Where the agent is.")
    address: str = Field(description="Where it was dialled from.")
    agent_version: str = Field(description="Of the agent's software.")
    token: str = Field(description="The join token that the agent came with.")
    opened: datetime = Field(description="When it was.")
    draining: bool = Field(description="Whether it takes no new requests.")
    in_flight: int = Field(description="Requests that run on it now.")


class TunnelPage(Page[Tunnel]):
    """A page of tunnels."""

"""Services as the API shows them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.management.pages import Page

__all__ = ["Service", "ServicePage", "ZoneCount"]


class ZoneCount(BaseModel):
    """How many instances of a service are in a zone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"instances": 3, "healthy": 2}]})

    instances: int = Field(description="How many there are.")
    healthy: int = Field(description="Those that are healthy.")


class Service(BaseModel):
    """All instances of one name that are connected to this edge."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "web",
                    "host": "web.localhost",
                    "instances": 3,
                    "healthy": 2,
                    "reconnecting": 0,
                    "draining": 1,
                    "capacity": 300,
                    "in_flight": 7,
                    "requests": 1000,
                    "requests_per_second": 12.5,
                    "zones": {"a": {"instances": 3, "healthy": 2}},
                }
            ]
        }
    )

    name: str = Field(description="Its name.")
    host: str | None = Field(
        description="The host that discovery serves it under; null: it is not published."
    )
    instances: int = Field(description="How many there are.")
    healthy: int = Field(description="Those that are healthy.")
    reconnecting: int = Field(description="Those whose last tunnel has broken, and that are expected back.")
    draining: int = Field(description="Those that are to get no new requests.")
    capacity: int = Field(description="The sum of their capacities.")
    in_flight: int = Field(description="Requests that run now.")
    requests: int = Field(description="Requests that are over, since the data plane began.")
    requests_per_second: float = Field(description="The mean of the last ten seconds.")
    zones: dict[str, ZoneCount] = Field(description="The instances by their zones.")


class ServicePage(Page[Service]):
    """A page of services."""

"""The compiled config that a data plane serves from: immutable, swapped in one assignment."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from h2s.messages import ConfigVersion, EdgeAddress

__all__ = ["JoinGrant", "Snapshot"]


class JoinGrant(BaseModel):
    """What the holder of a join token may register. Decided here, never taken from the agent's word."""

    model_config = ConfigDict(frozen=True)

    token_id: str
    secret_sha256: str = Field(repr=False)
    services: tuple[str, ...] = ("*",)
    """Names of services, or `*` for any."""
    labels: dict[str, str] = {}
    """Labels that every instance of this token gets, whatever it says of itself."""
    publish: bool = True
    """Whether its services are reachable as `<service>.<domain>` without a route."""
    expires: float | None = None
    """Unix time, or never."""

    def allows(self, service: str) -> bool:
        """Whether an agent of this token may serve `service`."""
        return "*" in self.services or service in self.services


class Snapshot(BaseModel):
    """Everything a data plane needs to know."""

    model_config = ConfigDict(frozen=True)

    version: ConfigVersion
    edge_id: str
    zone: str = ""
    domain: str = "localhost"
    default_service: str = "auto"
    """A service's name, `auto` (the only one there is), or `none`."""
    edges: tuple[EdgeAddress, ...] = ()
    grants: tuple[JoinGrant, ...] = ()

    @property
    def default_mode(self) -> Literal["auto", "none", "name"]:
        """How a request is served whose host names no service."""
        if self.default_service == "auto":
            return "auto"
        return "none" if self.default_service == "none" else "name"

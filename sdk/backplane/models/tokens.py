"""Tokens: who may register agents, and who may use the management API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from .shared import Model

__all__ = ["ApiToken", "ApiTokenInput", "CreatedToken", "JoinToken", "JoinTokenInput", "Token"]


class JoinTokenInput(Model):
    """A token for agents, as it is asked for."""

    kind: Literal["join"] = "join"
    description: str = ""
    services: list[str] = Field(default=["*"], description="What its agents may serve; `*` is everything.")
    labels: dict[str, str] = Field(default={}, description="Labels that its instances get.")
    publish: bool = Field(default=False, description="Whether its services are served without a route.")
    max_agents: int | None = Field(default=None, description="How many agents it lets in; None: any number.")
    expires: datetime | None = None


class ApiTokenInput(Model):
    """A token for the management API, as it is asked for."""

    kind: Literal["api"] = "api"
    description: str = ""
    role: str = Field(description="`viewer`, `editor` or `admin`.")
    expires: datetime | None = None


class JoinToken(Model):
    """A token for agents, without its secret."""

    kind: Literal["join"] = "join"
    id: str
    description: str
    services: list[str]
    labels: dict[str, str]
    publish: bool
    max_agents: int | None = None
    agents: int = Field(default=0, description="How many it has let in, if their number is limited.")
    expires: datetime | None
    revoked: datetime | None
    version: int
    created: datetime


class ApiToken(Model):
    """A token for the management API, without its secret."""

    kind: Literal["api"] = "api"
    id: str
    description: str
    role: str
    expires: datetime | None
    revoked: datetime | None
    version: int
    created: datetime


def _kind(token: Any) -> Any:
    return token.get("kind") if isinstance(token, dict) else getattr(token, "kind", None)


Token = Annotated[Annotated[JoinToken, Tag("join")] | Annotated[ApiToken, Tag("api")], Discriminator(_kind)]
"""Any token; `kind` says which."""


class CreatedToken(Model):
    """A new token and its secret, which the edge shows this once."""

    token: Token
    secret: str = Field(repr=False)

"""Tokens as the API takes and shows them. A secret is in one answer alone: the one that makes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.management.credentials import Role
from app.management.moment import Moment
from app.management.pages import Page
from edge.route import YesNo
from edge.selector import RESERVED_KEYS
from h2s.messages import LabelKey, LabelValue, Name

__all__ = [
    "ApiToken",
    "ApiTokenInput",
    "CreatedToken",
    "JoinToken",
    "JoinTokenInput",
    "Token",
    "TokenInput",
    "TokenPage",
    "TokenPatch",
]

MAX_AGENTS = 10_000
"""The ids of a limited token's agents are in the configuration of every edge."""
_CREATED = "2031-02-03T04:05:06Z"
_JOIN: dict[str, Any] = {
    "kind": "join",
    "description": "The web team",
    "services": ["web"],
    "labels": {"team": "web"},
}
_API: dict[str, Any] = {"kind": "api", "description": "CI", "role": "editor"}


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    reserved = sorted(RESERVED_KEYS & labels.keys())
    if reserved:
        raise ValueError(f"{reserved[0]!r} is what an instance is, not a label: choose another name")
    return labels


def _check_future(moment: datetime | None) -> datetime | None:
    if moment is not None and moment <= datetime.now(UTC):
        raise ValueError("this is in the past: the token would be good for nothing")
    return moment


def _check_all_or_some(services: list[str]) -> list[str]:
    if "*" in services and len(services) > 1:
        raise ValueError("'*' stands for every service: name it alone")
    return services


Description = Annotated[
    str, Field(max_length=1024, pattern=r"^[^\x00]*$", description="For people.", examples=["The web team"])
]
Expiry = Annotated[
    Moment | None,
    AfterValidator(_check_future),
    Field(description="When it ends, with a zone; null: never.", examples=["2099-01-01T00:00:00Z"]),
]
Services = Annotated[
    list[Literal["*"] | Name],
    Field(
        min_length=1,
        max_length=100,
        description="What its agents may serve; `*` is everything.",
        examples=[["web"]],
    ),
    AfterValidator(_check_all_or_some),
]
Labels = Annotated[
    dict[LabelKey, LabelValue],
    Field(
        max_length=32,
        description="Labels that its instances get, whatever their agents say.",
        examples=[{"team": "web"}],
    ),
    AfterValidator(_check_labels),
]


class JoinTokenInput(BaseModel):
    """A token for agents."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_JOIN]})

    kind: Literal["join"] = Field(description="`join`")
    description: Description = ""
    services: Services = Field(default=["*"])
    labels: Labels = Field(default={})
    publish: YesNo = Field(
        default=False, description="Whether its services are served as `<service>.<domain>` without a route."
    )
    max_agents: Annotated[int, Field(ge=1, le=MAX_AGENTS)] | None = Field(
        default=None,
        description="How many agents, by their ids, it lets in; null: any number.",
        examples=[3],
    )
    expires: Expiry = None


class ApiTokenInput(BaseModel):
    """A token for this API."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_API]})

    kind: Literal["api"] = Field(description="`api`")
    description: Description = ""
    role: Role = Field(
        description="viewer reads, editor also changes routes and policies, admin also tokens.",
        examples=["editor"],
    )
    expires: Expiry = None


TokenInput = Annotated[JoinTokenInput | ApiTokenInput, Field(discriminator="kind")]


class _Kept(BaseModel):
    id: str = Field(description="Its name in the audit.", examples=["token-1f2e3d4c"])
    description: str = Field(description="For people.")
    expires: datetime | None = Field(description="When it ends; null: never.")
    revoked: datetime | None = Field(description="When it was revoked, if it was.")
    version: int = Field(description="The number in its ETag.")
    created: datetime = Field(description="When it was made.")


_OF_KEPT: dict[str, Any] = {"expires": None, "revoked": None, "version": 8, "created": _CREATED}


class JoinToken(_Kept):
    """A token for agents, without its secret."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {**_JOIN, "id": "token-1f2e3d4c", "publish": False, "max_agents": 3, "agents": 1, **_OF_KEPT}
            ]
        }
    )

    kind: Literal["join"] = Field(default="join", description="`join`")
    services: list[str] = Field(description="What its agents may serve; `*` is everything.")
    labels: dict[str, str] = Field(description="Labels that its instances get.")
    publish: bool = Field(description="Whether discovery makes its services public.")
    max_agents: int | None = Field(description="How many agents it lets in; null: any number.")
    agents: int = Field(
        description="How many it has let in, if their number is limited; those keep coming in."
    )


class ApiToken(_Kept):
    """A token for this API, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_API, "id": "api-1f2e3d4c", **_OF_KEPT}]})

    kind: Literal["api"] = Field(default="api", description="`api`")
    role: Role = Field(description="What it may do.")


Token = Annotated[JoinToken | ApiToken, Field(discriminator="kind")]


class CreatedToken(BaseModel):
    """A new token and its secret, which is shown this once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"token": {**_API, "id": "api-1f2e3d4c", **_OF_KEPT}, "secret": "bpa_..."}]
        }
    )

    token: Token = Field(description="What it is good for.")
    secret: str = Field(description="What agents or clients send. It is not kept, and cannot be shown again.")


class TokenPatch(BaseModel):
    """A JSON merge patch (RFC 7396): what is not named stays, null goes back to the default."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"description": "CI of the shop"}]}
    )

    description: Description | None = Field(default=None, description="For people.")
    expires: Expiry = None


class TokenPage(Page[Token]):
    """A page of tokens."""

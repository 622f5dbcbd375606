"""What the API says of a route, beside its spec."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.management.pages import Page
from app.management.warning import ApiWarning
from edge.route import MAX_WEIGHT, RouteName, RouteSpec, Whole, YesNo

__all__ = ["Route", "RouteInput", "RoutePage", "RoutePatch", "RouteReplacement", "Weights"]

_EXAMPLE: dict[str, Any] = {
    "name": "shop",
    "host": "shop.example.com",
    "targets": [
        {"name": "v1", "selector": "service=web,release=v1", "weight": 90},
        {"name": "v2", "selector": "service=web,release=v2", "weight": 10},
    ],
}
_READ_ONLY = ("source", "version", "created", "updated", "warnings")


class Route(RouteSpec):
    """A route as it is kept, or as discovery makes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE,
                    "path": "/",
                    "methods": [],
                    "headers": [],
                    "query": [],
                    "priority": 0,
                    "policies": [],
                    "enabled": True,
                    "source": "configured",
                    "version": 7,
                    "created": "2031-02-03T04:05:06Z",
                    "updated": "2031-02-03T04:05:06Z",
                    "warnings": [],
                }
            ]
        }
    )

    source: Literal["configured", "discovered"] = Field(
        default="configured",
        description="Whether somebody made it, or a published service did by being there.",
    )
    version: int | None = Field(default=None, description="The number in its ETag.")
    created: datetime | None = Field(default=None, description="When it was made.")
    updated: datetime | None = Field(default=None, description="When it was last changed.")
    warnings: list[ApiWarning] = Field(default=[], description="What may not be meant so.")


class RouteInput(RouteSpec):
    """A route as it is sent. What only the edge says of it (`version` ...) may stay in, and is not looked at."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    @model_validator(mode="before")
    @classmethod
    def _drop_read_only(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key not in _READ_ONLY}
        return data

    def spec(self) -> RouteSpec:
        """Return the route alone."""
        return RouteSpec.model_validate(self.model_dump())


class RouteReplacement(RouteInput):
    """A route as it is put under its name."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{key: value for key, value in _EXAMPLE.items() if key != "name"}]}
    )

    name: RouteName = Field(default="", description="Its name; the one in the path, if it is left out.")


class RoutePatch(BaseModel):
    """A JSON merge patch (RFC 7396): what is not named stays, null goes back to the default."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"enabled": False}]})

    host: str | None = Field(
        default=None, max_length=256, description="The host.", examples=["shop.example.com"]
    )
    path: str | None = Field(
        default=None, max_length=2048, description="The prefix of the path.", examples=["/api"]
    )
    methods: list[str] | None = Field(default=None, description="All of them anew.", examples=[["GET"]])
    headers: list[dict[str, Any]] | None = Field(default=None, description="All of them anew.")
    query: list[dict[str, Any]] | None = Field(default=None, description="All of them anew.")
    priority: Whole | None = Field(default=None, description="The higher one first.", examples=[10])
    targets: list[dict[str, Any]] | None = Field(default=None, description="All of them anew.")
    policies: list[str] | None = Field(
        default=None, description="All of them anew.", examples=[["office-only"]]
    )
    enabled: YesNo | None = Field(default=None, description="Whether it matches anything.", examples=[False])


Weights = Annotated[
    dict[Annotated[str, Field(max_length=2048)], Annotated[Whole, Field(ge=0, le=MAX_WEIGHT)]],
    Field(
        min_length=1,
        max_length=64,
        description="Weights by the targets' names; targets that are not named keep theirs.",
        examples=[{"v1": 90, "v2": 10}],
    ),
]


class RoutePage(Page[Route]):
    """A page of routes."""

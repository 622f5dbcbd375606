"""The configuration as one document, and what applying it changes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.management.warning import ApiWarning
from edge.policies import PolicySpec
from edge.route import PolicyName, RouteSpec

__all__ = ["EXAMPLE", "ConfigChange", "ConfigDocument", "ConfigResult"]

MAX_ROUTES = 200_000
MAX_POLICIES = 20_000

EXAMPLE: dict[str, Any] = {
    "version": 1,
    "policies": [{"name": "office-only", "rules": [{"type": "ip", "allow": ["192.0.2.0/24"]}]}],
    "default_policies": [],
    "routes": [
        {
            "name": "shop",
            "host": "shop.example.com",
            "policies": ["office-only"],
            "targets": [{"name": "all", "selector": "service=web"}],
        }
    ],
}


class ConfigDocument(BaseModel):
    """Everything that is declared: a part that is there is exactly what there is to be, one that is not stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    version: Literal[1] = Field(default=1, description="The version of this format.")
    policies: Annotated[list[PolicySpec], Field(max_length=MAX_POLICIES)] | None = Field(
        default=None, description="All policies; without this part they stay as they are."
    )
    default_policies: Annotated[list[PolicyName], Field(max_length=64)] | None = Field(
        default=None, description="The policies of discovered services."
    )
    routes: Annotated[list[RouteSpec], Field(max_length=MAX_ROUTES)] | None = Field(
        default=None, description="All routes; without this part they stay as they are."
    )


_CHANGE: dict[str, Any] = {
    "action": "delete",
    "kind": "route",
    "name": "old",
    "before": {"name": "old", "host": "old.example.com"},
    "after": None,
}


class ConfigChange(BaseModel):
    """One thing that is made, changed or deleted."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CHANGE]})

    action: Literal["create", "update", "delete"] = Field(description="What happens to it.")
    kind: Literal["route", "policy", "setting"] = Field(description="What it is.")
    name: str = Field(description="Its name.")
    before: Any = Field(description="What it was; null if it was not there.")
    after: Any = Field(description="What it is then; null if it is not there.")


class ConfigResult(BaseModel):
    """What applying a document changes, or would change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"dry_run": True, "version": 7, "changes": [_CHANGE], "unchanged": 12, "warnings": []}
            ]
        }
    )

    dry_run: bool = Field(description="Whether nothing was changed.")
    version: int = Field(description="The version of the configuration: the number in its ETag.")
    changes: list[ConfigChange] = Field(description="What is changed, in the order in which it happens.")
    unchanged: int = Field(description="Routes and policies that are as the document says already.")
    warnings: list[ApiWarning] = Field(default=[], description="What may not be meant so.")

"""What the API says of a policy, beside its spec."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.management.pages import Page
from app.management.warning import ApiWarning
from edge.policies import PolicySpec
from edge.route import PolicyName

__all__ = ["DefaultPolicies", "Policy", "PolicyInput", "PolicyPage", "PolicyPatch", "PolicyReplacement"]

_RULES: list[Any] = [{"type": "ip", "allow": ["192.0.2.0/24", "2001:db8::/32"]}]
_READ_ONLY = ("revision", "created", "updated", "warnings")


class Policy(PolicySpec):
    """A policy as it is kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "office-only",
                    "version": 1,
                    "description": "",
                    "rules": _RULES,
                    "revision": 7,
                    "created": "2031-02-03T04:05:06Z",
                    "updated": "2031-02-03T04:05:06Z",
                    "warnings": [],
                }
            ]
        }
    )

    revision: int = Field(description="The number in its ETag.", examples=[7])
    created: datetime = Field(description="When it was made.")
    updated: datetime = Field(description="When it was last changed.")
    warnings: list[ApiWarning] = Field(default=[], description="What may not be meant so.")


class PolicyInput(PolicySpec):
    """A policy as it is sent. What only the edge says of it may stay in, and is not looked at."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "office-only", "rules": _RULES}]})

    @model_validator(mode="before")
    @classmethod
    def _drop_read_only(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key not in _READ_ONLY}
        return data

    def spec(self) -> PolicySpec:
        """Return the policy alone."""
        return PolicySpec.model_validate(self.model_dump())


class PolicyReplacement(PolicyInput):
    """A policy as it is put under its name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rules": _RULES}]})

    name: PolicyName = Field(default="", description="Its name; the one in the path, if it is left out.")


class PolicyPatch(BaseModel):
    """A JSON merge patch (RFC 7396): what is not named stays, null goes back to the default."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rules": _RULES}]})

    description: str | None = Field(default=None, max_length=1024, description="For people.")
    rules: list[dict[str, Any]] | None = Field(default=None, description="All of them anew.")


class DefaultPolicies(BaseModel):
    """Policies that apply to discovered services, in this order."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"policies": ["office-only"]}]})

    policies: Annotated[list[PolicyName], Field(max_length=64)] = Field(description="Their names.")


class PolicyPage(Page[Policy]):
    """A page of policies."""

"""Policies: named, reusable bundles of rules that shape and secure the requests of the routes they are attached to.

A rule is one file here: its pydantic schema, and `compile`, which runs once and returns the steps that a request
takes. What a rule does not do has no step, and a route without policies has no chain of steps at all.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from ..route import PolicyName, Spec
from .chain import Chain, Steps
from .headers import FieldEdits, HeadersRule
from .ip import IpRule

__all__ = ["Chain", "FieldEdits", "HeadersRule", "IpRule", "PolicySpec", "Rule", "Steps"]

Rule = Annotated[IpRule | HeadersRule, Field(discriminator="type")]
"""Any rule; `type` says which."""


class PolicySpec(Spec):
    """A named bundle of rules, attached to routes by its name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "office-only", "rules": [{"type": "ip", "allow": ["192.0.2.0/24", "2001:db8::/32"]}]}
            ]
        }
    )

    name: PolicyName = Field(description="Its name, which never changes.")
    version: Literal[1] = Field(default=1, description="The version of this schema.")
    description: str = Field(default="", max_length=1024, description="For people.")
    rules: Annotated[tuple[Rule, ...], Field(max_length=64)] = Field(
        default=(), description="What it does, in this order."
    )

    def compile(self) -> tuple[Steps, ...]:
        """Return the steps of its rules, in their order."""
        return tuple(rule.compile() for rule in self.rules)

"""Calls for policies, beside those for any document."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter

from ..call import Answer, Call, Repeat, json_body, path, preconditions
from ..models.policies import Policy
from .documents import Documents

__all__ = ["POLICIES", "default_policies", "set_default_policies"]

POLICIES = Documents("policies", Policy)

_DEFAULTS = TypeAdapter(dict[str, list[str]])


def default_policies() -> Call[list[str]]:
    """The policies of discovered services."""
    return Call(method="GET", path=path("default_policies"), understand=_names, repeat=Repeat.SAFELY)


def set_default_policies(names: Sequence[str], *, if_version: int | None = None) -> Call[list[str]]:
    """Other policies for discovered services."""
    body = json_body({"policies": list(names)})
    body["headers"] |= preconditions(if_version=if_version)
    return Call(
        method="PUT",
        path=path("default_policies"),
        understand=_names,
        repeat=Repeat.SAFELY if if_version is None else Repeat.UNDONE,
        **body,
    )


def _names(answer: Answer) -> list[str]:
    return _DEFAULTS.validate_json(answer.body)["policies"]

"""What the rules of a route's policies come to: steps that are run one after the other, and no others.

Steps run in phases, whatever the order of the rules, and in the order of policies and rules within each phase:

1. `client`: who the client is, behind proxies that are trusted;
2. `gate`: whether it may come in at all;
3. `request`: what of the request's head is changed, before it goes into a tunnel;
4. `response`: what of the response's head is changed, on its way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from h2s.engine.session import Fields

from ..message import Request

__all__ = ["Chain", "Steps"]

RequestStep = Callable[[Request], None]
"""Looks at a request's head or changes it in place. Raises `edge.problem.Refusal` to let it go no further."""
ResponseStep = Callable[[Fields], Fields]
"""Returns the fields of a response's head, changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What one rule does in each phase; None where it does nothing."""

    client: RequestStep | None = None
    gate: RequestStep | None = None
    request: RequestStep | None = None
    response: ResponseStep | None = None


class Chain:
    """The steps of all policies of a route, flattened. Immutable."""

    __slots__ = ("_request", "_response", "edits_response")

    def __init__(self, rules: Iterable[Steps]) -> None:
        steps = tuple(rules)
        phases = ([one.client for one in steps], [one.gate for one in steps], [one.request for one in steps])
        self._request = tuple(step for phase in phases for step in phase if step is not None)
        self._response = tuple(one.response for one in steps if one.response is not None)
        self.edits_response = bool(self._response)
        """Whether `edit_response` does anything."""

    @property
    def is_empty(self) -> bool:
        """Whether it does nothing at all."""
        return not (self._request or self._response)

    def enter(self, request: Request) -> None:
        """Run what comes before the request goes on. Raises Refusal when it may not."""
        for step in self._request:
            step(request)

    def edit_response(self, fields: Fields) -> Fields:
        """Return the fields of a response's head as the client gets them."""
        for step in self._response:
            fields = step(fields)
        return fields

"""Calls for routes, beside those for any document."""

from __future__ import annotations

from collections.abc import Mapping

from ..call import Call, Repeat, json_body, one_of, path, preconditions
from ..models.explanation import Explanation, Question
from ..models.routes import Route
from .documents import Documents

__all__ = ["ROUTES", "explain", "weights"]

ROUTES = Documents("routes", Route)


def weights(name: str, shares: Mapping[str, int], *, if_version: int | None) -> Call[Route]:
    """Other weights for a route's targets."""
    body = json_body(dict(shares))
    body["headers"] |= preconditions(if_version=if_version)
    return Call(method="PATCH", path=path("routes", name, "weights"), understand=one_of(Route), **body)


def explain(question: Question) -> Call[Explanation]:
    """Where a request would go."""
    return Call(
        method="POST",
        path=path("routes:explain"),
        understand=one_of(Explanation),
        repeat=Repeat.SAFELY,
        **json_body(question.sent()),
    )

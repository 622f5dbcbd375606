"""Calls for tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from ..call import Answer, Call, Query, Repeat, json_body, nothing, one_of, path, preconditions
from ..models.shared import Page
from ..models.tokens import ApiToken, ApiTokenInput, CreatedToken, JoinToken, JoinTokenInput, Token
from .pages import PageOf, page

__all__ = ["create", "get", "list_tokens", "revoke", "update"]

_TOKEN: TypeAdapter[JoinToken | ApiToken] = TypeAdapter(Token)


def list_tokens(query: Query) -> PageOf[JoinToken | ApiToken]:
    """All of them, in the order of their ids."""
    return page(path("tokens"), Page[Token], query)


def get(token_id: str) -> Call[JoinToken | ApiToken]:
    """One of them."""
    return Call(method="GET", path=path("tokens", token_id), understand=_token, repeat=Repeat.SAFELY)


def create(wanted: JoinTokenInput | ApiTokenInput) -> Call[CreatedToken]:
    """A new one."""
    return Call(
        method="POST", path=path("tokens"), understand=one_of(CreatedToken), **json_body(wanted.sent())
    )


def update(
    token_id: str, changes: Mapping[str, Any], *, if_version: int | None
) -> Call[JoinToken | ApiToken]:
    """Other words for one, or another end."""
    body = json_body(dict(changes))
    body["headers"] |= preconditions(if_version=if_version)
    return Call(method="PATCH", path=path("tokens", token_id), understand=_token, **body)


def revoke(token_id: str, *, close_tunnels: bool, if_version: int | None) -> Call[None]:
    """One that is good for nothing from now on."""
    return Call(
        method="DELETE",
        path=path("tokens", token_id),
        query={"close_tunnels": True} if close_tunnels else {},
        headers=preconditions(if_version=if_version),
        understand=nothing,
    )


def _token(answer: Answer) -> JoinToken | ApiToken:
    return _TOKEN.validate_json(answer.body)

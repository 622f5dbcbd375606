"""`client.tokens`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from ..calls import tokens
from ..calls.pages import AsyncSend, Send, iterate, iterate_async
from ..models.tokens import ApiToken, ApiTokenInput, CreatedToken, JoinToken, JoinTokenInput

__all__ = ["AsyncTokens", "Tokens"]


class Tokens:
    """Who may register agents, and who may use the management API. All of it needs the role admin."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def list(
        self, *, kind: str | None = None, revoked: bool = False, page_size: int = 100
    ) -> Iterator[JoinToken | ApiToken]:
        """Yield tokens in the order of their ids, without their secrets.

        Args:
            kind: only `join` tokens or only `api` tokens.
            revoked: also those that are revoked.
            page_size: how many are asked for at once.
        """
        query = {"kind": kind, "revoked": revoked, "limit": page_size}
        return iterate(self._send, tokens.list_tokens(query))

    def get(self, token_id: str) -> JoinToken | ApiToken:
        """Return one. Raises NotFound."""
        return self._send(tokens.get(token_id))

    def create(self, wanted: JoinTokenInput | ApiTokenInput) -> CreatedToken:
        """Make one. The secret is in what is returned, and nowhere else ever again."""
        return self._send(tokens.create(wanted))

    def update(
        self, token_id: str, changes: Mapping[str, Any], *, if_version: int | None = None
    ) -> JoinToken | ApiToken:
        """Change its `description`, or when it `expires`. Raises NotFound, Conflict if it is revoked."""
        return self._send(tokens.update(token_id, changes, if_version=if_version))

    def revoke(self, token_id: str, *, close_tunnels: bool = False, if_version: int | None = None) -> None:
        """Let it be good for nothing, from now on and for good. Raises NotFound, Conflict.

        `close_tunnels` also closes the tunnels of agents that came with it.
        """
        self._send(tokens.revoke(token_id, close_tunnels=close_tunnels, if_version=if_version))


class AsyncTokens:
    """Who may register agents, and who may use the management API: see `Tokens`."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    def list(
        self, *, kind: str | None = None, revoked: bool = False, page_size: int = 100
    ) -> AsyncIterator[JoinToken | ApiToken]:
        """Yield tokens in the order of their ids: see `Tokens.list`."""
        query = {"kind": kind, "revoked": revoked, "limit": page_size}
        return iterate_async(self._send, tokens.list_tokens(query))

    async def get(self, token_id: str) -> JoinToken | ApiToken:
        """Return one. Raises NotFound."""
        return await self._send(tokens.get(token_id))

    async def create(self, wanted: JoinTokenInput | ApiTokenInput) -> CreatedToken:
        """Make one. The secret is in what is returned, and nowhere else ever again."""
        return await self._send(tokens.create(wanted))

    async def update(
        self, token_id: str, changes: Mapping[str, Any], *, if_version: int | None = None
    ) -> JoinToken | ApiToken:
        """Change its `description`, or when it `expires`. Raises NotFound, Conflict if it is revoked."""
        return await self._send(tokens.update(token_id, changes, if_version=if_version))

    async def revoke(
        self, token_id: str, *, close_tunnels: bool = False, if_version: int | None = None
    ) -> None:
        """Let it be good for nothing, from now on and for good. Raises NotFound, Conflict.

        `close_tunnels` also closes the tunnels of agents that came with it.
        """
        await self._send(tokens.revoke(token_id, close_tunnels=close_tunnels, if_version=if_version))

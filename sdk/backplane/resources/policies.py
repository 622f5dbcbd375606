"""`client.policies` and `client.default_policies`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from ..calls.pages import AsyncSend, Send, iterate, iterate_async
from ..calls.policies import POLICIES, default_policies, set_default_policies
from ..models.policies import Policy
from .documents import AsyncDocumentResource, DocumentResource

__all__ = ["AsyncDefaultPolicies", "AsyncPolicies", "DefaultPolicies", "Policies"]


class Policies(DocumentResource[Policy]):
    """Named bundles of rules that routes use."""

    _calls = POLICIES

    def list(self, *, page_size: int = 100) -> Iterator[Policy]:
        """Yield policies in the order of their names."""
        return iterate(self._send, POLICIES.list({"limit": page_size}))


class AsyncPolicies(AsyncDocumentResource[Policy]):
    """Named bundles of rules that routes use."""

    _calls = POLICIES

    def list(self, *, page_size: int = 100) -> AsyncIterator[Policy]:
        """Yield policies in the order of their names."""
        return iterate_async(self._send, POLICIES.list({"limit": page_size}))


class DefaultPolicies:
    """The policies of discovered services, by their names."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def get(self) -> Sequence[str]:
        """Return them, in their order."""
        return self._send(default_policies())

    def replace(self, names: Sequence[str]) -> Sequence[str]:
        """Set them, in this order. Raises Invalid if one is not there."""
        return self._send(set_default_policies(names))


class AsyncDefaultPolicies:
    """The policies of discovered services, by their names."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def get(self) -> Sequence[str]:
        """Return them, in their order."""
        return await self._send(default_policies())

    async def replace(self, names: Sequence[str]) -> Sequence[str]:
        """Set them, in this order. Raises Invalid if one is not there."""
        return await self._send(set_default_policies(names))

"""What routes and policies have in common."""

from __future__ import annotations

from typing import Generic, TypeVar

from ..calls.documents import Content, Documents
from ..calls.pages import AsyncSend, Send
from ..models.shared import Model

__all__ = ["AsyncDocumentResource", "DocumentResource"]

M = TypeVar("M", bound=Model)


class DocumentResource(Generic[M]):
    """Documents of one kind."""

    _calls: Documents[M]

    def __init__(self, send: Send) -> None:
        self._send = send

    def get(self, name: str) -> M:
        """Return one. Raises NotFound."""
        return self._send(self._calls.get(name))

    def create(self, content: M | Content) -> M:
        """Add one, and return it as the edge keeps it. Raises Conflict if its name is taken, Invalid."""
        return self._send(self._calls.create(content))

    def replace(
        self,
        content: M | Content,
        *,
        name: str | None = None,
        if_version: int | None = None,
        only_new: bool = False,
    ) -> M:
        """Put one under its name, whether it is there or not; doing it again changes nothing.

        Args:
            content: the whole of it.
            name: where to put it, if `content` has no name.
            if_version: only in the place of this version.
            only_new: only if there is none of this name.

        Raises:
            PreconditionFailed: it is another version, or there is one.
            Invalid: it cannot be as it is.
        """
        return self._send(self._calls.replace(content, name=name, if_version=if_version, only_new=only_new))

    def update(self, name: str, changes: Content, *, if_version: int | None = None) -> M:
        """Change parts of one: what `changes` does not name stays, None goes back to the default.

        Raises:
            NotFound: there is none of this name.
            PreconditionFailed: it is not `if_version` any more.
            Invalid: it cannot be so.
        """
        return self._send(self._calls.update(name, changes, if_version=if_version))

    def delete(self, name: str, *, if_version: int | None = None) -> None:
        """Take one away. Raises NotFound, PreconditionFailed, or Conflict if something uses it."""
        self._send(self._calls.delete(name, if_version=if_version))


class AsyncDocumentResource(Generic[M]):
    """Documents of one kind: see `DocumentResource`."""

    _calls: Documents[M]

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def get(self, name: str) -> M:
        """Return one. Raises NotFound."""
        return await self._send(self._calls.get(name))

    async def create(self, content: M | Content) -> M:
        """Add one, and return it as the edge keeps it. Raises Conflict if its name is taken, Invalid."""
        return await self._send(self._calls.create(content))

    async def replace(
        self,
        content: M | Content,
        *,
        name: str | None = None,
        if_version: int | None = None,
        only_new: bool = False,
    ) -> M:
        """Put one under its name: see `DocumentResource.replace`."""
        return await self._send(
            self._calls.replace(content, name=name, if_version=if_version, only_new=only_new)
        )

    async def update(self, name: str, changes: Content, *, if_version: int | None = None) -> M:
        """Change parts of one: see `DocumentResource.update`."""
        return await self._send(self._calls.update(name, changes, if_version=if_version))

    async def delete(self, name: str, *, if_version: int | None = None) -> None:
        """Take one away. Raises NotFound, PreconditionFailed, or Conflict if something uses it."""
        await self._send(self._calls.delete(name, if_version=if_version))

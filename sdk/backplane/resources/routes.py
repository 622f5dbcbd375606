"""`client.routes`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping

from ..calls.pages import iterate, iterate_async
from ..calls.routes import ROUTES, explain, weights
from ..models.explanation import Explanation, Question
from ..models.routes import Route
from .documents import AsyncDocumentResource, DocumentResource

__all__ = ["AsyncRoutes", "Routes"]


class Routes(DocumentResource[Route]):
    """Which requests go to which instances."""

    _calls = ROUTES

    def list(
        self,
        *,
        source: str = "configured",
        host: str | None = None,
        policy: str | None = None,
        page_size: int = 100,
    ) -> Iterator[Route]:
        """Yield routes in the order of their names.

        Args:
            source: `configured`, or `discovered` for those that published services make by being there.
            host: only those with this host.
            policy: only those that use this policy.
            page_size: how many are asked for at once.
        """
        query = {"source": source, "host": host, "policy": policy, "limit": page_size}
        return iterate(self._send, ROUTES.list(query))

    def weights(self, name: str, shares: Mapping[str, int], *, if_version: int | None = None) -> Route:
        """Shift traffic in one step: weights by the targets' names; the others keep theirs.

        Raises:
            NotFound: there is no such route.
            Invalid: it has no such target, or the weights sum to zero.
            PreconditionFailed: it is not `if_version` any more.
        """
        return self._send(weights(name, shares, if_version=if_version))

    def explain(self, question: Question) -> Explanation:
        """Say where a request would go now, and why. Nothing is sent there."""
        return self._send(explain(question))


class AsyncRoutes(AsyncDocumentResource[Route]):
    """Which requests go to which instances: see `Routes`."""

    _calls = ROUTES

    def list(
        self,
        *,
        source: str = "configured",
        host: str | None = None,
        policy: str | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[Route]:
        """Yield routes in the order of their names: see `Routes.list`."""
        query = {"source": source, "host": host, "policy": policy, "limit": page_size}
        return iterate_async(self._send, ROUTES.list(query))

    async def weights(self, name: str, shares: Mapping[str, int], *, if_version: int | None = None) -> Route:
        """Shift traffic in one step: see `Routes.weights`."""
        return await self._send(weights(name, shares, if_version=if_version))

    async def explain(self, question: Question) -> Explanation:
        """Say where a request would go now, and why. Nothing is sent there."""
        return await self._send(explain(question))

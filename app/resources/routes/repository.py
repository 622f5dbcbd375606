"""The SQL of routes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select

from app.database.models import PolicyRow, RoutePolicy, RouteRow
from app.management.documents import DocumentRepository

__all__ = ["RouteRepository"]


class RouteRepository(DocumentRepository[RouteRow]):
    """Reads and writes routes."""

    table = RouteRow

    async def with_key(self, match_key: str) -> str | None:
        """Return the name of the route that matches this, if there is one."""
        found: str | None = await self.session.scalar(
            select(RouteRow.name).where(RouteRow.match_key == match_key)
        )
        return found

    async def policies(self, names: Sequence[str]) -> set[str]:
        """Return which of these policies there are."""
        query = select(PolicyRow.name).where(PolicyRow.name.in_(names))
        return set((await self.session.scalars(query)).all())

    async def attach(self, route: str, policies: Sequence[str]) -> None:
        """Say which policies a route uses."""
        await self.session.execute(delete(RoutePolicy).where(RoutePolicy.route == route))
        if policies:
            rows = [{"route": route, "policy": policy} for policy in dict.fromkeys(policies)]
            await self.session.execute(insert(RoutePolicy), rows)

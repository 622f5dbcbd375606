"""The SQL of whole configurations: many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.models import ConfigState, PolicyRow, RoutePolicy, RouteRow

__all__ = ["BulkRepository"]

CHUNK = 500
"""Names in one statement."""


class BulkRepository:
    """Reads all documents of a kind, and writes many."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session."""
        self.session = session

    async def version(self) -> int:
        """Return the version of the configuration."""
        return (await self.session.execute(select(ConfigState.n))).scalar_one()

    async def specs(self, table: type[RouteRow] | type[PolicyRow]) -> dict[str, dict[str, Any]]:
        """Return every document by its name."""
        query = select(table.name, table.spec).order_by(table.name)
        return dict(iter(await self.session.execute(query)))

    async def free_keys(self, names: Sequence[str]) -> None:
        """Let routes match nothing for a moment, so that they can take each other's places."""
        for part in _chunks(names):
            query = update(RouteRow).where(RouteRow.name.in_(part)).values(match_key=None)
            await self.session.execute(query.execution_options(synchronize_session=False))

    async def remove(self, table: type[RouteRow] | type[PolicyRow], names: Sequence[str]) -> None:
        """Delete documents."""
        for part in _chunks(names):
            query = delete(table).where(table.name.in_(part))
            await self.session.execute(query.execution_options(synchronize_session=False))

    async def add(self, table: type[RouteRow] | type[PolicyRow], rows: Sequence[dict[str, Any]]) -> None:
        """Insert documents."""
        if rows:
            await self.session.execute(insert(table), rows)

    async def replace(self, table: type[RouteRow] | type[PolicyRow], rows: Sequence[dict[str, Any]]) -> None:
        """Update documents."""
        if not rows:
            return
        values: dict[str, Any] = {key: bindparam(f"new_{key}") for key in rows[0] if key != "name"}
        core: Any = table.__table__
        query = update(core).where(core.c.name == bindparam("old_name")).values(values)
        changed = [
            {"old_name" if key == "name" else f"new_{key}": value for key, value in row.items()}
            for row in rows
        ]
        await (await self.session.connection()).execute(query, changed)

    async def attach(self, policies: dict[str, Sequence[str]]) -> None:
        """Say which policies routes use, by the routes' names."""
        for part in _chunks(list(policies)):
            await self.session.execute(delete(RoutePolicy).where(RoutePolicy.route.in_(part)))
        rows = [{"route": route, "policy": policy} for route, names in policies.items() for policy in names]
        if rows:
            await self.session.execute(insert(RoutePolicy), rows)


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]

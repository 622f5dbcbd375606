"""The SQL of drains."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.models import DrainRow

__all__ = ["DrainRepository"]


class DrainRepository:
    """Reads and writes which instances are to get no new requests."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session."""
        self.session = session

    async def get(self, instance: str) -> DrainRow | None:
        """Return a row, or None."""
        return await self.session.get(DrainRow, instance)

    async def count(self) -> int:
        """Return how many there are."""
        return await self.session.scalar(select(func.count()).select_from(DrainRow)) or 0

    async def page(self, after: str | None, limit: int) -> list[DrainRow]:
        """Return up to `limit` rows in the order of their instances."""
        query = select(DrainRow).order_by(DrainRow.instance).limit(limit)
        if after is not None:
            query = query.where(DrainRow.instance > after)
        return list((await self.session.scalars(query)).all())

    async def add(self, row: DrainRow) -> None:
        """Insert a row."""
        self.session.add(row)
        await self.session.flush()

    async def remove(self, row: DrainRow) -> None:
        """Delete a row."""
        await self.session.delete(row)
        await self.session.flush()

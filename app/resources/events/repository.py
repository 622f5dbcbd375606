"""The SQL of events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.models import EventRow

__all__ = ["EventRepository"]


class EventRepository:
    """Reads events."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session."""
        self.session = session

    async def newest(self, before: int | None, limit: int, *conditions: Any) -> list[EventRow]:
        """Return up to `limit` events, the newest first."""
        query = select(EventRow).where(*conditions).order_by(EventRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(EventRow.id < before)
        return list((await self.session.scalars(query)).all())

    async def since(self, after: int, limit: int) -> list[EventRow]:
        """Return up to `limit` events after one, the oldest first."""
        query = select(EventRow).where(EventRow.id > after).order_by(EventRow.id).limit(limit)
        return list((await self.session.scalars(query)).all())

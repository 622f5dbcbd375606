"""The SQL of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.models import ApiTokenRow, JoinTokenRow, JoinTokenUse
from app.management.credentials import Role

__all__ = ["TokenRepository", "TokenRow"]

TokenRow = JoinTokenRow | ApiTokenRow


class TokenRepository:
    """Reads and writes tokens of both kinds."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session."""
        self.session = session

    async def get(self, token_id: str) -> TokenRow | None:
        """Return a row of either kind, or None."""
        join = await self.session.get(JoinTokenRow, token_id)
        return join if join is not None else await self.session.get(ApiTokenRow, token_id)

    async def page(self, after: str | None, limit: int, *, kind: str | None, revoked: bool) -> list[TokenRow]:
        """Return up to `limit` rows in the order of their ids."""
        rows: list[TokenRow] = []
        tables: tuple[tuple[str, Any], ...] = (("join", JoinTokenRow), ("api", ApiTokenRow))
        for name, table in tables:
            if kind not in (None, name):
                continue
            query = select(table).order_by(table.id).limit(limit)
            if after is not None:
                query = query.where(table.id > after)
            if not revoked:
                query = query.where(table.revoked.is_(None))
            rows += (await self.session.scalars(query)).all()
        return sorted(rows, key=lambda row: row.id)[:limit]

    async def agents(self, token_ids: Sequence[str]) -> dict[str, int]:
        """Return how many agents each of these tokens has let in, if their number is limited."""
        query = (
            select(JoinTokenUse.token, func.count())
            .where(JoinTokenUse.token.in_(token_ids))
            .group_by(JoinTokenUse.token)
        )
        return {row[0]: row[1] for row in await self.session.execute(query)}

    async def other_admins(self, token_id: str) -> int:
        """Return how many other tokens with the role admin are good for ever."""
        query = select(func.count()).where(
            ApiTokenRow.role == Role.ADMIN,
            ApiTokenRow.id != token_id,
            ApiTokenRow.revoked.is_(None),
            ApiTokenRow.expires.is_(None),
        )
        return await self.session.scalar(query.select_from(ApiTokenRow)) or 0

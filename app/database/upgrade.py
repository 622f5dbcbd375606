"""What `backplane db upgrade` does."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from app.database_url import DatabaseUrl

from .database import Database
from .schema import SCHEMA, current_schema

__all__ = ["upgrade_database"]


def upgrade_database(url: DatabaseUrl) -> tuple[str | None, str]:
    """Bring a database to this version's schema; return the schemas before and after.

    Raises DatabaseUnavailable, and SchemaMismatch for a database that is newer or not ours.
    """
    return asyncio.run(_upgrade(url))


async def _upgrade(url: DatabaseUrl) -> tuple[str | None, str]:
    before: list[str | None] = []

    def look(connection: Connection) -> None:
        before.append(current_schema(connection))

    database = Database(url)
    try:
        await database.open(upgrade=True, look=look)
        return before[0], SCHEMA
    finally:
        await database.close()

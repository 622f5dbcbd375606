"""The SQL of policies."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app.database.models import PolicyRow, RoutePolicy, SettingRow
from app.management.documents import DocumentRepository

__all__ = ["DEFAULT_POLICIES", "PolicyRepository", "SettingRepository"]

DEFAULT_POLICIES = "default_policies"
"""The setting with the names of the policies for discovered services."""


class PolicyRepository(DocumentRepository[PolicyRow]):
    """Reads and writes policies."""

    table = PolicyRow

    async def users(self, policy: str, limit: int) -> list[str]:
        """Return the names of up to `limit` routes that use a policy."""
        query = select(RoutePolicy.route).where(RoutePolicy.policy == policy).order_by(RoutePolicy.route)
        return list((await self.session.scalars(query.limit(limit))).all())


class SettingRepository(DocumentRepository[SettingRow]):
    """Reads and writes settings of the fleet."""

    table = SettingRow

    async def value(self, key: str, default: Any) -> Any:
        """Return a setting's value."""
        row = await self.get(key)
        return default if row is None else row.value

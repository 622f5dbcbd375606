"""Rows for the tests of the database."""

from __future__ import annotations

from datetime import UTC, datetime

from app.database.models import SettingRow

__all__ = ["NOW", "setting"]

NOW = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


def setting(key: str, value: object = "x") -> SettingRow:
    """Make a row."""
    return SettingRow(key=key, value=value, version=1, updated=NOW)

"""Services: the names that instances go by, and how many there are."""

from __future__ import annotations

from .endpoints import router

__all__ = ["router"]

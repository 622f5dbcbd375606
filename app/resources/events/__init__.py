"""Events: what was changed, by whom, and what happens now."""

from __future__ import annotations

from .endpoints import router

__all__ = ["router"]

"""The whole configuration as one document, to be kept in git and applied."""

from __future__ import annotations

from .endpoints import router

__all__ = ["router"]

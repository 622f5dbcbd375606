"""Routes: which requests go to which instances."""

from __future__ import annotations

from .endpoints import explaining, router

__all__ = ["explaining", "router"]

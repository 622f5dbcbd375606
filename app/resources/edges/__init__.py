"""Edges: what this one is, and how it is."""

from __future__ import annotations

from .endpoints import router

__all__ = ["router"]

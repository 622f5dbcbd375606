"""Tokens: who may register agents, and who may use the management API."""

from __future__ import annotations

from .endpoints import router

__all__ = ["router"]

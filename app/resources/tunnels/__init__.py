"""Tunnels: the connections that agents have dialled."""

from __future__ import annotations

from .endpoints import router

__all__ = ["router"]

"""Policies: what shapes and secures the requests of the routes that use them."""

from __future__ import annotations

from .endpoints import defaults, router

__all__ = ["defaults", "router"]

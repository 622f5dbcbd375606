"""Instances: what requests go to; which of them are not to get any."""

from __future__ import annotations

from .endpoints import drains, router

__all__ = ["drains", "router"]

"""The resources of the management API: a folder each, with endpoints, rules, SQL and schemas."""

from __future__ import annotations

from fastapi import APIRouter

from . import config, events, policies, routes, tokens

__all__ = ["LARGE_BODIES", "routers"]

LARGE_BODIES = {"/v1/config": 64 * 1024 * 1024}
"""Paths whose bodies may be larger than others', in bytes."""


def routers() -> list[APIRouter]:
    """Return what the app is made of."""
    return [
        routes.explaining,
        routes.router,
        policies.router,
        policies.defaults,
        tokens.router,
        events.router,
        config.router,
    ]

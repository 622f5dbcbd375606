"""The resources of the management API: a folder each, with endpoints, rules, SQL and schemas."""

from __future__ import annotations

from fastapi import APIRouter

from . import config, edges, events, instances, policies, routes, services, tokens, tunnels

__all__ = ["LARGE_BODIES", "routers"]

LARGE_BODIES = {"/v1/config": 64 * 1024 * 1024}
"""Paths whose bodies may be larger than others', in bytes."""


def routers() -> list[APIRouter]:
    """Return what the app is made of."""
    return [
        routes.router,
        routes.explaining,
        policies.router,
        policies.defaults,
        services.router,
        instances.router,
        instances.drains,
        tunnels.router,
        edges.router,
        tokens.router,
        events.router,
        config.router,
    ]

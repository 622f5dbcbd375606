"""Routes that nobody made: each service that its token publishes is served as `<service>.<domain>`."""

from __future__ import annotations

from collections.abc import Sequence

from app.state import EdgeState

from .schemas import Route

__all__ = ["discovered_routes"]


def discovered_routes(state: EdgeState, *, domain: str, policies: Sequence[str] = ()) -> list[Route]:
    """Return them in the order of their names."""
    services = sorted({instance.service for instance in state.instances if instance.publish})
    return [
        Route.model_validate(
            {
                "name": f"{service}.{domain}",
                "host": f"{service}.{domain}",
                "targets": [{"selector": f"service={service}"}],
                "policies": list(policies),
                "source": "discovered",
            }
        )
        for service in services
    ]

"""What a data plane may say, with values that matter to few tests."""

from __future__ import annotations

from typing import Any

from edge.port import DURATION_BOUNDS, Counters, InstanceState

__all__ = ["make_counters", "make_instance"]


def make_instance(
    service: str = "web",
    *,
    agent: str = "a",
    healthy: int = 1,
    tunnels: int = 1,
    zone: str = "",
    **more: Any,
) -> InstanceState:
    return InstanceState(
        service=service,
        agent_id=agent,
        zone=zone,
        labels={},
        healthy=healthy,
        total=2,
        in_flight=0,
        tunnels=tunnels,
        **more,
    )


def make_counters(**changes: Any) -> Counters:
    values: dict[str, Any] = {
        "requests": (),
        "duration_buckets": tuple(range(len(DURATION_BOUNDS) + 1)),
        "duration_sum": 12.5,
        "bytes_in": 1,
        "bytes_out": 2,
        "retries": 3,
        "in_flight": 4,
        "public_connections": 5,
        "tunnels_opened": 6,
        "registrations_refused": 7,
    }
    return Counters(**(values | changes))

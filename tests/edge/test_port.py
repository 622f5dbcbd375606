from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from edge.port import (
    Configure,
    DrainPlane,
    InstanceState,
    PlaneReady,
    PlaneStopped,
    PortMessage,
    RegistryState,
    local_ports,
)
from edge.snapshot import JoinGrant, Snapshot

from .fakes import VERSION


def exchange(down: list[PortMessage], up: list[PortMessage]) -> tuple[list[PortMessage], list[PortMessage]]:
    """Send messages both ways and return what came out of each end."""
    got_down: list[PortMessage] = []
    got_up: list[PortMessage] = []

    async def main() -> None:
        control, plane = local_ports()
        control.receive, plane.receive = got_up.append, got_down.append
        for message in down:
            control.send(message)
        for message in up:
            plane.send(message)
        assert not got_down
        assert not got_up
        await asyncio.sleep(0)

    asyncio.run(main())
    return got_down, got_up


def test_messages_cross_in_order_as_equal_copies() -> None:
    grant = JoinGrant(token_id="t", secret_sha256="0", labels={"a": "b"}, expires=1.5)
    down: list[PortMessage] = [
        Configure(snapshot=Snapshot(version=VERSION, edge_id="e", grants=(grant,))),
        DrainPlane(timeout=1.0),
    ]
    instance = InstanceState(
        service="web", agent_id="a", zone="", labels={"a": "b"}, healthy=1, total=2, in_flight=3, tunnels=1
    )
    up: list[PortMessage] = [
        PlaneReady(public="[::1]:80", tunnel="127.0.0.1:1"),
        RegistryState(instances=(instance,), tunnels=1),
        PlaneStopped(),
    ]
    got_down, got_up = exchange(down, up)
    assert (got_down, got_up) == (down, up)
    assert got_down[0] is not down[0]


def test_a_message_of_another_version_or_direction_is_not_taken() -> None:
    async def main() -> None:
        control, plane = local_ports()
        control.receive = plane.receive = lambda message: None
        with pytest.raises(ValidationError):
            plane.feed(b'{"v":2,"kind":"drain","timeout":1}')
        with pytest.raises(ValidationError):
            plane.feed(PlaneStopped().model_dump_json().encode())

    asyncio.run(main())

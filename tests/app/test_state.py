from __future__ import annotations

import asyncio

from app.state import EdgeState
from edge.port import InstanceState, PlaneReady, PlaneStopped, RegistryState


def make_instance(
    service: str = "web", *, healthy: int = 1, tunnels: int = 1, zone: str = ""
) -> InstanceState:
    return InstanceState(
        service=service,
        agent_id="a",
        zone=zone,
        labels={},
        healthy=healthy,
        total=2,
        in_flight=0,
        tunnels=tunnels,
    )


def test_an_edge_serves_from_ready_until_it_drains() -> None:
    async def main() -> None:
        state = EdgeState()
        assert not state.serving
        state.on_notice(PlaneReady(public="a:1", tunnel="b:2"))
        assert state.serving
        assert state.listening.is_set()
        state.draining = True
        assert not state.serving

    asyncio.run(main())


def test_the_last_word_of_the_data_plane_counts() -> None:
    async def main() -> None:
        state = EdgeState()
        for services in (("web", "api"), ("web",)):
            instances = tuple(make_instance(service) for service in services)
            state.on_notice(RegistryState(instances=instances, tunnels=len(services)))
        assert [one.service for one in state.instances] == ["web"]
        state.on_notice(PlaneStopped())
        assert state.stopped.is_set()

    asyncio.run(main())

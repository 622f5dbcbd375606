from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.state import EdgeState
from edge.port import PlaneReady, RegistryChange, RegistryState, RequestCount

from .notices import make_counters, make_instance

READY = PlaneReady(public="a:1", tunnel="b:2", pid=1)


def play(scene: Callable[[EdgeState], None]) -> None:
    async def main() -> None:
        scene(EdgeState())

    asyncio.run(main())


def test_an_edge_serves_from_ready_until_it_drains() -> None:
    def scene(state: EdgeState) -> None:
        assert not state.serving
        state.on_notice(READY)
        assert state.serving
        assert state.listening.is_set()
        state.draining = True
        assert not state.serving

    play(scene)


def test_without_a_data_plane_nothing_is_known_and_nothing_served() -> None:
    def scene(state: EdgeState) -> None:
        assert state.plane_gone.is_set()
        state.on_notice(READY)
        assert not state.plane_gone.is_set()
        state.on_notice(RegistryState(instances=(make_instance(),), tunnels=1))
        state.on_notice(make_counters())
        state.on_plane_gone()
        assert state.plane_gone.is_set()
        assert (state.serving, state.instances, state.tunnels, state.counters) == (False, (), 0, None)

    play(scene)


def test_the_last_word_of_the_data_plane_counts() -> None:
    def scene(state: EdgeState) -> None:
        for services in (("web", "api"), ("web",)):
            instances = tuple(make_instance(service) for service in services)
            state.on_notice(RegistryState(instances=instances, tunnels=len(services)))
        assert [one.service for one in state.instances] == ["web"]

    play(scene)


def test_a_change_replaces_what_was_known_of_its_agents() -> None:
    def scene(state: EdgeState) -> None:
        known = (
            make_instance("web"),
            make_instance("api"),
            make_instance(agent="b"),
            make_instance(agent="c"),
        )
        state.on_notice(RegistryState(instances=known, tunnels=3))
        now = (make_instance("web", healthy=0), make_instance(agent="d"))
        state.on_notice(RegistryChange(agents=("a", "b", "d"), instances=now, tunnels=4))
        assert {(one.agent_id, one.service, one.healthy) for one in state.instances} == {
            ("a", "web", 0),
            ("c", "web", 1),
            ("d", "web", 1),
        }
        assert state.tunnels == 4

    play(scene)


def test_series_that_are_not_told_again_are_kept() -> None:
    def scene(state: EdgeState) -> None:
        for counts in ({"web": 1, "api": 2}, {"web": 5}, {}):
            requests = tuple(
                RequestCount(service=service, status_class="2xx", count=count)
                for service, count in counts.items()
            )
            state.on_notice(make_counters(requests=requests))
        assert state.counters is not None
        assert {one.service: one.count for one in state.counters.requests} == {"web": 5, "api": 2}

    play(scene)

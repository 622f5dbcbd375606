"""Config on its way into a running data plane: over the port, in force for real requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.identity import Identity
from edge.explain import Question
from edge.plane import DataPlane
from edge.port import ChangeConfig, ConfigState, Configure, Explain, Explained
from edge.route import RouteSpec
from edge.snapshot import Snapshot, SnapshotChange, parts
from h2s.messages import ConfigVersion

from .agents import eventually, load_identity, make_snapshot
from .fakes import VERSION
from .test_plane import Edge, play

SHOP = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    folder: Path = tmp_path_factory.mktemp("edge")
    return load_identity(folder)


def version(n: int) -> ConfigVersion:
    return VERSION.model_copy(update={"n": n})


def routes(*hosts: str, service: str = "web") -> tuple[RouteSpec, ...]:
    return tuple(
        RouteSpec.model_validate(
            {"name": host, "host": host, "targets": [{"selector": f"service={service}"}]}
        )
        for host in hosts
    )


def make_change(base: int, n: int, **more: Any) -> SnapshotChange:
    return SnapshotChange(base=version(base), version=version(n), **more)


async def status(edge: Edge, request: bytes = SHOP) -> int:
    """The status of a request that goes nowhere, or that the agent's end answers."""
    return int((await edge.fetch(request)).split()[1])


async def told(edge: Edge, fits: Callable[[ConfigState], bool]) -> ConfigState:
    """Wait for a word on the config that fits."""

    def found() -> ConfigState | None:
        states = [notice for notice in edge.notices if isinstance(notice, ConfigState)]
        return next(filter(fits, states), None)

    state: ConfigState = await eventually(found, "a word on the config")
    return state


def whole(identity: Identity, n: int, *hosts: str, service: str = "web") -> Snapshot:
    update = {"version": version(n), "default_service": "none", "routes": routes(*hosts, service=service)}
    return make_snapshot(identity).model_copy(update=update)


def test_routes_come_and_go_with_the_config(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.ready()
        edge.control.send(Configure(snapshot=whole(identity, 2)))
        assert await status(edge) == 404
        edge.control.send(ChangeConfig(change=make_change(2, 3, routes=routes("shop.test"))))
        assert await status(edge) == 503, "there is a route, and nobody to serve it"
        edge.control.send(ChangeConfig(change=make_change(3, 4, routes_removed=("shop.test",))))
        assert await status(edge) == 404
        await told(edge, lambda state: state.version == version(4))

    play(identity, scene)


def test_a_route_leads_to_an_agent(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        edge.control.send(Configure(snapshot=whole(identity, 2, "shop.test")))
        reader, writer = await edge.open(SHOP)
        (await agent.call()).answer(b"hello")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()

    play(identity, scene)


def test_parts_are_in_force_with_the_last(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.ready()
        hosts = ["shop.test", *(f"h{number}.test" for number in range(9))]
        first, *middle, last = parts(whole(identity, 2, *hosts), 2)
        assert isinstance(first, Snapshot)
        edge.control.send(Configure(snapshot=first))
        for part in middle:
            assert isinstance(part, SnapshotChange)
            edge.control.send(ChangeConfig(change=part))
        edge.control.send(Configure(snapshot=whole(identity, 3)))
        await told(edge, lambda state: state.version == version(3))
        assert await status(edge) == 404, "a newer whole snapshot has ended it"
        edge.control.send(ChangeConfig(change=last))
        await told(edge, lambda state: state.wants_snapshot)

    play(identity, scene)


def test_a_gap_asks_for_a_whole_snapshot_and_changes_nothing(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.ready()
        edge.control.send(ChangeConfig(change=make_change(5, 6, routes=routes("shop.test"))))
        state = await told(edge, lambda state: state.wants_snapshot)
        assert (state.version, state.refused) == (VERSION, "")

    play(identity, scene)


def test_what_cannot_be_served_is_refused_with_the_reason(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.ready()
        twice = (*routes("shop.test"), routes("shop.test")[0].model_copy(update={"name": "other"}))
        edge.control.send(ChangeConfig(change=make_change(1, 2, routes=twice)))
        state = await told(edge, lambda state: bool(state.refused))
        assert (state.version, state.wants_snapshot) == (VERSION, False)
        assert "identical" in state.refused

    play(identity, scene)


def test_a_first_snapshot_in_parts_is_waited_for(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = parts(whole(identity, 1, "shop.test", "other.test", "third.test"), 1)
    monkeypatch.setattr("tests.edge.test_plane.make_snapshot", lambda identity: first, raising=False)

    async def scene(edge: Edge) -> None:
        assert isinstance(edge.plane, DataPlane)
        assert edge.plane._intake.is_pending
        for part in rest:
            assert isinstance(part, SnapshotChange)
            edge.control.send(ChangeConfig(change=part))
        await edge.ready()
        assert await status(edge) == 503

    play(identity, scene)


def test_a_running_edge_explains_itself(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.agent()
        edge.control.send(Explain(id=7, question=Question(host="web.localhost")))
        answer: Explained = await eventually(lambda: edge.last(Explained), "an answer")
        assert (answer.id, answer.explanation.service) == (7, "web")
        assert answer.explanation.targets[0].some[0].agent_id == "a"

    play(identity, scene)

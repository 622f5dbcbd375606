from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app import planes as planes_module
from app.management.problem import Unavailable
from app.planes import Planes
from edge.explain import Explanation, Question
from edge.port import AskLoad, ConfigState, Disconnect, Explain, Explained, Load, PortMessage
from edge.snapshot import Snapshot
from h2s.messages import ConfigVersion

VERSION = ConfigVersion(fleet="f", epoch=1, n=3)
SNAPSHOT = Snapshot(version=VERSION, edge_id="e")


def play(
    scene: Callable[[Planes, list[PortMessage]], Coroutine[Any, Any, None]], *, there: bool = True
) -> None:
    async def main() -> None:
        sent: list[PortMessage] = []
        planes = Planes(sent.append, lambda: SNAPSHOT)
        if there:
            planes.on_notice(ConfigState(version=VERSION))
        await scene(planes, sent)

    asyncio.run(main())


def test_a_question_gets_its_own_answer() -> None:
    async def scene(planes: Planes, sent: list[PortMessage]) -> None:
        explaining = asyncio.create_task(planes.explain(Question(host="a.example")))
        loading = asyncio.create_task(planes.load(agents=["a", "a", "b"], services=["web"]))
        await asyncio.sleep(0)
        explain, ask = sent
        assert isinstance(explain, Explain)
        assert isinstance(ask, AskLoad)
        assert (ask.agents, ask.services) == (("a", "b"), ("web",))
        load = Load(id=ask.id, instances={"web.a": 1}, tunnels={}, services={})
        planes.on_notice(load)
        planes.on_notice(Explained(id=explain.id, explanation=Explanation(route="shop")))
        assert await loading == load
        assert (await explaining).route == "shop"

    play(scene)


def test_a_data_plane_that_ends_answers_nothing_and_nobody_waits_for_it() -> None:
    async def scene(planes: Planes, sent: list[PortMessage]) -> None:
        loading = asyncio.create_task(planes.load(agents=["a"]))
        await asyncio.sleep(0)
        planes.on_gone()
        with pytest.raises(Unavailable) as caught:
            await loading
        assert caught.value.code == "data_plane_unavailable"
        with pytest.raises(Unavailable):
            await planes.load(agents=["a"])

    play(scene)


def test_a_data_plane_that_hangs_is_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes_module, "ANSWER_TIMEOUT", 0.01)

    async def scene(planes: Planes, sent: list[PortMessage]) -> None:
        with pytest.raises(Unavailable):
            await planes.load(agents=["a"])

    play(scene)


def test_a_disconnect_goes_down_as_it_is() -> None:
    async def scene(planes: Planes, sent: list[PortMessage]) -> None:
        planes.disconnect(["a"], 1.5)
        assert sent == [Disconnect(agents=("a",), grace=1.5)]

    play(scene, there=False)

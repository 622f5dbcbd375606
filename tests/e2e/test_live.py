"""What an operator sees of a real edge and its agents, and does to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from .programs import eventually
from .stage import Stage
from .test_management import SHOP, console, status


def instance_ids(api: httpx.Client, **params: str) -> list[str]:
    return [one["id"] for one in api.get("/v1/instances", params=params).json()["items"]]


class Follower:
    """Follows the events of an edge in a thread."""

    def __init__(self, api: httpx.Client) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.welcome = threading.Event()
        self._client = httpx.Client(
            base_url=api.base_url, headers=api.headers, trust_env=False, timeout=httpx.Timeout(10, read=None)
        )
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        kind = ""
        with self._client.stream("GET", "/v1/events/stream") as stream:
            for line in stream.iter_lines():
                self.welcome.set()
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    self.events.append((kind, json.loads(value)))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._client.close()


@contextmanager
def followed(api: httpx.Client) -> Iterator[Follower]:
    follower = Follower(api)
    assert follower.welcome.wait(10)
    yield follower
    follower.join()


def test_what_comes_and_goes_is_listed_and_told(stage: Stage) -> None:
    edge = stage.edge("edge", "--zone", "here")
    origin = stage.origin()
    with console(edge) as api, followed(api) as follower:
        assert instance_ids(api) == []
        options = ("--id", "one", "--label", "release=v1", "--zone", "here", "--tunnels", "2")
        agent = stage.agent("agent", *options, edges=[edge], services={"web": origin.url, "api": origin.url})
        assert instance_ids(api) == ["api.one", "web.one"]
        assert instance_ids(api, selector="service=web,release=v1,zone=here") == ["web.one"]
        eventually(lambda: len(api.get("/v1/tunnels").json()["items"]) == 2, within=10, what="both tunnels")
        [found] = api.get("/v1/edges").json()["items"]
        assert (found["instances"], found["healthy"], found["agents"], found["zone"]) == (2, 2, 1, "here")
        assert found["engine"] in ("native", "portable")
        web = api.get("/v1/services/web").json()
        assert (web["healthy"], web["zones"]) == (1, {"here": {"instances": 1, "healthy": 1}})
        agent.stop()
        eventually(lambda: instance_ids(api) == [], within=10, what="the agent is gone")
        wanted = {"tunnel_opened", "tunnel_closed", "instance_up", "instance_down"}
        eventually(lambda: wanted <= set(follower.kinds()), within=10, what="all is told")
        assert follower.kinds().count("tunnel_opened") == follower.kinds().count("tunnel_closed") == 2
        edge.stop()


def test_a_drained_instance_stays_so_until_it_is_resumed(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "none")
    origin = stage.origin()
    agent = stage.agent("agent", "--id", "one", edges=[edge], services={"web": origin.url})
    with console(edge) as api:
        api.post("/v1/routes", json=SHOP)
        for round_ in range(10):
            assert api.post("/v1/instances/web.one:drain").status_code == 204
            assert status(edge, "shop.example") == 503, round_
            assert api.post("/v1/instances/web.one:resume").status_code == 204
            assert status(edge, "shop.example") == 200, round_
        api.post("/v1/instances/web.one:drain")
        agent.stop()
        again = stage.agent("again", "--id", "one", edges=[edge], services={"web": origin.url}, ready=False)
        eventually(lambda: instance_ids(api, health="healthy") == ["web.one"], within=20, what="it is back")
        assert api.get("/v1/instances/web.one").json()["draining"] == "operator"
        assert status(edge, "shop.example") == 503
        plane = api.get("/v1/edges").json()["items"][0]["started"]
        edge.part("edge.main").kill()
        eventually(
            lambda: api.get("/v1/edges").json()["items"][0]["started"] not in (plane, None),
            within=20,
            what="another data plane",
        )
        eventually(lambda: instance_ids(api, health="healthy") == ["web.one"], within=20, what="it is back")
        assert status(edge, "shop.example") == 503
        assert api.post("/v1/instances/web.one:resume").status_code == 204
        assert status(edge, "shop.example") == 200
        again.stop()


def test_a_disconnected_agent_comes_back_by_itself(stage: Stage) -> None:
    edge = stage.edge()
    stage.agent("agent", "--id", "one", edges=[edge], services={"web": stage.origin().url})
    with console(edge) as api:

        def tunnels() -> set[str]:
            return {one["id"] for one in api.get("/v1/tunnels").json()["items"]}

        eventually(lambda: len(tunnels()) == 2, within=10, what="both tunnels")
        before = tunnels()
        assert api.post("/v1/instances/web.one:disconnect").status_code == 204
        eventually(lambda: len(tunnels() - before) == 2, within=20, what="both tunnels anew")
        assert not tunnels() & before

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from backplane import AsyncClient, Client, Instance, NotFound
from backplane.cli.exit import ExitCode
from tests.e2e.programs import eventually
from tests.e2e.stage import Edge

Run = Callable[..., Any]


@pytest.fixture
def web(client: Client) -> Instance:
    """The one instance that is connected."""
    [found] = client.instances.list()
    return found


@pytest.fixture
def on_edge(run: Run, edge: Edge) -> Run:
    """Runs `backplane` with the data directory of the edge."""
    return lambda *arguments: run(*arguments, "--data-dir", edge.data_dir)


def test_instance_is_listed_by_its_labels(client: Client, web: Instance) -> None:
    assert (web.service, web.labels, web.health, web.draining) == ("web", {"release": "v1"}, "healthy", None)
    assert client.instances.get(web.id).id == web.id
    assert [one.id for one in client.instances.list(selector="release=v1", health="healthy")] == [web.id]
    assert list(client.instances.list(selector="release=v2")) == []
    with pytest.raises(NotFound):
        client.instances.get("web.nobody")


def test_instances_are_counted(client: Client) -> None:
    [count] = client.instances.count(["service", "release"])
    assert (count.by, count.instances, count.healthy) == ({"service": "web", "release": "v1"}, 1, 1)


def test_instance_is_drained_and_resumed(client: Client, web: Instance) -> None:
    client.instances.drain(web.id)
    assert [one.instance for one in client.instances.drains()] == [web.id]
    eventually(lambda: client.instances.get(web.id).draining == "operator", within=10, what="it is drained")
    client.instances.resume(web.id)
    eventually(lambda: client.instances.get(web.id).draining is None, within=10, what="it is resumed")
    assert list(client.instances.drains()) == []


def test_edge_services_and_tunnels_are_shown(client: Client, edge: Edge) -> None:
    [shown] = client.edges.list()
    assert (shown.status, shown.public, shown.database) == ("ok", str(edge.public), None)
    assert client.edges.get(shown.id).id == shown.id
    [service] = client.services.list()
    assert (service.name, service.host, service.healthy) == ("web", "web.localhost", 1)
    assert client.services.get("web").instances == 1
    tunnel = next(client.tunnels.list(selector="service=web", page_size=1))
    assert tunnel.services == ["web"]
    assert client.tunnels.get(tunnel.id).agent == tunnel.agent


def test_agent_that_is_disconnected_comes_back(client: Client, web: Instance) -> None:
    before = {one.id for one in client.tunnels.list()}
    client.instances.disconnect(web.id, grace=0)

    def is_back() -> bool:
        tunnels = {one.id for one in client.tunnels.list()}
        return bool(tunnels - before) and any(one.health == "healthy" for one in client.instances.list())

    eventually(is_back, within=20, what="the agent is back")


def test_coroutines_look_too(client: Client, edge: Edge, web: Instance) -> None:
    async def main() -> None:
        async with AsyncClient.local(edge.data_dir) as other:
            assert [one.id async for one in other.instances.list()] == [web.id]
            assert (await other.instances.get(web.id)).id == web.id
            assert [one.instances async for one in other.instances.count(["zone"])] == [1]
            await other.instances.drain(web.id)
            assert [one.instance async for one in other.instances.drains()] == [web.id]
            await other.instances.resume(web.id)
            assert [one.name async for one in other.services.list()] == ["web"]
            [shown] = [one async for one in other.edges.list()]
            assert (await other.edges.get(shown.id)).id == shown.id
            tunnel = await anext(other.tunnels.list())
            assert (await other.tunnels.get(tunnel.id)).agent == web.agent
            with pytest.raises(NotFound):
                await other.instances.disconnect("web.nobody")

    asyncio.run(main())


def test_status_is_a_glance(on_edge: Run, client: Client) -> None:
    lines = on_edge("status").out.splitlines()
    assert lines[0].split() == ["EDGE", "STATUS", "UP", "PUBLIC", "AGENTS", "INSTANCES", "RUNNING", "REQ/S"]
    assert lines[1].split()[1] == "ok"
    assert lines[1].split()[4:6] == ["1", "1/1"]
    assert lines[4].split()[:2] == ["web", "1/1"]
    shown = json.loads(on_edge("status", "-o", "json").out)
    assert (len(shown["edges"]), shown["services"][0]["name"]) == (1, "web")


def test_instances_are_drained_by_command(on_edge: Run, client: Client, web: Instance) -> None:
    assert on_edge("instance", "list", "release=v1").out.splitlines()[1].split()[:2] == [web.id, "healthy"]
    assert on_edge("instance", "drain", web.id).out == f"instance {web.id} is drained\n"
    assert web.id in on_edge("instance", "list", "--drained").out
    assert on_edge("instance", "resume", web.id).code == 0
    assert "release=v1" in on_edge("instance", "get", web.id).out
    assert [
        line.split() for line in on_edge("instance", "count", "service", "release", "zone").out.splitlines()
    ] == [
        ["SERVICE", "RELEASE", "ZONE", "HEALTHY", "DRAINING", "CAPACITY"],
        ["web", "v1", "-", "1/1", "-", str(web.capacity)],
    ]
    assert on_edge("instance", "count", "service", "--selector", "release=v2").out == ""
    assert on_edge("tunnel", "list", "service=web").out.splitlines()[1].split()[1] == web.agent
    gone = on_edge("instance", "disconnect", "web.nobody", "--grace", "0")
    assert gone.code == ExitCode.NOT_FOUND

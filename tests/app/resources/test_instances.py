from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from app.management.credentials import Role
from app.resources.instances import service as service_module
from tests.app.console import Console, instance
from tests.app.resources.test_routes import fields, problem

FLEET = (
    instance("web", agent_id="a", zone="z1", labels={"release": "v1"}, in_flight=3),
    instance("web", agent_id="b", zone="z2", labels={"release": "v2"}, healthy=0),
    instance("api", agent_id="a", zone="z1", total=0, healthy=0),
    instance("web", agent_id="c", zone="z1", labels={"release": "v1"}, tunnels=0),
)


def ids(api: Console, **params: Any) -> list[str]:
    return [one["id"] for one in api.get("/v1/instances", params=params).json()["items"]]


def test_an_instance_is_shown_as_the_edge_knows_it(console: Console) -> None:
    console.connect(*FLEET)
    found = console.get("/v1/instances/web.a").json()
    assert found == {
        "id": "web.a",
        "service": "web",
        "agent": "a",
        "labels": {"release": "v1"},
        "zone": "z1",
        "health": "healthy",
        "since": "1970-01-01T00:00:01.500000Z",
        "healthy": 1,
        "total": 1,
        "ejected": False,
        "draining": None,
        "in_flight": 3,
        "capacity": 100,
        "tunnels": 2,
        "published": True,
        "address": "192.0.2.1",
        "agent_version": "0.1.0",
        "token": "token-1",
        "connected": "1970-01-01T00:00:01Z",
    }
    states = {
        one["id"]: (one["health"], one["draining"]) for one in console.get("/v1/instances").json()["items"]
    }
    assert states == {
        "web.a": ("healthy", None),
        "web.b": ("unhealthy", None),
        "api.a": ("starting", None),
        "web.c": ("healthy", "agent"),
    }
    for missing in ("web.nobody", "db.a"):
        problem(console.get(f"/v1/instances/{missing}"), 404, "instance_not_found")
    assert fields(console.get("/v1/instances/WEB")) == ["path.instance_id"]


def test_instances_are_filtered_and_listed_in_pages(console: Console) -> None:
    assert ids(console) == []
    console.connect(*FLEET)
    assert ids(console, selector="service=web,release=v1") == ["web.a", "web.c"]
    assert ids(console, selector="zone=z1,agent=a") == ["api.a", "web.a"]
    assert ids(console, health="unhealthy") == ["web.b"]
    assert fields(console.get("/v1/instances", params={"selector": "service=web,,"})) == ["query.selector"]
    found, cursor = [], None
    while True:
        page = console.get(
            "/v1/instances", params={"limit": 1} | ({"cursor": cursor} if cursor else {})
        ).json()
        found += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ["api.a", "web.a", "web.b", "web.c"]


def test_instances_are_counted_by_what_is_asked_for(console: Console) -> None:
    console.connect(*FLEET)

    def counts(**params: Any) -> list[tuple[dict[str, Any], int, int, int, int]]:
        items = console.get("/v1/instances:count", params=params).json()["items"]
        return [
            (one["by"], one["instances"], one["healthy"], one["draining"], one["capacity"]) for one in items
        ]

    assert counts(by="service") == [({"service": "api"}, 1, 0, 0, 100), ({"service": "web"}, 3, 2, 1, 300)]
    assert counts(by=["zone", "release"], selector="service=web") == [
        ({"zone": "z1", "release": "v1"}, 2, 2, 1, 200),
        ({"zone": "z2", "release": "v2"}, 1, 0, 0, 100),
    ]
    assert ({"release": None}, 1, 0, 0, 100) in counts(by="release")
    page = console.get("/v1/instances:count", params={"by": "agent", "limit": 2}).json()
    rest = console.get("/v1/instances:count", params={"by": "agent", "cursor": page["next_cursor"]}).json()
    assert [one["by"]["agent"] for one in page["items"] + rest["items"]] == ["a", "b", "c"]
    assert fields(console.get("/v1/instances:count")) == ["query.by"]


def test_an_instance_is_drained_and_resumed_once(any_console: Console) -> None:
    api = any_console
    api.connect(*FLEET)
    for _ in range(2):
        assert api.post("/v1/instances/web.a:drain", None).status_code == 204
    [drain] = api.get("/v1/drains").json()["items"]
    assert (drain["instance"], drain["actor"]) == ("web.a", "admin-1")
    assert datetime.fromisoformat(drain["since"]).tzinfo is not None
    api.connect()
    for _ in range(1):
        assert api.post("/v1/instances/web.a:resume", None).status_code == 204
    assert api.get("/v1/drains").json()["items"] == []
    problem(api.post("/v1/instances/web.a:resume", None), 404, "instance_not_found")
    problem(api.post("/v1/instances/web.a:drain", None), 404, "instance_not_found")
    events = api.get("/v1/events", params={"kind": "instance", "name": "web.a"}).json()["items"]
    assert [one["action"] for one in events] == ["resume", "drain"]


def test_the_longest_id_there_can_be_is_drained(any_console: Console) -> None:
    one = instance("s" * 63, agent_id="a" * 128)
    any_console.connect(one)
    assert any_console.post(f"/v1/instances/{one.instance_id}:drain", None).status_code == 204
    assert any_console.get("/v1/events").json()["items"][0]["name"] == one.instance_id


def test_drains_are_limited(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MAX_DRAINS", 1)
    console.connect(*FLEET)
    assert console.post("/v1/instances/web.a:drain", None).status_code == 204
    problem(console.post("/v1/instances/web.b:drain", None), 409, "too_many_drains")


def test_a_disconnect_is_an_event_that_the_edges_act_on(any_console: Console) -> None:
    api = any_console
    api.connect(*FLEET)
    assert api.post("/v1/instances/web.a:disconnect?grace=1.5", None).status_code == 204
    [event] = api.get("/v1/events").json()["items"]
    assert (event["action"], event["name"], event["after"]) == ("disconnect", "web.a", {"grace": 1.5})
    assert fields(api.post("/v1/instances/web.a:disconnect?grace=-1", None)) == ["query.grace"]
    problem(api.post("/v1/instances/web.z:disconnect", None), 404, "instance_not_found")


@pytest.mark.parametrize("action", ["drain", "resume", "disconnect"])
def test_a_viewer_looks_at_instances_and_does_nothing_to_them(console: Console, action: str) -> None:
    console.connect(*FLEET)
    assert console.get("/v1/instances/web.a", role=Role.VIEWER).status_code == 200
    problem(console.post(f"/v1/instances/web.a:{action}", None, role=Role.VIEWER), 403, "forbidden")


def test_one_that_is_expected_back_counts_and_is_not_healthy(console: Console) -> None:
    away = instance("web", agent_id="d", tunnels=0, reconnecting=True)
    console.connect(instance("web", agent_id="a"), away, instance("web", agent_id="e", ejected=True))
    found = {one["id"]: one for one in console.get("/v1/instances").json()["items"]}
    assert (found["web.d"]["health"], found["web.d"]["draining"]) == ("reconnecting", None)
    assert ids(console, health="reconnecting") == ["web.d"]
    assert [found[name]["ejected"] for name in ("web.a", "web.e")] == [False, True]
    service = console.get("/v1/services/web").json()
    assert (service["instances"], service["healthy"], service["reconnecting"]) == (3, 2, 1)
    assert service["zones"] == {"": {"instances": 3, "healthy": 2}}

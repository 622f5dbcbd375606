from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.database import DatabaseUnavailable
from app.management import hub as hub_module
from app.management.context import Work
from app.management.credentials import Principal, Role
from app.management.hub import Hub, Told
from app.management.problem import Unavailable
from app.resources.events import service as service_module
from app.resources.events.service import EventService
from tests.app.console import Console
from tests.app.resources.test_routes import SHOP, fields, problem


def test_every_change_is_told_with_who_what_before_and_after(any_console: Console) -> None:
    api = any_console
    made = api.post("/v1/routes", SHOP, role=Role.EDITOR)
    api.patch("/v1/routes/shop", {"priority": 3})
    api.delete("/v1/routes/shop")
    events = api.get("/v1/events").json()["items"]
    assert [(one["action"], one["kind"], one["name"], one["version"]) for one in events] == [
        ("delete", "route", "shop", 3),
        ("update", "route", "shop", 2),
        ("create", "route", "shop", 1),
    ]
    deleted, updated, created = events
    assert (created["actor"], created["before"], created["edge"]) == ("editor-1", None, "edge-1")
    assert created["request_id"] == made.headers["x-request-id"]
    assert (updated["before"]["priority"], updated["after"]["priority"]) == (0, 3)
    assert deleted["after"] is None


def test_what_was_refused_is_no_event(console: Console) -> None:
    console.post("/v1/routes", SHOP | {"policies": ["none"]})
    console.post("/v1/routes", SHOP)
    console.put("/v1/routes/shop", SHOP)
    assert len(console.get("/v1/events").json()["items"]) == 1


def test_events_are_filtered_and_come_in_pages(any_console: Console) -> None:
    api = any_console
    for name in ("a", "b", "c"):
        api.post("/v1/routes", SHOP | {"name": name, "host": f"{name}.example"})
    api.post("/v1/policies", {"name": "a"})
    first = api.get("/v1/events", params={"limit": 3}).json()
    rest = api.get("/v1/events", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == [4, 3, 2, 1]
    assert rest["next_cursor"] is None
    named = api.get("/v1/events", params={"name": "a", "kind": "route"}).json()["items"]
    assert [one["id"] for one in named] == [1]
    assert api.get("/v1/events", params={"actor": "nobody"}).json()["items"] == []
    moment = first["items"][-1]["time"]
    late = api.get("/v1/events", params={"since": moment}).json()["items"]
    early = api.get("/v1/events", params={"until": moment}).json()["items"]
    assert [one["id"] for one in late + early] == [4, 3, 2, 1]
    assert fields(api.get("/v1/events", params={"since": "2031-02-03T04:05:06"})) == ["query.since"]
    for never in ("0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"):  # in no year in UTC
        assert fields(api.get("/v1/events", params={"until": never})) == ["query.until"]
    assert fields(api.get("/v1/events", params={"cursor": "Im5vIG51bWJlciI"})) == ["query.cursor"]


# -- the stream -----------------------------------------------------------------------------------------------------


def streaming(console: Console) -> EventService:
    return EventService(Work(console.management, Principal("viewer-1", Role.VIEWER), "1"))


async def next_event(stream: AsyncIterator[bytes]) -> tuple[str, Any]:
    """Return the kind and the data of the next event."""
    async with asyncio.timeout(10):
        while True:
            lines = (await anext(stream)).decode().splitlines()
            found = dict(line.split(": ", 1) for line in lines if line and not line.startswith(":"))
            if found:
                return found["event"], json.loads(found["data"])


def test_a_listener_hears_what_it_missed_and_then_what_happens(any_console: Console) -> None:
    api = any_console
    for name in ("a", "b"):
        api.post("/v1/routes", SHOP | {"name": name, "host": f"{name}.example"})
    service = streaming(api)

    async def main() -> None:
        stream = service.stream(1)
        assert await anext(stream) == b": welcome\n\n"
        kind, missed = await next_event(stream)
        assert (kind, missed["name"]) == ("audit", "b")
        api.management.hub.tell(Told("audit", {"name": "again"}, 2))
        api.management.hub.tell(Told("instance_up", {"service": "web"}))
        assert await next_event(stream) == ("instance_up", {"service": "web"})
        api.management.hub.close()
        assert [part async for part in stream] == []

    api.run(main())


def test_a_silent_stream_gives_signs_of_life(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "HEARTBEAT", 0.01)

    async def main() -> None:
        stream = streaming(console).stream(None)
        assert [await anext(stream), await anext(stream)] == [b": welcome\n\n", b": still here\n\n"]
        await stream.aclose()
        assert not console.management.hub.has_listeners

    console.run(main())


def test_a_stream_ends_with_its_token(console: Console) -> None:
    async def main() -> None:
        stream = streaming(console).stream(None)
        assert await anext(stream) == b": welcome\n\n"
        console.management.hub.tell(Told("audit", {"name": "a"}, 1))
        assert await next_event(stream) == ("audit", {"name": "a"})
        console.credentials.replace(())
        console.management.hub.tell(Told("audit", {"name": "b"}, 2))
        assert [part async for part in stream] == []

    console.run(main())


def test_one_who_does_not_keep_up_hears_what_waits_and_that_more_is_lost(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "QUEUE", 2)

    async def main() -> None:
        stream = streaming(console).stream(None)
        await anext(stream)
        for number in range(3):
            console.management.hub.tell(Told("audit", {"number": number}, number + 1))
        heard = [await next_event(stream) for _ in range(3)]
        assert heard == [("audit", {"number": 0}), ("audit", {"number": 1}), ("lost", {})]
        assert [part async for part in stream] == []

    console.run(main())


def test_one_that_does_not_keep_up_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "QUEUE", 2)
    hub = Hub()
    with hub.listen("one") as listener:
        for _ in range(3):
            hub.tell(Told("audit", {}))
        assert listener.lost
        assert listener.queue.qsize() == 2


def test_what_keeps_a_stream_from_beginning_is_its_answer(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MAX_LISTENERS", 0)
    problem(console.get("/v1/events/stream"), 503, "too_many_listeners")
    monkeypatch.setattr(hub_module, "MAX_LISTENERS", 1)

    async def gone(*_: object) -> None:
        raise DatabaseUnavailable("it is locked")

    monkeypatch.setattr(EventService, "missed", gone)
    refused = console.get("/v1/events/stream", headers={"Last-Event-ID": "1"})
    problem(refused, 503, "database_unavailable")
    assert not console.management.hub.has_listeners


def test_listeners_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_LISTENERS", 1)
    hub = Hub()
    with hub.listen("one"), pytest.raises(Unavailable), hub.listen("one"):
        pass
    with hub.listen("one"):
        assert hub.has_listeners


def test_one_token_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_OF_ONE_TOKEN", 1)
    hub = Hub()
    with hub.listen("one"):
        with pytest.raises(Unavailable), hub.listen("one"):
            pass
        with hub.listen("other"):
            assert hub.has_listeners

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backplane import (
    AsyncClient,
    BackplaneError,
    Client,
    EdgeUnreachable,
    RetryPolicy,
    Route,
    StreamedEvent,
    Target,
    Unauthorized,
    UnexpectedAnswer,
)
from backplane.models.events import Event
from backplane.stream import MAX_EVENT, EventDecoder, Follower
from tests.e2e.stage import Edge

from .scripted import Reply, Scripted

STREAM = (
    b": welcome\n\n"
    b'id: 7\nevent: audit\ndata: {"a": 1}\n\n'
    b'event: instance_up\r\ndata: {"b":\r\ndata: 2}\r\n\r\n'
    b"retry: 3\n\n"
    b"id: x\ndata:{}\n\n"
)
EVENTS = [
    StreamedEvent("audit", {"a": 1}, 7),
    StreamedEvent("instance_up", {"b": 2}),
    StreamedEvent("message", {}),
]
SHOP = Route(name="shop", host="shop.example", targets=[Target(selector="service=web")])
QUICK = RetryPolicy(attempts=3, delay=0.001)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_any_split_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    decoder = EventDecoder()
    ends = [*cuts, len(STREAM)]
    chunks = [STREAM[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
    assert [event for chunk in chunks for event in decoder.feed(chunk)] == EVENTS


@pytest.mark.parametrize("data", [b"x", b"[]", b"3", b"\xff"])
def test_event_that_is_no_object_is_not_taken(data: bytes) -> None:
    with pytest.raises(UnexpectedAnswer):
        EventDecoder().feed(b"data: " + data + b"\n\n")


def test_event_without_end_is_not_kept() -> None:
    decoder = EventDecoder()
    for _ in range(MAX_EVENT // 65536):
        decoder.feed(b"x" * 65536)
    with pytest.raises(UnexpectedAnswer, match="too large"):
        decoder.feed(b"x")


def test_stream_goes_on_after_the_last_event_that_was_seen() -> None:
    follower = Follower(after=None, retry=QUICK)
    assert "Last-Event-ID" not in follower.begin().headers
    follower.feed(STREAM)
    assert follower.wait(EdgeUnreachable("lost", sent=True), 0.0) == 0
    assert follower.begin().headers["Last-Event-ID"] == "7"


def test_stream_that_ends_again_and_again_is_given_up() -> None:
    follower = Follower(after=None, retry=QUICK)
    for _ in range(2):
        follower.wait(None, 0.0)
    follower.feed(b": a sign of life\n")
    for _ in range(2):
        follower.wait(None, 0.0)
    with pytest.raises(EdgeUnreachable, match="again and again"):
        follower.wait(None, 0.0)


def test_stream_is_begun_anew_over_the_network() -> None:
    first = Reply(body=b'id: 1\nevent: audit\ndata: {"n": 1}\n\nid: 2\n')
    second = Reply(body=b'id: 2\nevent: audit\ndata: {"n": 2}\n\n')
    with Scripted([first, Reply(0), second, Reply(0)]).serving() as server, Client(server.url) as client:
        seen = []
        with pytest.raises(BackplaneError):
            seen += [one.data["n"] for one in client.events.follow(retry=RetryPolicy(attempts=1))]
        stream = client.events.follow(retry=RetryPolicy(attempts=3, delay=0.001))
        seen = [next(stream).data["n"]]
        stream.close()
    assert seen == [2]


def test_wrong_token_ends_the_stream(edge: Edge) -> None:
    with Client(edge.api_url, token="wrong") as client, pytest.raises(Unauthorized):
        next(client.events.follow())


def test_changes_are_followed(client: Client) -> None:
    client.routes.create(SHOP)
    made = next(client.events.list(name="shop", action="create"))
    stream = client.events.follow(after=made.id - 1)
    first = next(stream)
    assert (first.kind, first.event) == ("audit", made)
    client.routes.delete("shop")
    gone = next(one for one in stream if one.event is not None)
    assert isinstance(gone.event, Event)
    assert (gone.event.action, gone.event.after) == ("delete", None)


def test_coroutines_follow_too(client: Client, edge: Edge) -> None:
    async def main() -> None:
        async with AsyncClient.local(edge.data_dir) as other:
            made = await other.routes.create(SHOP)
            last = await anext(other.events.list(kind="route"))
            assert (last.name, last.version) == ("shop", made.version)
            stream = other.events.follow(after=last.id - 1)
            assert (await anext(stream)).event == last
            await stream.aclose()

    asyncio.run(main())


def test_events_say_who_did_what(client: Client) -> None:
    client.routes.create(SHOP)
    client.routes.update("shop", {"priority": 3})
    events = list(client.events.list(kind="route", name="shop", page_size=1))
    assert [one.action for one in events[:2]] == ["update", "create"]
    assert (events[0].before["priority"], events[0].after["priority"]) == (0, 3)
    assert [one.id for one in client.events.list(name="shop", since=events[0].time)] == [events[0].id]
    assert json.loads(events[0].model_dump_json())["actor"].startswith("admin-")

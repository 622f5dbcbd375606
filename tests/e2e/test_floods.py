"""What hostile HTTP/2 clients do costs them their connection, and nobody else anything; one row a flood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from .client2 import Client2
from .rawapp import WAIT, Scene
from .wire2 import Headers, Octets, Sendable, Wire2, encode, head, headers

pytestmark = pytest.mark.e2e

ENHANCE_YOUR_CALM = 0xB
CANCEL = 0x8
END = "END_STREAM"
CANCELS_A_CONNECTION = 1000
"""What an edge bears with by default in one go."""
ENDLESS = 50_000
"""Rounds of a flood: far more than an edge bears with."""
MEMORY = 200 * 1024 * 1024
"""Bytes that an edge may hold after all of them."""
POST = head(method=b"POST", path=b"/waits")
LENGTH = head((b"content-length", b"1"), method=b"POST", path=b"/waits")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One set of programs for all floods; the app never answers `/waits`."""
    with Scene.at(tmp_path_factory.mktemp("floods")) as scene:
        scene.app.answers["/waits"] = (WAIT,)
        yield scene


def streams(make: Callable[[int], Iterable[Sendable]]) -> Iterator[Sendable]:
    """Open streams with the same frames on each."""
    for stream_id in islice(count(1, 2), ENDLESS):
        yield from make(stream_id)


def again(frame: Sendable, *before: Sendable) -> Iterator[Sendable]:
    """Send a frame again and again."""
    yield from before
    for _ in range(ENDLESS):
        yield frame


def get(stream_id: int) -> Octets:
    """A whole request that is not answered."""
    return headers(stream_id, head(path=b"/waits"), END)


def bombs(references: int) -> Iterator[Sendable]:
    """Heads of some bytes that decompress to 4 KB a byte."""
    encoder = Encoder()
    bomb = (b"x-bomb", b"x" * 3900)
    pseudo: Headers = head(path=b"/waits")
    yield HeadersFrame(1, encoder.encode([*pseudo, bomb], huffman=False), flags=["END_HEADERS", END])
    data = encoder.encode(pseudo, huffman=False) + encoder.encode([bomb], huffman=False) * references
    for stream_id in islice(count(3, 2), ENDLESS):
        yield HeadersFrame(stream_id, data, flags=["END_HEADERS", END])


def crumbs(count_: int) -> HeadersFrame:
    """A head of many small fields in a byte each."""
    return HeadersFrame(1, encode(head()) + b"\x90" * count_, flags=["END_HEADERS", END])


FLOODS: dict[str, Callable[[], Iterator[Sendable]]] = {
    "rapid reset": lambda: streams(lambda n: [get(n), RstStreamFrame(n, CANCEL)]),
    "rapid reset of bodies": lambda: streams(lambda n: [headers(n, POST), RstStreamFrame(n, CANCEL)]),
    "made you reset, by a window": lambda: streams(lambda n: [get(n), WindowUpdateFrame(n, 2**31 - 1)]),
    "made you reset, by DATA behind the end": lambda: streams(lambda n: [get(n), DataFrame(n, b"x")]),
    "made you reset, by a head behind the end": lambda: streams(lambda n: [get(n), get(n)]),
    "made you reset, by a length": lambda: streams(lambda n: [headers(n, LENGTH), DataFrame(n, b"xy")]),
    "made you reset, by trailers": lambda: streams(
        lambda n: [headers(n, POST), headers(n, [(b"X", b"")], END)]
    ),
    "malformed heads": lambda: streams(lambda n: [headers(n, head((b"connection", b"x")), END)]),
    "streams beyond the limit": lambda: streams(lambda n: [headers(n, POST)]),
    "empty CONTINUATION": lambda: again(ContinuationFrame(1, b""), HeadersFrame(1, encode(head()))),
    "CONTINUATION without end": lambda: again(
        ContinuationFrame(1, encode([(b"x", b"y" * 8000)])), HeadersFrame(1, encode(head()))
    ),
    "SETTINGS": lambda: again(SettingsFrame(0, {4: 65_535})),
    "empty SETTINGS": lambda: again(SettingsFrame(0)),
    "SETTINGS acknowledged": lambda: again(SettingsFrame(0, flags=["ACK"])),
    "PING": lambda: again(PingFrame(0, b"12345678")),
    "PING answered": lambda: again(PingFrame(0, b"12345678", flags=["ACK"])),
    "empty DATA": lambda: again(DataFrame(1, b""), headers(1, POST)),
    "DATA that is padding": lambda: again(
        DataFrame(1, b"", flags=["PADDED"], pad_length=255), headers(1, POST)
    ),
    "PRIORITY": lambda: again(PriorityFrame(9, depends_on=3)),
    "a window by crumbs": lambda: again(WindowUpdateFrame(0, 1)),
    "a stream's window by crumbs": lambda: again(WindowUpdateFrame(1, 1), headers(1, POST)),
    "frames of no kind": lambda: again(Octets(b"\0\0\0\x77\0\0\0\0\0")),
    "large frames of no kind": lambda: again(Octets(b"\0\x40\0\x77\0\0\0\0\0" + bytes(16_384))),
    "GOAWAY": lambda: again(GoAwayFrame(0)),
    "RST_STREAM of what is gone": lambda: again(RstStreamFrame(1, CANCEL), get(1), RstStreamFrame(1, CANCEL)),
    "header bombs": lambda: bombs(60),
    "a large header bomb": lambda: bombs(200),
    "heads of many fields": lambda: streams(
        lambda n: [HeadersFrame(n, crumbs(2000).data, flags=["END_HEADERS", END])]
    ),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_ends_its_connection_only(scene: Scene, flood: Callable[[], Iterator[Sendable]]) -> None:
    before = len(scene.app.seen)
    with (
        Client2(scene.secure.public, scene.certificate) as bystander,
        Wire2(scene.secure.public, scene.certificate) as hostile,
    ):
        assert hostile.flood(flood()) == ENHANCE_YOUR_CALM
        assert bystander.response(bystander.request("/good")).body == b"good"
    assert len(scene.app.seen) - before <= CANCELS_A_CONNECTION + 200


def test_floods_leave_nothing_behind(scene: Scene) -> None:
    edge = scene.secure.tree()[-1]
    assert edge.memory_info().rss < MEMORY
    assert scene.secure.stderr.count('"event": "tunnel up"') == 1
    assert "no tunnel" not in scene.agent.stderr
    assert "Traceback" not in scene.secure.stderr + scene.agent.stderr


def test_twenty_thousand_cancelled_requests_cost_nobody_a_tunnel(scene: Scene) -> None:
    with Client2(scene.secure.public, scene.certificate) as bystander:
        for _ in range(20):
            with Wire2(scene.secure.public, scene.certificate) as hostile:
                assert hostile.flood(FLOODS["rapid reset"]()) == ENHANCE_YOUR_CALM
            assert bystander.response(bystander.request("/good")).status == 200
    assert "tunnel up" in scene.agent.stderr
    assert "no tunnel" not in scene.agent.stderr

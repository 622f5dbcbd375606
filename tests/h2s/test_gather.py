from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from h2s.engine.session import Data, Event, PingAck, Trailers
from h2s.gather import FEW, gather_data

Said = tuple[int, bytes, bool]


def data(stream_id: int, body: bytes = b"x", *, flow: int = 1, end_stream: bool = False) -> Data:
    return Data(stream_id, body, flow, end_stream)


def test_few_events_stay_as_they_are() -> None:
    events: list[Event] = [data(1) for _ in range(FEW)]
    assert gather_data(events) is events


def test_many_pieces_of_streams_by_turns_are_one_each() -> None:
    events: list[Event] = [data(1 + 2 * (number % 2), b"%d" % (number % 2)) for number in range(100)]
    events.append(data(3, b"", flow=10, end_stream=True))
    assert gather_data(events) == [
        data(1, b"0" * 50, flow=50),
        data(3, b"1" * 50, flow=60, end_stream=True),
    ]


def test_what_comes_between_is_not_overtaken() -> None:
    events: list[Event] = [data(1), data(1), PingAck(b"12345678"), *[data(1) for _ in range(FEW)]]
    events.append(Trailers(1, []))
    assert gather_data(events) == [
        data(1, b"xx", flow=2),
        PingAck(b"12345678"),
        data(1, b"x" * FEW, flow=FEW),
        Trailers(1, []),
    ]


@given(st.lists(st.tuples(st.sampled_from([0, 1, 3, 5]), st.binary(max_size=3)), min_size=FEW, max_size=200))
def test_each_stream_hears_the_same_bytes_in_the_same_order(said: list[tuple[int, bytes]]) -> None:
    def heard(events: list[Event]) -> dict[int, bytes]:
        streams: dict[int, bytes] = defaultdict(bytes)
        for event in events:
            if isinstance(event, Data):
                streams[event.stream_id] += event.data
            else:
                for stream_id in (1, 3, 5):
                    streams[stream_id] += b"|"
        return streams

    def make() -> list[Event]:
        return [
            data(stream_id, body, flow=len(body)) if stream_id else PingAck(bytes(8))
            for stream_id, body in said
        ]

    assert heard(gather_data(make())) == heard(make())

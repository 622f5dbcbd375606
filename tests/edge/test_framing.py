from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import framing
from edge.framing import Deframer, FrameTooLong, frame


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 400)))
def test_messages_are_the_same_however_their_bytes_are_split(messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(map(frame, messages))
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    deframer = Deframer()
    found = []
    for start, end in pairwise(edges):
        found += deframer.feed(data[start:end])
    assert found == messages


def test_a_message_is_given_as_soon_as_its_last_byte_is_there() -> None:
    deframer = Deframer()
    data = frame(b"hello")
    assert list(deframer.feed(data[:-1])) == []
    assert list(deframer.feed(data[-1:] + data[:3])) == [b"hello"]
    assert list(deframer.feed(data[3:])) == [b"hello"]


def test_what_was_not_asked_for_yet_is_not_lost() -> None:
    deframer = Deframer()
    messages = deframer.feed(frame(b"one") + frame(b"two"))
    assert next(messages) == b"one"
    messages.close()
    assert list(deframer.feed(b"")) == [b"two"]


def test_a_length_above_the_limit_is_an_error_before_anything_is_gathered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(framing, "MAX_FRAME", 3)
    with pytest.raises(FrameTooLong):
        frame(b"long")
    assert list(Deframer().feed(frame(b"123"))) == [b"123"]
    with pytest.raises(FrameTooLong):
        list(Deframer().feed(b"\0\0\0\4"))

"""Length-prefixed messages, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2s.control import MAX_MESSAGE, Code, ControlError, MessageDecoder, encode_message
from h2s.errors import LocalProtocolError

messages = st.lists(st.binary(max_size=50), max_size=8)
cuts = st.lists(st.integers(1, 20), min_size=1, max_size=10)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` into pieces of these sizes, again and again."""
    found, n = [], 0
    while data:
        size = sizes[n % len(sizes)]
        found.append(data[:size])
        data, n = data[size:], n + 1
    return found


def decode(parts: list[bytes], max_size: int = MAX_MESSAGE) -> tuple[list[bytes], Code | None]:
    """Return the messages in `parts`, and the status with which they end if one is wrong."""
    decoder = MessageDecoder(max_size)
    found: list[bytes] = []
    try:
        for part in parts:
            found.extend(decoder.feed(part))
    except ControlError as error:
        return found, error.code
    return found, None


def test_a_message_is_a_flag_a_length_and_the_payload() -> None:
    assert encode_message(b"hello") == bytes.fromhex("00 00000005") + b"hello"


@given(payloads=messages, sizes=cuts)
def test_messages_come_back_from_any_split(payloads: list[bytes], sizes: list[int]) -> None:
    wire = b"".join(map(encode_message, payloads))
    assert decode(pieces(wire, sizes)) == (payloads, None)


@given(payloads=messages, sizes=cuts, bad=st.sampled_from(["compressed", "oversize"]))
def test_a_wrong_message_ends_the_call_behind_those_before_it_at_any_split(
    payloads: list[bytes], sizes: list[int], bad: str
) -> None:
    wrong, code = {
        "compressed": (b"\x01\0\0\0\x01x", Code.UNIMPLEMENTED),
        "oversize": (b"\0\0\0\0\x33" + b"x" * 51, Code.RESOURCE_EXHAUSTED),
    }[bad]
    wire = b"".join(map(encode_message, payloads)) + wrong
    assert decode(pieces(wire, sizes), 50) == (payloads, code)


def test_an_oversize_message_is_refused_by_its_prefix() -> None:
    prefix = b"\0" + (MAX_MESSAGE + 1).to_bytes(4, "big")
    assert decode([prefix]) == ([], Code.RESOURCE_EXHAUSTED)


def test_the_largest_message_passes() -> None:
    payload = b"x" * MAX_MESSAGE
    assert decode([encode_message(payload)]) == ([payload], None)


def test_a_message_that_the_peer_would_not_take_is_not_made() -> None:
    with pytest.raises(LocalProtocolError):
        encode_message(b"x" * (MAX_MESSAGE + 1))


@given(payload=st.binary(max_size=20), cut=st.integers(0, 24))
def test_an_incomplete_message_is_pending(payload: bytes, cut: int) -> None:
    wire = encode_message(payload)
    decoder = MessageDecoder()
    list(decoder.feed(wire[:cut]))
    assert decoder.pending == (0 < cut < len(wire))


@given(data=st.binary(max_size=200), sizes=cuts)
def test_rubbish_gives_the_same_at_any_split(data: bytes, sizes: list[int]) -> None:
    assert decode(pieces(data, sizes), 64) == decode([data], 64)

"""HTTP/2 as it should not be written: frames that are almost valid (RFC 9113 §6), as bytes.

Heads are HPACK literals that change no table, so that frames can be dropped, repeated and reordered and still mean
what they say; damage makes the others.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from h2s.engine.session import Fields
from h2s.wire import SETTINGS_H2S, frame_header, swap_frame

from .case import damaged, mostly

__all__ = ["REQUESTS", "RESPONSES", "any_frame", "block", "conversation", "frame", "frames", "settings_frame"]

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8

STREAMS = mostly([1, 1, 1, 3, 5, 7], [0, 2, 11, 101, 2**31 - 1])
WORDS = mostly([1, 2, 100, 16_384, 65_535], [0, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1])
REQUESTS: list[Fields] = [
    [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")],
    [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/h2s.v1.Registration/Register")],
    [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/"), (b"content-length", b"5")],
    [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"https"), (b":path", b"/")],
]
RESPONSES: list[Fields] = [
    [(b":status", b"200")],
    [(b":status", b"200"), (b"content-length", b"5")],
    [(b":status", b"103"), (b"link", b"x")],
    [(b":status", b"304")],
]
TRAILERS: Fields = [(b"grpc-status", b"0")]
HEADS = [*REQUESTS, *RESPONSES, TRAILERS]
ODD_FIELDS: Fields = [
    (b"Upper", b"x"),
    (b"connection", b"close"),
    (b"transfer-encoding", b"chunked"),
    (b"te", b"gzip"),
    (b"content-length", b"-1"),
    (b"content-length", b"6"),
    (b"x", b"a\r\nb: c"),
    (b"", b""),
    (b":path", b"/late"),
    (b":status", b"101"),
    (b"h2s-control", b"00"),
    (b"x" * 2000, b"y" * 15_000),
]


def block(fields: Fields) -> bytes:
    """Return a header block of literals that are never indexed (RFC 7541 §6.2.3)."""
    return b"".join(b"\x10" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes((len(text),)) + text
    rest, length = len(text) - 127, bytearray((127,))
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes(length) + bytes((rest,)) + text


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream_id: int = 0) -> bytes:
    """Return one frame."""
    return frame_header(len(payload), kind, flags, stream_id) + payload


def settings_frame(*values: tuple[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(
        SETTINGS, b"".join(code.to_bytes(2, "big") + value.to_bytes(4, "big") for code, value in values)
    )


def word(value: int) -> bytes:
    """Return 32 bits."""
    return value.to_bytes(4, "big")


@st.composite
def header_block(draw: DrawFn) -> bytes:
    """A head or trailers, sometimes not well-formed, sometimes not even HPACK."""
    fields = list(draw(st.sampled_from(HEADS)))
    if draw(mostly([False], [True])):
        fields.insert(draw(st.integers(0, len(fields))), draw(st.sampled_from(ODD_FIELDS)))
    return draw(
        damaged(st.just(block(fields)), most=1) if draw(mostly([False], [True])) else st.just(block(fields))
    )


@st.composite
def headers(draw: DrawFn) -> bytes:
    """HEADERS, and CONTINUATION frames for some."""
    stream_id, payload = draw(STREAMS), draw(header_block())
    flags = draw(st.sampled_from((0, END_STREAM)))
    if draw(mostly([True], [False])):
        return frame(HEADERS, payload, flags=flags | END_HEADERS, stream_id=stream_id)
    cut = draw(st.integers(0, len(payload)))
    first = frame(HEADERS, payload[:cut], flags=flags, stream_id=stream_id)
    empty = frame(CONTINUATION, stream_id=stream_id) * draw(st.sampled_from((0, 1, 40)))
    return first + empty + frame(CONTINUATION, payload[cut:], flags=END_HEADERS, stream_id=stream_id)


@st.composite
def data(draw: DrawFn) -> bytes:
    """DATA: small, empty, or large enough to use up windows."""
    payload = draw(mostly([b"hello", b"x", b""], [b"x" * 16_384, b"x" * 16_385]))
    return frame(
        DATA, payload, flags=draw(mostly([0, END_STREAM], [PADDED], weight=8)), stream_id=draw(STREAMS)
    )


@st.composite
def settings(draw: DrawFn) -> bytes:
    """SETTINGS with values that are allowed or not, or an acknowledgement."""
    codes = mostly([1, 3, 4, 6, 9, SETTINGS_H2S, 0xFFFF], [2, 5, 8])
    values = draw(st.lists(st.tuples(codes, WORDS), max_size=3))
    return draw(mostly([settings_frame(*values)], [frame(SETTINGS, flags=ACK), frame(SETTINGS, b"12345")]))


@st.composite
def small(draw: DrawFn) -> bytes:
    """A frame whose payload is a word or two."""
    kind = draw(mostly([RST_STREAM, WINDOW_UPDATE, PRIORITY, PING], [PUSH_PROMISE, GOAWAY], weight=10))
    payload = word(draw(WORDS)) + draw(st.sampled_from((b"", b"\0", b"1234", b"12345678")))
    usual = {RST_STREAM: 4, WINDOW_UPDATE: 4, PRIORITY: 5, PING: 8, GOAWAY: 8}.get(kind, len(payload))
    if draw(mostly([True], [False])):
        payload = payload.ljust(usual, b"\0")[:usual]
    flags = draw(st.sampled_from((0, ACK)))
    return frame(kind, payload, flags=flags, stream_id=0 if kind in (PING, GOAWAY) else draw(STREAMS))


@st.composite
def swap(draw: DrawFn) -> bytes:
    """SWAP, as it should be or not."""
    good = swap_frame(draw(mostly([1], [0, 2, 2**32 - 1])))
    return draw(mostly([good], [good[:-1], b"\0\0\5" + good[3:] + b"\0", good[:8] + b"\1" + good[9:]]))


strange: SearchStrategy[bytes] = st.builds(
    lambda kind, payload, flags, stream_id: frame(kind, payload, flags=flags, stream_id=stream_id),
    st.integers(0, 255),
    st.binary(max_size=20),
    flags=st.integers(0, 255),
    stream_id=STREAMS,
)
"""A frame of any type with any flags."""


def frames(*, with_swap: bool = False) -> SearchStrategy[bytes]:
    """Return frames behind each other, perhaps damaged."""
    one = st.one_of(any_frame, swap()) if with_swap else any_frame
    together = st.lists(one, max_size=12).map(b"".join)
    return together | damaged(together)


any_frame: SearchStrategy[bytes] = st.one_of(
    headers(), headers(), data(), settings(), small(), small(), strange
)
"""One frame, or the several that make a head."""


@st.composite
def conversation(draw: DrawFn, heads: list[Fields]) -> bytes:
    """Messages on the first streams as they should be, with some frames left out, said twice, or put in between."""
    said: list[bytes] = []
    for stream_id in range(1, 2 * draw(st.integers(1, 4)), 2):
        pieces = draw(st.lists(st.sampled_from([b"hello", b"x", b""]), max_size=2))
        trailers = draw(st.booleans())
        head, rest = block(draw(st.sampled_from(heads))), len(pieces)
        said.append(
            frame(HEADERS, head, flags=END_HEADERS | (not rest and not trailers), stream_id=stream_id)
        )
        for piece in pieces:
            rest -= 1
            said.append(frame(DATA, piece, flags=not rest and not trailers, stream_id=stream_id))
        if trailers:
            said.append(frame(HEADERS, block(TRAILERS), flags=END_HEADERS | END_STREAM, stream_id=stream_id))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(said) - 1))
        match draw(st.sampled_from(("put", "put", "drop", "repeat", "late"))):
            case "drop" if len(said) > 1:
                del said[at]
            case "repeat":
                said.insert(at, said[at])
            case "late":
                said.append(said[at])
            case _:
                said.insert(at, draw(any_frame))
    return b"".join(said)

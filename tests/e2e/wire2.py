"""An HTTP/2 client of single frames, for what a client library would not send.

`Wire2` sends whatever frames or octets it is given behind a good greeting, and says what became of a stream: its
answer, the code of its reset, or that the connection has ended, and with which code.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

from .address import Address
from .certificate import Certificate
from .client import TIMEOUT

__all__ = ["PREFACE", "Headers", "Octets", "Outcome", "Sendable", "Wire2", "encode", "head", "headers"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME = 16_384
"""The largest payload that every peer takes."""
Headers = list[tuple[bytes, bytes]]
GET = {b":method": b"GET", b":scheme": b"https", b":authority": b"web.localhost", b":path": b"/"}


class Sendable(Protocol):
    """A frame, or something like one."""

    def serialize(self) -> bytes:
        """Return its octets."""


@dataclass(frozen=True, slots=True)
class Octets:
    """Octets that are no frame, or none that a library would make."""

    octets: bytes

    def serialize(self) -> bytes:
        """Return them."""
        return self.octets


def head(*fields: tuple[bytes, bytes], **changed: bytes | None) -> Headers:
    """Return a head with these pseudo-fields changed (None: left out) and these fields added."""
    pseudo: dict[bytes, bytes | None] = {
        **GET,
        **{b":" + name.encode(): value for name, value in changed.items()},
    }
    return [*((name, value) for name, value in pseudo.items() if value is not None), *fields]


def encode(fields: Headers) -> bytes:
    """Compress a head without the table, so that it means the same on any connection."""
    block: bytes = Encoder().encode([NeverIndexedHeaderTuple(*one) for one in fields], huffman=False)
    return block


def headers(stream_id: int, fields: Headers, *flags: str) -> Octets:
    """Return the frames of a head."""
    block = encode(fields)
    parts = [block[at : at + FRAME] for at in range(0, len(block), FRAME)]
    frames: list[HeadersFrame | ContinuationFrame] = [HeadersFrame(stream_id, parts[0], flags=flags)]
    frames += [ContinuationFrame(stream_id, part) for part in parts[1:]]
    frames[-1].flags.add("END_HEADERS")
    return Octets(b"".join(frame.serialize() for frame in frames))


@dataclass(slots=True)
class Outcome:
    """What became of a stream."""

    status: int = 0
    fields: Headers = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None


class Wire2:
    """One connection. `goaway` is the code with which the server ended it."""

    def __init__(self, address: Address, certificate: Certificate, greeting: bytes | None = None) -> None:
        """`greeting` takes the place of preface and SETTINGS."""
        context = ssl.create_default_context(cafile=str(certificate.chain))
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(address, TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="web.localhost")
        self.goaway: int | None = None
        self.closed = False
        self._decoder = Decoder()
        self._buffer = b""
        self._streams: defaultdict[int, Outcome] = defaultdict(Outcome)
        if greeting is None:
            self.octets(PREFACE + SettingsFrame(0).serialize() + SettingsFrame(0, flags=["ACK"]).serialize())
        else:
            self.octets(greeting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def octets(self, data: bytes) -> None:
        """Send octets."""
        self.socket.sendall(data)

    def send(self, *frames: Sendable) -> None:
        """Send frames in one write."""
        self.octets(b"".join(frame.serialize() for frame in frames))

    def ask(self, stream_id: int, fields: Headers | None = None) -> Outcome:
        """Send a request without a body and wait for its outcome."""
        self.send(headers(stream_id, fields or head(), "END_STREAM"))
        return self.outcome(stream_id)

    def outcome_so_far(self, stream_id: int) -> Outcome:
        """Return what is known of a stream without waiting; it is kept up to date."""
        return self._streams[stream_id]

    def pass_time(self, seconds: float) -> None:
        """Take what comes within some time."""
        self.socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            self._step()
        self.socket.settimeout(TIMEOUT)

    def outcome(self, stream_id: int) -> Outcome:
        """Wait until the stream has ended, or the connection has."""
        one = self._streams[stream_id]
        while not (one.ended or one.reset is not None or self.closed):
            self._step()
        return one

    def reset(self, stream_id: int) -> int | None:
        """Wait until the stream is reset, and return the code; None when the connection ends before."""
        one = self._streams[stream_id]
        while one.reset is None and not self.closed:
            self._step()
        return one.reset

    def ends(self) -> int | None:
        """Wait for the end of the connection and return the code of its GOAWAY, if there was one."""
        while not self.closed:
            self._step()
        return self.goaway

    def flood(self, frames: Iterable[Sendable]) -> int | None:
        """Send frames, and read what comes, until the server has had enough; return the code of its GOAWAY."""
        self.socket.settimeout(0)
        for frame in frames:
            data = frame.serialize()
            while data and not self.closed:
                try:
                    data = data[self.socket.send(data) :]
                except ssl.SSLWantWriteError:
                    select.select([self.socket], [self.socket], [], TIMEOUT)
                except OSError:
                    data = b""
                self._read_what_is_there()
            if self.goaway is not None or self.closed:
                break
        self.socket.settimeout(TIMEOUT)
        return self.ends()

    def _read_what_is_there(self) -> None:
        try:
            self._feed(self.socket.recv(65536))
        except ssl.SSLWantReadError:
            return
        except OSError:
            self._feed(b"")

    def _step(self) -> None:
        try:
            self._feed(self.socket.recv(65536))
        except (ConnectionError, ssl.SSLError):
            self._feed(b"")

    def _feed(self, data: bytes) -> None:
        self.closed = self.closed or not data
        self._buffer += data
        while len(self._buffer) >= 9:
            frame, size = Frame.parse_frame_header(memoryview(self._buffer[:9]))
            if len(self._buffer) < 9 + size:
                return
            frame.parse_body(memoryview(self._buffer[9 : 9 + size]))
            self._buffer = self._buffer[9 + size :]
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        one = self._streams[frame.stream_id]
        match frame:
            case HeadersFrame():
                fields = [(bytes(n), bytes(v)) for n, v in self._decoder.decode(frame.data, raw=True)]
                if fields[0][0] == b":status" and fields[0][1][:1] != b"1":
                    one.status, one.fields = int(fields[0][1]), fields[1:]
            case DataFrame():
                one.body += frame.data
            case RstStreamFrame():
                one.reset = frame.error_code
            case GoAwayFrame():
                self.goaway = frame.error_code
        one.ended = one.ended or "END_STREAM" in frame.flags

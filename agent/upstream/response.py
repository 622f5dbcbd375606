"""An upstream's HTTP/1.1 response as events: bytes in, events out, no I/O.

A response is read in three steps, and what the next byte is of is the reader's state:

    HEAD ──1xx──▶ HEAD            BODY ──end of body──▶ DONE
    HEAD ──final──▶ BODY or DONE
    HEAD ──101──▶ RAW

Field lines and bodies are taken apart by `h2s.http1`. Around it stand these rules:

* What comes out can be said in HTTP/2: names in lower case, hop-by-hop fields gone, no Content-Length where there
  must be none; a field that HTTP/2 cannot carry makes the response invalid, and the error names it.
* Nothing is collected without bound: heads, trailers and chunk extensions are limited, and so is the number of 1xx.
* A response ends where its framing says so. Only one with neither length nor chunks ends with the connection; for
  any other the end of the connection is an error.
* Anything that follows a complete response, even an empty line, makes the connection unfit for another request
  (`reusable`).

One reader reads one response. What came together in a read is passed on together, and the end of the stream is on the
last event that carries something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final

from h2s.engine.session import Fields
from h2s.fields import HOP_BY_HOP
from h2s.http1 import ChunkedDecoder, LengthDecoder, MalformedMessage, split_fields

from .errors import UpstreamClosed, UpstreamInvalid
from .request import INTERNAL_PREFIX
from .upgrade import Upgrade

__all__ = ["Body", "Event", "Head", "Informational", "ResponseReader", "Trailers"]

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head or of a trailer section."""
MAX_INFORMATIONAL: Final = 64
"""1xx responses before the final one."""
FIELD_OVERHEAD: Final = 32
"""What HTTP/2 counts for a field beside its name and value (RFC 9113 §6.5.2)."""

_STATUS_LINE: Final = re.compile(rb"HTTP/([0-9])\.([0-9]) ([0-9]{3})(?: [\t\x20-\x7e\x80-\xff]*)?")
_PREFIX: Final = b"HTTP/"
LETTER_H: Final = ord("H")
_DROPPED: Final = HOP_BY_HOP | {b"te"}
"""Fields that end at the agent; `te` speaks of requests."""


# Events are made once or twice for each response: their constructors are written out, to be compiled.


@dataclass(slots=True, init=False)
class Informational:
    """A 1xx head, ready for the tunnel."""

    fields: Fields

    def __init__(self, fields: Fields) -> None:
        self.fields = fields


@dataclass(slots=True, init=False)
class Head:
    """The final head, ready for the tunnel."""

    fields: Fields
    end_stream: bool

    def __init__(self, fields: Fields, end_stream: bool) -> None:
        self.fields = fields
        self.end_stream = end_stream


@dataclass(slots=True, init=False)
class Body:
    """A piece of the body, or raw bytes after an upgrade."""

    data: bytes
    end_stream: bool

    def __init__(self, data: bytes, end_stream: bool) -> None:
        self.data = data
        self.end_stream = end_stream


@dataclass(slots=True, init=False)
class Trailers:
    """The trailer section; it ends the response."""

    fields: Fields

    def __init__(self, fields: Fields) -> None:
        self.fields = fields


Event = Informational | Head | Body | Trailers


class State(Enum):
    """What the next byte is of."""

    HEAD = "head"
    BODY = "body"
    UNTIL_CLOSE = "until close"
    RAW = "raw"
    DONE = "done"


# In compiled code a constant is found faster than an attribute of an Enum.
_HEAD: Final = State.HEAD
_BODY: Final = State.BODY
_UNTIL_CLOSE: Final = State.UNTIL_CLOSE
_RAW: Final = State.RAW
_DONE: Final = State.DONE


class ResponseReader:
    """Reads the response to one request, made with `method` and perhaps with a wish to upgrade."""

    __slots__ = (
        "_decoder",
        "_informational",
        "_keep_alive",
        "_method",
        "_scanned",
        "_state",
        "_surplus",
        "_unread",
        "_upgrade",
        "started",
        "upgraded",
    )

    def __init__(self, *, method: bytes, upgrade: Upgrade | None = None) -> None:
        self.started = False
        """A byte has come."""
        self.upgraded = False
        """The upstream has switched protocols: what comes from then on is raw."""
        self._method = method
        self._upgrade = upgrade
        self._state = _HEAD
        self._unread = b""
        """Bytes of a head, of a chunk's size or of trailers that are not whole yet."""
        self._scanned = 0
        """How many of them have been searched for the end of the head."""
        self._decoder: LengthDecoder | ChunkedDecoder | None = None
        self._informational = 0
        self._keep_alive = False
        self._surplus = False

    @property
    def complete(self) -> bool:
        """Whether the response has ended as its framing says."""
        return self._state is _DONE

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self._state is _DONE and self._keep_alive and not self._surplus

    def feed(self, data: bytes) -> list[Event]:
        """Read bytes and return what they mean. Raises UpstreamInvalid; the connection is then of no more use."""
        self.started = True
        if self._unread:
            data = self._unread + data
            self._unread = b""
        events: list[Event] = []
        at = 0
        try:
            while self._state is _HEAD and at < len(data):
                at = self._skip_empty_lines(data, at)
                end = self._find_head(data, at)
                if end < 0:
                    self._unread = data[at:]
                    return events
                self._read_head(data, at, end, events)
                at = end
            self._read_rest(data, at, events)
        except MalformedMessage as error:
            raise UpstreamInvalid(str(error)) from None
        return events

    def eof(self) -> list[Event]:
        """Take the end of the connection. Raises UpstreamClosed when it comes before the response's end."""
        state = self._state
        if state is _DONE:
            return []
        if state is _RAW or state is _UNTIL_CLOSE:
            self._state = _DONE
            return [Body(b"", True)]
        if state is _BODY:
            raise UpstreamClosed("the upstream closed the connection in the middle of its response")
        raise UpstreamClosed("the upstream closed the connection before its response")

    # -- heads -----------------------------------------------------------------------------------------------------

    def _skip_empty_lines(self, data: bytes, at: int) -> int:
        """Skip empty lines in front of a head; they may belong to what came before on this connection."""
        if data[at] == LETTER_H:
            return at
        while data.startswith((b"\r\n", b"\n"), at):
            self._surplus = True
            at = data.find(b"\n", at) + 1
        return at

    def _find_head(self, data: bytes, at: int) -> int:
        """Return where the head ends that begins at `at`, or -1 if it is not whole yet."""
        end = data.find(b"\r\n\r\n", at + max(self._scanned - 3, 0))
        size = (len(data) if end < 0 else end) - at
        if size > MAX_HEAD:
            raise UpstreamInvalid(f"a head of more than {MAX_HEAD} bytes")
        if end >= 0:
            self._scanned = 0
            return end + 4
        start = data[at : at + len(_PREFIX)]
        if not _PREFIX.startswith(start) and start != b"\r":
            raise UpstreamInvalid("not an HTTP/1.1 response: Expected HTTP/")
        new = at + self._scanned
        if data.count(b"\n", new) != data.count(b"\r\n", max(new - 1, at)):
            raise UpstreamInvalid("a line of the head does not end in CRLF")
        self._scanned = size
        return -1

    def _read_head(self, data: bytes, at: int, end: int, events: list[Event]) -> None:
        """Read a head: 1xx, 101 or final."""
        line_end = data.find(b"\r\n", at)
        line = data[at:line_end]
        status, is_1_1 = _usual_lines.get(line) or _read_status_line(line)
        fields = split_fields(data, line_end + 2, end - 2)
        _check_size(fields, end - at, "a head")
        if status >= b"200":
            self._on_final(status, fields, events, is_1_1=is_1_1)
        elif status == b"101":
            self._on_switching(fields, events)
        else:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                raise UpstreamInvalid("too many informational responses")
            events.append(Informational(_for_tunnel(status, fields, without_length=True)))

    def _on_switching(self, fields: Fields, events: list[Event]) -> None:
        if self._upgrade is None:
            raise UpstreamInvalid("switched protocols without being asked")
        refusal = self._upgrade.refusal(fields)
        if refusal is not None:
            raise UpstreamInvalid(refusal)
        head = _for_tunnel(b"200", fields, without_length=True)
        events.append(Head([field for field in head if field[0] != b"sec-websocket-accept"], False))
        self._state = _RAW
        self.upgraded = True

    def _on_final(self, status: bytes, fields: Fields, events: list[Event], *, is_1_1: bool) -> None:
        if self._upgrade is not None and status < b"300":
            # On the tunnel any 2xx would say that the upgrade took place (RFC 8441 §5).
            raise UpstreamInvalid(f"answered an upgrade with status {status.decode()}")
        length: bytes | None = None
        chunked = False
        options: list[bytes] = []
        for name, value in fields:
            if name == b"content-length":
                if length is not None:
                    raise UpstreamInvalid("content-length: Duplicate Content-Length")
                if not value.isdigit() or len(value) > 18:
                    raise UpstreamInvalid("content-length: Content-Length has to be one number")
                length = value
            elif name == b"transfer-encoding":
                if chunked or value.lower() != b"chunked":
                    raise UpstreamInvalid("transfer-encoding: something else than chunked")
                chunked = True
            elif name == b"connection":
                options += _members(value)
        if chunked and length is not None:
            raise UpstreamInvalid("transfer-encoding: Transfer-Encoding beside Content-Length")
        # Framing that must not be (RFC 9112 §6.1, RFC 9110 §8.6): whoever wrote it may not mean what it says.
        is_odd = (chunked and not is_1_1) or (
            status == b"204" and (chunked or (length is not None and bool(length.strip(b"0"))))
        )
        self._keep_alive = b"close" not in options and (is_1_1 or b"keep-alive" in options) and not is_odd
        bodiless = status == b"204" or status == b"304"
        done = bodiless or self._method == b"HEAD" or length == b"0"
        # A 304 may say how long its body would be (RFC 9110 §15.4.5), a 204 may not (§8.6).
        events.append(Head(_for_tunnel(status, fields, without_length=status == b"204"), done))
        if done:
            self._state = _DONE
        elif chunked or length is not None:
            self._state = _BODY
            self._decoder = ChunkedDecoder(MAX_HEAD) if chunked else LengthDecoder(int(length or b"0"))
        else:
            self._state = _UNTIL_CLOSE
            self._keep_alive = False

    # -- bodies ----------------------------------------------------------------------------------------------------

    def _read_rest(self, data: bytes, at: int, events: list[Event]) -> None:
        """Read what stands behind the heads, from `at` on."""
        if self._state is _BODY:
            at = self._read_body(data, at, events)
        elif self._state is not _DONE and self._state is not _HEAD and at < len(data):
            events.append(Body(data[at:] if at else data, False))
            return
        if self._state is _DONE and at < len(data):
            self._surplus = True

    def _read_body(self, data: bytes, at: int, events: list[Event]) -> int:
        """Read what there is of a framed body and return where that ends."""
        decoder = self._decoder
        assert decoder is not None
        content, end = decoder.decode(data, at)
        if not decoder.done:
            if content:
                events.append(Body(content, False))
            self._unread = data[end:]
            return len(data)
        self._state = _DONE
        trailers = self._trailers(decoder.trailers)
        last = events[-1] if events else None
        if content or not (trailers or isinstance(last, Head)):
            events.append(Body(content, not trailers))
        elif isinstance(last, Head) and not trailers:
            last.end_stream = True
        if trailers:
            events.append(Trailers(trailers))
        return end

    @staticmethod
    def _trailers(section: bytes) -> Fields:
        fields = split_fields(section, 0, len(section) - 2) if section else []
        _check_size(fields, len(section), "a trailer section")
        return _sendable(fields, without_length=True)


_usual_lines: Final = {
    b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode()): (b"%d" % status.value, True)
    for status in HTTPStatus
}
"""Status lines as most upstreams write them: most responses are spared the regular expression."""


def _read_status_line(line: bytes) -> tuple[bytes, bool]:
    """Return the status, and whether the version is 1.1. Raises UpstreamInvalid."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise UpstreamInvalid("not an HTTP/1.1 response: Expected HTTP/, a version and a status")
    status = match[3]
    if match[1] != b"1" or match[2] not in (b"0", b"1") or status < b"100":
        version = f"{match[1].decode()}.{match[2].decode()}"
        raise UpstreamInvalid(f"not an HTTP/1.1 response: version {version}, status {int(status)}")
    return status, match[2] == b"1"


def _check_size(fields: Fields, size: int, what: str) -> None:
    """Hold a section of `size` bytes to `MAX_HEAD`, counted as HTTP/2 counts."""
    if size + FIELD_OVERHEAD * len(fields) > MAX_HEAD and (
        sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in fields) > MAX_HEAD
    ):
        raise UpstreamInvalid(f"{what} of more than {MAX_HEAD} bytes")


_usual_members: Final = {b"keep-alive": [b"keep-alive"], b"close": [b"close"], b"Keep-Alive": [b"keep-alive"]}


def _members(value: bytes) -> list[bytes]:
    usual = _usual_members.get(value)
    return [option.strip(b" \t") for option in value.lower().split(b",")] if usual is None else usual


def _for_tunnel(status: bytes, fields: Fields, *, without_length: bool) -> Fields:
    return [(b":status", status), *_sendable(fields, without_length=without_length)]


def _sendable(fields: Fields, *, without_length: bool) -> Fields:
    """Return what goes on of a section whose octets are fit for HTTP/2."""
    dropped = _DROPPED | {b"content-length"} if without_length else _DROPPED
    for name, value in fields:
        if name == b"connection" and value != b"keep-alive":
            dropped = dropped.union(_members(value))
    return [field for field in fields if field[0] not in dropped and field[0][:4] != INTERNAL_PREFIX]

"""An upstream's HTTP/1.1 response as events: bytes in, events out, no I/O.

llhttp does the parsing. Around it stand the rules that it leaves to its user:

* What comes out can be said in HTTP/2: names in lower case, hop-by-hop fields gone, no Content-Length where there
  must be none; a field that HTTP/2 cannot carry makes the response invalid, and the error names it.
* Nothing is collected without bound: heads, trailers and chunk extensions are limited, and so is the number of 1xx.
* A response ends where its framing says so. Only one with neither length nor chunks ends with the connection; for
  any other the end of the connection is an error.
* Anything that follows a complete response makes the connection unfit for another request (`reusable`). That goes for
  empty lines too, which llhttp skips without a word: so the response's end is looked for in the read that had it.

One reader reads one response. Events are made at the end of each read, so what came together is passed on together,
and the end of the stream is on the last event that carries something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from h2s.engine.session import Fields
from h2s.fields import unsendable, without_hop_by_hop

from .errors import UpstreamClosed, UpstreamInvalid
from .request import INTERNAL_PREFIX
from .upgrade import Upgrade

__all__ = ["Body", "Event", "Head", "Informational", "ResponseReader", "Trailers"]

MAX_HEAD = 64 * 1024
"""Bytes of a head, of a trailer section, or of anything else between two pieces of body."""
MAX_INFORMATIONAL = 64
"""1xx responses before the final one."""
FIELD_OVERHEAD = 32
"""What HTTP/2 counts for a field beside its name and value (RFC 9113 §6.5.2)."""

_END_OF_LINES = re.compile(rb"[^\r\n]\r\n\r\n")
"""How a head ends, and a chunked body: with a line that is not empty, and one that is."""
_CONTROL_IN_VALUE = re.compile(rb"\n([!#$%&'*+.^_`|~0-9A-Za-z-]+):[^\r\n]*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BODILESS = frozenset({204, 304})
"""No body follows. A 304 may say how long it would be (RFC 9110 §15.4.5), a 204 may not (§8.6)."""


@dataclass(slots=True)
class Informational:
    """A 1xx head, ready for the tunnel."""

    fields: Fields


@dataclass(slots=True)
class Head:
    """The final head, ready for the tunnel."""

    fields: Fields
    end_stream: bool


@dataclass(slots=True)
class Body:
    """A piece of the body, or raw bytes after an upgrade."""

    data: bytes
    end_stream: bool


@dataclass(slots=True)
class Trailers:
    """The trailer section; it ends the response."""

    fields: Fields


Event = Informational | Head | Body | Trailers


class ResponseReader:
    """Reads the response to one request, made with `method` and perhaps with a wish to upgrade."""

    __slots__ = (
        "_body",
        "_chunked",
        "_events",
        "_fault",
        "_fields",
        "_head",
        "_head_seen",
        "_informational",
        "_keep_alive",
        "_method",
        "_parser",
        "_seen",
        "_size",
        "_surplus",
        "_tail",
        "_trailers",
        "_until_close",
        "_upgrade",
        "complete",
        "started",
        "upgraded",
    )

    def __init__(self, *, method: bytes, upgrade: Upgrade | None = None) -> None:
        self.started = False
        """A byte has come."""
        self.complete = False
        """The response has ended as its framing says."""
        self.upgraded = False
        """The upstream has switched protocols: what comes now is raw."""
        self._method = method
        self._upgrade = upgrade
        self._parser = httptools.HttpResponseParser(self)
        self._events: list[Event] = []
        self._fields: Fields = []
        self._head: Fields | None = None
        self._body: list[bytes] = []
        self._fault: str | None = None
        self._head_seen = False
        self._chunked = False
        self._tail = b""
        """The last bytes of the reads before."""
        self._informational = 0
        self._keep_alive = False
        self._until_close = False
        self._surplus = False
        self._trailers: Fields = []
        self._seen = 0
        self._size = 0

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self.complete and self._keep_alive and not self._surplus

    def feed(self, data: bytes) -> list[Event]:
        """Read bytes and return what they mean. Raises UpstreamInvalid; the connection is then of no more use."""
        if not self.started:
            self.started = True
            self._surplus = data[:1] in (b"\r", b"\n")
        if self.upgraded:
            return [Body(data, False)]
        if self.complete:
            self._surplus = True
            return []
        self._seen += len(data)
        head_was_seen = self._head_seen
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError as error:
            self._stop(str(error), data)
        if self._fault is not None:
            raise UpstreamInvalid(self._fault)
        if self._seen > MAX_HEAD and not self.complete:
            raise UpstreamInvalid(f"more than {MAX_HEAD} bytes of head, trailers or chunk extensions")
        if not self.complete:
            self._tail = (data if len(data) > 4 else self._tail + data)[-4:]
        elif not self._surplus:
            self._surplus = not self._ends(data, head_was_seen=head_was_seen)
        return self._take()

    def eof(self) -> list[Event]:
        """Take the end of the connection. Raises UpstreamClosed when it comes before the response's end."""
        if self.upgraded or (self._until_close and not self.complete):
            self.complete = True
            return [Body(b"", True)]
        if self.complete:
            return []
        if self._head_seen:
            raise UpstreamClosed("the upstream closed the connection in the middle of its response")
        raise UpstreamClosed("the upstream closed the connection before its response")

    # -- llhttp's callbacks ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A status line begins: the first, one after a 1xx, or one too many."""
        if self.complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of a head or of the trailer section."""
        if self.complete:
            return
        self._size += len(name) + len(value) + FIELD_OVERHEAD
        self._fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """A head is there: 1xx, 101 or final."""
        if self.complete:
            return
        fields, self._fields = self._fields, []
        size, self._size, self._seen = self._size, 0, 0
        status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0") or not 100 <= status <= 999:
            self._fault = f"not an HTTP/1.1 response: version {version}, status {status}"
        elif size > MAX_HEAD:
            self._fault = f"a head of more than {MAX_HEAD} bytes"
        elif status == 101:
            self._on_switching(fields)
        elif status < 200:
            self._on_informational(status, fields)
        else:
            self._on_final(status, fields, version)

    def on_body(self, data: bytes) -> None:
        """A piece of the body, or bytes behind a HEAD's response."""
        self._seen = 0
        if self.complete:
            self._surplus = True
        else:
            self._body.append(data)

    def on_chunk_header(self) -> None:
        """A chunk begins, perhaps the last one."""
        if self.complete:
            self._surplus = True

    def on_message_complete(self) -> None:
        """The framing says that the message is over."""
        if not self._head_seen or self.complete:
            return
        self.complete = True
        if self._fields:
            self._on_trailers(self._fields)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _on_informational(self, status: int, fields: Fields) -> None:
        self._informational += 1
        if self._informational > MAX_INFORMATIONAL:
            self._fault = "too many informational responses"
            return
        head = self._for_tunnel(status, fields, without_length=True)
        self._events.append(Informational(head))

    def _on_switching(self, fields: Fields) -> None:
        if self._upgrade is None:
            self._fault = "switched protocols without being asked"
            return
        self._fault = self._upgrade.refusal(fields)
        kept = [field for field in without_hop_by_hop(fields) if field[0] != b"sec-websocket-accept"]
        self._head = self._for_tunnel(200, kept, without_length=True)

    def _on_final(self, status: int, fields: Fields, version: str) -> None:
        if self._upgrade is not None and status < 300:
            # On the tunnel any 2xx would say that the upgrade took place (RFC 8441 §5).
            self._fault = f"answered an upgrade with status {status}"
            return
        self._head_seen = True
        length = chunked = False
        connection = b""
        bare = True
        for name, value in fields:
            if name == b"content-length":
                length = True
                bare = not value.strip(b"0")
            elif name == b"transfer-encoding":
                if chunked or value.lower() != b"chunked":
                    self._fault = "transfer-encoding: something else than chunked"
                chunked = True
                bare = False
            elif name == b"connection":
                connection += b"," + value.lower()
        self._keep_alive = version == "1.1"
        if connection:
            options = {option.strip() for option in connection.split(b",")}
            self._keep_alive = b"close" not in options and (self._keep_alive or b"keep-alive" in options)
        if (chunked and version == "1.0") or (status == 204 and not bare):
            # Framing that must not be (RFC 9112 §6.1, RFC 9110 §8.6): whoever wrote it may not mean what it says.
            self._keep_alive = False
        self._chunked = chunked
        self._head = self._for_tunnel(status, fields, without_length=status == 204)
        if self._method == b"HEAD":
            self.complete = True
        elif not length and not chunked and status not in _BODILESS:
            self._until_close = True
            self._keep_alive = False

    def _on_trailers(self, fields: Fields) -> None:
        if self._size > MAX_HEAD:
            self._fault = f"a trailer section of more than {MAX_HEAD} bytes"
        self._trailers = self._sendable(fields, without_length=True)

    def _for_tunnel(self, status: int, fields: Fields, *, without_length: bool) -> Fields:
        return [(b":status", b"%d" % status), *self._sendable(fields, without_length=without_length)]

    def _sendable(self, fields: Fields, *, without_length: bool) -> Fields:
        kept = [
            field
            for field in without_hop_by_hop(fields)
            if field[0][:4] != INTERNAL_PREFIX and not (without_length and field[0] == b"content-length")
        ]
        name = unsendable(kept)
        if name is not None:
            self._fault = f"{name.decode('ascii', 'replace')}: a field that HTTP/2 cannot carry"
        return kept

    def _ends(self, data: bytes, *, head_was_seen: bool) -> bool:
        """Say whether the response, which this read has completed, ends with it and not before.

        In doubt it does not: an empty line in front of a head costs the connection, too.
        """
        if self._chunked or not self._body:
            return _END_OF_LINES.fullmatch((self._tail + data)[-5:]) is not None
        start = 0
        if not head_was_seen:
            before = self._tail[-3:]
            data = before + data
            for _ in range(len(self._events) + 1):
                end = data.find(b"\r\n\r\n", start)
                if end < 0:
                    return False
                start = end + 4
        return start + sum(map(len, self._body)) == len(data)

    def _switch(self, rest: bytes) -> None:
        """Go raw after a 101, whose head has been judged already; behind a complete response it is surplus."""
        if self.complete:
            self._surplus = True
        elif self._fault is None:
            self.upgraded = True
            if rest:
                self._body.append(rest)

    def _stop(self, reason: str, data: bytes) -> None:
        """Take llhttp's complaint: behind a complete response it is only surplus.

        llhttp does not name a field whose value it refuses, so the name is looked up in what was read last.
        """
        if self.complete:
            self._surplus = True
        elif self._fault is None:
            field = None if self._head_seen else _CONTROL_IN_VALUE.search(data)
            self._fault = f"{field[1].decode().lower()}: {reason}" if field else reason

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        head, self._head = self._head, None
        trailers = self._trailers
        ends = self.complete and not trailers
        body = b"".join(self._body) if len(self._body) != 1 else self._body[0]
        self._body.clear()
        if head is not None:
            events.append(Head(head, ends and not body))
            ends = ends and bool(body)
            if body:
                events.append(Body(body, ends))
        elif body or (ends and self._head_seen):
            events.append(Body(body, ends))
        if trailers:
            events.append(Trailers(trailers))
        return events

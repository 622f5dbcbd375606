"""Reading an HTTP/1.1 request head: whole and alone, so that nothing behind it is touched.

The connection finds the empty line that ends a head and hands over exactly the bytes up to it. The request line is
matched here, so that any method passes; `h2s.http1` splits the field lines behind it. What they mean together (RFC 9112
§3, §6) is decided here, as far as HTTP/2 does not say it alike (`rules`).
"""

from __future__ import annotations

import re
from typing import Final

from edge.fieldset import (
    CONNECTION_FIELDS,
    NEVER_UPGRADED,
    accepts_trailers,
    check_authority,
    check_expectation,
    connect_refused,
    is_withheld,
    list_members,
    public_trailers,
)
from edge.message import Request
from edge.problem import Refusal
from h2s.engine.session import Fields
from h2s.http1 import ChunkedDecoder, MalformedMessage, split_fields

from . import rules
from .limits import IngressLimits

__all__ = ["HeadParser", "RequestHead", "bad_body", "check_unfinished"]

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE)
_is_request_line: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/(1\.[01])").fullmatch
_PROTOCOL = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_OTHER_VERSION = re.compile(rb"[^ ]+ [^ ]+ HTTP/[0-9]+(?:\.[0-9]+)?")
_NOT_CONNECTION_SPECIFIC = frozenset((b"content-length", b"expect"))
"""Fields that this edge acts on: listing them in Connection cannot hide them from the app."""
_NOTED: Final = CONNECTION_FIELDS | {b"content-length", b"expect"}


def check_unfinished(data: bytes, at: int, limits: IngressLimits, *, checked: int = 0) -> None:
    """Raise Refusal if what begins at `at` is too large for a head, or can become none however it goes on.

    `checked` is the number of bytes from there that have passed before.
    """
    size = len(data) - at
    line_end = data.find(b"\r\n", at, at + limits.request_line + 2)
    if line_end < 0:
        rules.check_line_size(size, limits)
    rules.check_head_size(size, limits)
    new = at + checked
    if data.count(b"\n", new) != data.count(b"\r\n", max(new - 1, at)):
        raise _bad_line_end()
    if line_end >= max(new - 1, at):
        _split_request_line(data[at:line_end])
    elif not checked and not data[at : at + 1].isalpha() and data[at:] != b"\r":
        raise Refusal(400, "bad_request_line", "This is not HTTP.")


class RequestHead:
    """A request head, understood: what is forwarded, and what concerns this connection."""

    __slots__ = (
        "authority",
        "chunked",
        "fields",
        "keep_alive",
        "length",
        "method",
        "path",
        "upgrade",
        "version",
        "websocket_key",
    )

    def __init__(self, method: bytes, version: str, fields: Fields) -> None:
        self.method = method
        self.version = version
        self.fields = fields
        self.authority = b""
        self.path = b""
        self.length = 0
        """Bytes of body that follow; meaningless when `chunked`."""
        self.chunked = False
        self.keep_alive = version == "1.1"
        self.upgrade: bytes | None = None
        self.websocket_key = b""

    def request(self, *, scheme: bytes, peer: str, started: float) -> Request:
        """Return what the gateway gets of it."""
        return Request(
            method=self.method,
            scheme=scheme,
            authority=self.authority,
            path=self.path,
            fields=self.fields,
            upgrade=self.upgrade,
            version=self.version,
            peer=peer,
            started=started,
            end_stream=not (self.chunked or self.length or self.upgrade),
        )


class HeadParser:
    """Parses heads and trailer sections within limits."""

    __slots__ = ("_limits",)

    def __init__(self, limits: IngressLimits) -> None:
        self._limits = limits

    def parse(self, head: bytes) -> RequestHead:
        """Parse a head, from its request line to the empty line. Raises Refusal."""
        limits = self._limits
        rules.check_head_size(len(head), limits)
        line_end = head.find(b"\r\n")
        rules.check_line_size(line_end, limits)
        method, target, version = _split_request_line(head[:line_end])
        fields = _split_fields(head, line_end + 2)
        if len(fields) > limits.header_fields:
            raise rules.too_many_fields()
        noted, kept = _sort(fields)
        request = RequestHead(method, version, kept)
        if method == b"CONNECT":
            raise connect_refused()
        _set_framing(request, noted)
        _set_target(request, target, noted.get(b"host", []))
        if len(noted) > 1 or b"host" not in noted:
            _apply(request, noted)
        return request

    def parse_trailers(self, section: bytes) -> Fields:
        """Parse a trailer section with its empty line; return what may be forwarded. Raises Refusal."""
        fields = _split_fields(section, 0)
        if len(fields) > self._limits.header_fields:
            raise rules.too_many_fields("trailer fields")
        return public_trailers(fields)

    def check_chunks(self, data: bytes, at: int) -> None:
        """Raise Refusal if what there is of a chunked body is none, before anything of its request is forwarded."""
        decoder = ChunkedDecoder(self._limits.header_bytes)
        try:
            decoder.decode(data, at)
        except MalformedMessage as error:
            raise bad_body(error) from None
        if decoder.trailers:
            self.parse_trailers(decoder.trailers)


def bad_body(error: MalformedMessage) -> Refusal:
    """Return what answers a body that is none."""
    if error.too_large:
        return Refusal(431, "trailers_too_large", f"The body is malformed: {error}.")
    return Refusal(400, "bad_chunk", f"The body is malformed: {error}.")


def _split_fields(section: bytes, at: int) -> Fields:
    """Split the field lines from `at` to the empty line at the end. Raises Refusal."""
    try:
        return split_fields(section, at, len(section) - 2)
    except MalformedMessage as error:
        line_ends = section.count(b"\r\n")
        if section.count(b"\n") != line_ends or section.count(b"\r") != line_ends:
            raise _bad_line_end() from None
        raise Refusal(400, "bad_request", f"The request's head is malformed: {error}.") from None


def _bad_line_end() -> Refusal:
    return Refusal(400, "bad_line_end", "A line of the request's head does not end in CRLF.")


def _split_request_line(line: bytes) -> tuple[bytes, bytes, str]:
    match = _is_request_line(line)
    if match is not None:
        return match[1], match[2], "1.1" if match[3] == b"1.1" else "1.0"
    if _OTHER_VERSION.fullmatch(line) and not line.endswith((b" HTTP/1.1", b" HTTP/1.0")):
        raise Refusal(
            505, "http_version", "The versions spoken here are HTTP/1.0 and HTTP/1.1, and HTTP/2 over TLS."
        )
    raise Refusal(400, "bad_request_line", "The request line is malformed.")


def _sort(fields: Fields) -> tuple[dict[bytes, list[bytes]], Fields]:
    """Note the fields that concern this connection, and return the others."""
    noted: dict[bytes, list[bytes]] = {}
    kept: Fields = []
    for field in fields:
        name, value = field
        if name in _NOTED:
            noted.setdefault(name, []).append(value)
            if name not in CONNECTION_FIELDS:
                kept.append(field)
        elif not is_withheld(name):
            kept.append(field)
    return noted, kept


def _set_framing(request: RequestHead, noted: dict[bytes, list[bytes]]) -> None:
    """Find out how long the body is (RFC 9112 §6.3), and take no chances."""
    codings = noted.get(b"transfer-encoding")
    lengths = noted.get(b"content-length")
    if codings is not None:
        if lengths is not None or request.version == "1.0":
            raise Refusal(
                400, "bad_framing", "Transfer-Encoding goes with neither Content-Length nor HTTP/1.0."
            )
        *others, last = [coding.strip(b" \t") for coding in b",".join(codings).lower().split(b",")]
        if last != b"chunked" or b"chunked" in others:
            raise Refusal(400, "bad_framing", "Transfer-Encoding has to end in chunked, and once.")
        if others:
            raise Refusal(501, "transfer_coding", "The only transfer coding understood here is chunked.")
        request.chunked = True
    elif lengths is not None:
        request.length = rules.body_length(lengths)


def _set_target(request: RequestHead, target: bytes, hosts: list[bytes]) -> None:
    """Find authority and path (RFC 9112 §3.2)."""
    if hosts or request.version == "1.1":
        request.authority = rules.one_authority(hosts)
    if target[:1] == b"/" and b"#" not in target:
        request.path = target  # the octets are right: the request line has been matched
        return
    path = target
    if target[:1] != b"/" and target != b"*":
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise rules.bad_target("The request target is neither a path nor an absolute http URI.")
        check_authority(absolute[1])
        request.authority = absolute[1]
        path = absolute[2]
        if not path and request.method == b"OPTIONS":
            path = b"*"
        elif not path.startswith(b"/"):
            path = b"/" + path
    rules.check_path(path, request.method)
    request.path = path


def _apply(request: RequestHead, noted: dict[bytes, list[bytes]]) -> None:
    """Act on Connection, TE, Expect and Upgrade."""
    options = list_members(noted.get(b"connection", []))
    if options:
        listed = frozenset(options) - _NOT_CONNECTION_SPECIFIC
        request.fields = [field for field in request.fields if field[0] not in listed]
        if b"close" in listed:
            request.keep_alive = False
        elif b"keep-alive" in listed:
            request.keep_alive = True
    if accepts_trailers(noted.get(b"te", [])):
        request.fields.append((b"te", b"trailers"))
    for value in noted.get(b"expect", []):
        if request.version == "1.0":
            request.fields = rules.without(request.fields, b"expect")
        else:
            check_expectation(value)
    if b"upgrade" in options and b"upgrade" in noted:
        _set_upgrade(request, noted[b"upgrade"])


def _set_upgrade(request: RequestHead, offers: list[bytes]) -> None:
    """Take the first protocol offered that may be upgraded to; without one the request is an ordinary one.

    An offer in HTTP/1.0 is to be ignored (RFC 9110 §7.8). So is one with a version, or that is no token: an extended
    CONNECT cannot name it (RFC 8441 §4).
    """
    protocols = [
        protocol
        for protocol in list_members(offers)
        if protocol not in NEVER_UPGRADED and _PROTOCOL.fullmatch(protocol)
    ]
    if not protocols or request.version == "1.0" or request.method != b"GET":
        return
    has_body = request.chunked or request.length > 0
    request.upgrade = protocols[0]
    request.websocket_key, request.fields = rules.start_upgrade(
        protocols[0], request.fields, has_body=has_body, key_needed=True
    )

"""Reading an HTTP/1.1 request head: whole and alone, so that nothing behind it is touched.

The connection finds the empty line that ends a head and hands over exactly the bytes up to it. llhttp checks the
syntax and splits the fields; what they mean together (RFC 9112 §3, §6) is decided here. A head whose lines end in
anything but CRLF is refused before, so both see its end in the same place.
"""

from __future__ import annotations

import re

import httptools

from edge.fieldset import (
    CONNECTION_FIELDS,
    RESERVED_PREFIX,
    accepts_trailers,
    check_authority,
    check_expectation,
    connect_refused,
    list_members,
    public_trailers,
)
from edge.problem import Refusal
from h2s.engine.session import Field, Fields

from . import websocket
from .limits import IngressLimits

__all__ = ["HeadParser", "RequestHead", "check_unfinished"]

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE)
_VERSIONS = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_NOTED = CONNECTION_FIELDS | {b"content-length", b"expect"}


def check_unfinished(data: bytes, at: int, limits: IngressLimits) -> None:
    """Raise Refusal if what begins at `at` is too large for a head, or can become none however it goes on."""
    size = len(data) - at
    if size > limits.request_line and data.find(b"\r\n", at, at + limits.request_line + 2) < 0:
        raise Refusal(414, "target_too_long", "The request line is too long.")
    if size > limits.header_bytes:
        raise Refusal(431, "head_too_large", "The request's head is too large.")
    if data.count(b"\n", at) != data.count(b"\r\n", at):
        raise Refusal(400, "bad_line_end", "A line of the request's head does not end in CRLF.")
    if not data[at : at + 1].isalpha() and data[at:] != b"\r":
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


class HeadParser:
    """Parses the heads of one connection."""

    __slots__ = ("_complete", "_fields", "_limits", "_parser", "_reusable")

    def __init__(self, limits: IngressLimits) -> None:
        self._limits = limits
        self._fields: Fields = []
        self._complete = False
        self._reusable = False
        self._parser = httptools.HttpRequestParser(self)

    def parse(self, head: bytes) -> RequestHead:
        """Parse a head, from its request line to the empty line. Raises Refusal."""
        limits = self._limits
        if len(head) > limits.header_bytes:
            raise Refusal(431, "head_too_large", "The request's head is too large.")
        line_end = head.find(b"\r\n")
        if line_end > limits.request_line:
            raise Refusal(414, "target_too_long", "The request line is too long.")
        method, target, version = _split_request_line(head[:line_end])
        noted, kept = _sort(self._read_fields(head))
        if len(self._fields) > limits.header_fields:
            raise Refusal(431, "too_many_fields", "The request has too many fields.")
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
        fields = self._read_fields(b"GET / HTTP/1.1\r\n" + section)
        if len(fields) > self._limits.header_fields:
            raise Refusal(431, "too_many_fields", "The request has too many trailer fields.")
        return public_trailers([(name, value.rstrip(b" \t")) for name, value in fields])

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field from llhttp."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Note that llhttp has seen the head's end."""
        self._complete = True

    def on_message_complete(self) -> None:
        """Note whether llhttp, which knows of no body, would take another head next."""
        self._reusable = self._parser.should_keep_alive()

    def _read_fields(self, head: bytes) -> Fields:
        line_ends = head.count(b"\r\n")
        if head.count(b"\n") != line_ends or head.count(b"\r") != line_ends:
            raise Refusal(400, "bad_line_end", "A line of the request's head does not end in CRLF.")
        self._fields = []
        self._complete = self._reusable = False
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self._reusable = False
        except httptools.HttpParserInvalidMethodError:
            raise Refusal(501, "unknown_method", "The request's method is not known here.") from None
        except httptools.HttpParserError as error:
            raise Refusal(400, "bad_request", f"The request's head is malformed: {error}.") from None
        finally:
            if not self._reusable:
                self._parser = httptools.HttpRequestParser(self)
        if not self._complete:
            raise Refusal(400, "bad_request", "The request's head is malformed.")
        return self._fields


def _split_request_line(line: bytes) -> tuple[bytes, bytes, str]:
    parts = line.split(b" ")
    version = parts[-1]
    if len(parts) == 3 and version in _VERSIONS:
        return parts[0], parts[1], _VERSIONS[version]
    if re.fullmatch(rb"HTTP/\d+(\.\d+)?", version) and version not in _VERSIONS:
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
        if value[-1:] in (b" ", b"\t") and value:
            value = value.rstrip(b" \t")
            field = (name, value)
        if name in _NOTED:
            noted.setdefault(name, []).append(value)
            if name not in CONNECTION_FIELDS:
                kept.append(field)
        elif not name.startswith(RESERVED_PREFIX):
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
        if list_members(codings) != [b"chunked"]:
            raise Refusal(501, "transfer_coding", "The only transfer coding understood here is chunked.")
        request.chunked = True
    elif lengths is not None:
        if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
            raise Refusal(400, "bad_length", "Content-Length has to be one number.")
        request.length = int(lengths[0])


def _set_target(request: RequestHead, target: bytes, hosts: list[bytes]) -> None:
    """Find authority and path (RFC 9112 §3.2)."""
    if len(hosts) != 1 and (hosts or request.version == "1.1"):
        raise Refusal(400, "bad_host", "A request has exactly one Host.")
    if hosts:
        check_authority(hosts[0])
        request.authority = hosts[0]
    if b"#" in target:
        raise Refusal(400, "bad_target", "A request target has no fragment.")
    if target.startswith(b"/") or (target == b"*" and request.method == b"OPTIONS"):
        request.path = target
        return
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Refusal(400, "bad_target", "The request target is neither a path nor an absolute http URI.")
    check_authority(absolute[1])
    request.authority = absolute[1]
    path = absolute[2]
    if not path and request.method == b"OPTIONS":
        request.path = b"*"
    else:
        request.path = path if path.startswith(b"/") else b"/" + path


def _apply(request: RequestHead, noted: dict[bytes, list[bytes]]) -> None:
    """Act on Connection, TE, Expect and Upgrade."""
    options = list_members(noted.get(b"connection", []))
    if options:
        listed = frozenset(options)
        request.fields = [field for field in request.fields if field[0] not in listed]
        if b"close" in listed:
            request.keep_alive = False
        elif b"keep-alive" in listed:
            request.keep_alive = True
    if accepts_trailers(noted.get(b"te", [])):
        request.fields.append((b"te", b"trailers"))
    for value in noted.get(b"expect", []):
        if request.version == "1.0":
            request.fields = _without(request.fields, b"expect")
        else:
            check_expectation(value)
    if b"upgrade" in options and b"upgrade" in noted:
        _set_upgrade(request, noted[b"upgrade"])


def _set_upgrade(request: RequestHead, offers: list[bytes]) -> None:
    """Take the first protocol offered that may be upgraded to; without one the request is an ordinary one.

    HTTP/2 is spoken over TLS only, and an offer in HTTP/1.0 is to be ignored (RFC 9110 §7.8).
    """
    protocols = [protocol for protocol in list_members(offers) if protocol != b"h2c"]
    if not protocols or request.version == "1.0" or request.method != b"GET":
        return
    if request.chunked or request.length:
        raise Refusal(400, "upgrade_with_body", "A request that asks for an upgrade has no body here.")
    request.upgrade = protocols[0]
    request.fields = _without(request.fields, b"content-length")
    if request.upgrade == b"websocket":
        request.websocket_key, request.fields = websocket.take_key(request.fields)


def _without(fields: Fields, name: bytes) -> list[Field]:
    return [field for field in fields if field[0] != name]

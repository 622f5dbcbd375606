"""Writing an HTTP/1.1 response: the bytes of its head, and how the end of its body is known.

The body's framing follows RFC 9112 §6.3: none for HEAD, 204 and 304; Content-Length if there is one; else chunks, or
for an HTTP/1.0 client the end of the connection. A response that lists several lengths, or one that is no number, is
framed as if it had none.
"""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus
from typing import Final

from edge.problem import Refusal, problem
from h2s.engine.session import Fields
from h2s.http1 import join_fields

__all__ = [
    "Framing",
    "body_length",
    "encode_head",
    "encode_informational",
    "encode_refusal",
    "encode_trailers",
    "without_length",
]

_STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}


class Framing(Enum):
    """How a client knows where a response's body ends."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"
    RAW = "raw"
    """Bytes of another protocol, after an upgrade."""


def body_length(fields: Fields) -> int | None:
    """Return the Content-Length; None if there is none that can be relied on."""
    found = None
    for name, value in fields:
        if name == b"content-length":
            if found is not None:
                return None
            found = value
    return int(found) if found is not None and found.isdigit() else None


def without_length(fields: Fields) -> Fields:
    """Return the fields without Content-Length."""
    return [field for field in fields if field[0] != b"content-length"]


def encode_head(status: int, fields: Fields, date: bytes, framing: bytes) -> bytes:
    """Return the bytes of a final head.

    `framing` are encoded lines for the connection; `date` is used if the fields have none. Raises MalformedMessage
    when a field would break out of its line.
    """
    section = join_fields(fields)
    if not any(name == b"date" for name, _ in fields):
        framing = b"%bdate: %b\r\n" % (framing, date)
    return b"%b%b%b\r\n" % (_status_line(status), section, framing)


def encode_informational(status: int, fields: Fields) -> bytes:
    """Return the bytes of a 1xx head. Raises MalformedMessage as `encode_head`."""
    return b"%b%b\r\n" % (_status_line(status), join_fields(fields))


def encode_refusal(refusal: Refusal, date: bytes, request_id: bytes = b"") -> bytes:
    """Return the bytes of a whole response that ends the connection."""
    fields, body = problem(refusal.status, refusal.code, refusal.detail, request_id)
    return encode_head(refusal.status, fields + refusal.fields, date, b"connection: close\r\n") + body


def encode_trailers(fields: Fields) -> bytes:
    """Return the last chunk with a trailer section. Raises MalformedMessage as `encode_head`."""
    return b"0\r\n%b\r\n" % join_fields(fields)


def _status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status

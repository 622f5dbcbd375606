"""What can go wrong with an upstream, and how the edge is told.

UpstreamError                502, or as below; `code` goes into the field h2s-error, the text into h2s-error-detail
├── UpstreamRefused          upstream-refused: no connection came about, so nothing was sent
├── UpstreamUntrusted        upstream-untrusted: it could not show that it is the one, so nothing was sent
├── UpstreamConnectTimeout   upstream-connect-timeout (504): nor within the time allowed
├── UpstreamTimeout          upstream-timeout (504): no response head within the time allowed
├── UpstreamClosed           upstream-closed: the connection ended before the response did
└── UpstreamInvalid          upstream-invalid: what came is not HTTP/1.1, or cannot be said in HTTP/2
MalformedRequest             what came from the edge cannot be said in HTTP/1.1
"""

from __future__ import annotations

from typing import ClassVar

from h2s.engine.session import Fields

__all__ = [
    "GATEWAY_ERRORS",
    "UNREACHABLE",
    "MalformedRequest",
    "UpstreamClosed",
    "UpstreamConnectTimeout",
    "UpstreamError",
    "UpstreamInvalid",
    "UpstreamRefused",
    "UpstreamTimeout",
    "UpstreamUntrusted",
    "error_head",
]

GATEWAY_ERRORS = frozenset((b"502", b"503", b"504"))
"""An upstream's own answers that count against its health."""
MAX_DETAIL = 200
"""Bytes of the text that are sent to the edge."""


class UpstreamError(Exception):
    """The upstream gave no response, or not the whole of one."""

    code: ClassVar[bytes]
    status: ClassVar[bytes] = b"502"

    @property
    def detail(self) -> bytes:
        """The text as a field value: printable ASCII, cut to a fair length."""
        text = str(self).encode("ascii", "replace")[:MAX_DETAIL]
        return bytes(byte if 0x20 <= byte < 0x7F else ord("?") for byte in text).strip()


class UpstreamRefused(UpstreamError):
    """No connection could be made; nothing of the request was sent."""

    code = b"upstream-refused"


class UpstreamUntrusted(UpstreamError):
    """TLS failed, mostly because of the upstream's certificate; nothing of the request was sent."""

    code = b"upstream-untrusted"


class UpstreamConnectTimeout(UpstreamError):
    """No connection was made in time; nothing of the request was sent."""

    code = b"upstream-connect-timeout"
    status = b"504"


class UpstreamTimeout(UpstreamError):
    """No response head came in time."""

    code = b"upstream-timeout"
    status = b"504"


class UpstreamClosed(UpstreamError):
    """The connection ended before the response did."""

    code = b"upstream-closed"


class UpstreamInvalid(UpstreamError):
    """The upstream's bytes are no response that can be passed on."""

    code = b"upstream-invalid"


UNREACHABLE = (UpstreamRefused, UpstreamUntrusted, UpstreamConnectTimeout)
"""What says that there is no connection to be had; nothing was sent."""


def error_head(error: UpstreamError) -> Fields:
    """Return the head of the answer that the edge gets instead of a response."""
    return [
        (b":status", error.status),
        (b"h2s-error", error.code),
        (b"h2s-error-detail", error.detail),
    ]


class MalformedRequest(Exception):
    """A request head or body from the edge would not be one well-framed HTTP/1.1 request."""

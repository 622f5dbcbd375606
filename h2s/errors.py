"""Every error of h2s, and what it means.

H2SError
├── LocalProtocolError     we asked for something the protocol does not allow: a bug on this side
│   └── NoFreeStream       the peer's limit of concurrent streams is reached, or the ids are used up
├── RemoteProtocolError    the peer broke HTTP/2 or h2s; carries the HTTP/2 error code to close with
├── HandshakeError         no tunnel came about
│   ├── Untrusted        the peer is not the edge that the token names: certificate or ALPN
│   ├── Refused            the edge said no, and said whether to retry and when
│   └── VersionMismatch    no version of h2s is spoken by both
├── ConnectionLost         the connection ended under something that was waiting for it
├── EngineUnavailable      the HTTP/2 engine that was asked for does not exist here
└── http1.MalformedMessage   bytes that are no message of HTTP/1.1
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "ConnectionLost",
    "EngineUnavailable",
    "ErrorCode",
    "H2SError",
    "HandshakeError",
    "LocalProtocolError",
    "NoFreeStream",
    "Refused",
    "RemoteProtocolError",
    "Untrusted",
    "VersionMismatch",
]


class ErrorCode(IntEnum):
    """HTTP/2 error codes (RFC 9113 §7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class H2SError(Exception):
    """Base of every error that h2s raises."""


class LocalProtocolError(H2SError):
    """This side asked for something the protocol does not allow."""


class NoFreeStream(LocalProtocolError):
    """No stream can be opened now: the peer's limit is reached, it is going away, or the ids are used up."""


class RemoteProtocolError(H2SError):
    """The peer broke the protocol; the connection is to be closed with `code`."""

    def __init__(self, message: str, code: int = ErrorCode.PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


class HandshakeError(H2SError):
    """No tunnel came about. `permanent` says that trying again without a change cannot help."""

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


class Untrusted(HandshakeError):
    """The peer is not an edge that the token names; nothing was sent to it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class Refused(HandshakeError):
    """The edge refused the registration. `code` is its stable reason, `status` the HTTP status."""

    def __init__(
        self, message: str, *, code: str, status: int, permanent: bool, retry_after: float | None = None
    ) -> None:
        super().__init__(message, permanent=permanent, retry_after=retry_after)
        self.code = code
        self.status = status


class VersionMismatch(HandshakeError):
    """No version of h2s is spoken by both ends."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class ConnectionLost(H2SError):
    """The connection ended before the answer came."""


class EngineUnavailable(H2SError, ImportError):
    """The HTTP/2 engine that the environment names is unknown or does not load."""

"""Status of a control call, as gRPC numbers it (https://grpc.github.io/grpc/core/md_doc_statuscodes.html)."""

from __future__ import annotations

from enum import IntEnum
from urllib.parse import quote, unquote

from ..engine.session import Fields
from ..errors import ErrorCode, H2SError

__all__ = ["Code", "ControlError", "code_of_http", "code_of_reset", "status_fields", "status_of"]


MAX_TEXT = 256
"""Characters of a status message."""
UNQUOTED = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""What `grpc-message` may hold as it is. A space may stand there too, but not at an end (RFC 9113 §8.2.1)."""


class Code(IntEnum):
    """gRPC status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


RESETS = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
HTTP = {
    b"400": Code.INTERNAL,
    b"401": Code.UNAUTHENTICATED,
    b"403": Code.PERMISSION_DENIED,
    b"404": Code.UNIMPLEMENTED,
    b"429": Code.UNAVAILABLE,
    b"502": Code.UNAVAILABLE,
    b"503": Code.UNAVAILABLE,
    b"504": Code.UNAVAILABLE,
}


class ControlError(H2SError):
    """A control call ended with a status other than OK."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def status_fields(code: Code, message: str = "") -> Fields:
    """Return the trailers that end a call."""
    fields = [(b"grpc-status", str(int(code)).encode())]
    if message:
        text = quote(message[:MAX_TEXT], safe=UNQUOTED, errors="replace")
        fields.append((b"grpc-message", text.encode()))
    return fields


def status_of(fields: Fields) -> tuple[Code, str]:
    """Return the status that trailers carry; UNKNOWN when they carry none that can be read."""
    found = dict(fields)
    try:
        code = Code(int(found[b"grpc-status"]))
    except (KeyError, ValueError):
        return Code.UNKNOWN, "no readable grpc-status"
    return code, unquote(found.get(b"grpc-message", b"").decode("ascii", "replace"))[:MAX_TEXT]


def code_of_reset(code: int) -> Code:
    """Return what a stream's reset means for its call."""
    try:
        return RESETS.get(ErrorCode(code), Code.INTERNAL)
    except ValueError:
        return Code.UNKNOWN


def code_of_http(status: bytes) -> Code:
    """Return what an HTTP status means for a call whose answer has no status of gRPC's."""
    return HTTP.get(status, Code.UNKNOWN)

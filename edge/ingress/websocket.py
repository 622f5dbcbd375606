"""The client's half of a WebSocket handshake (RFC 6455 §4.2).

Behind the edge a WebSocket is an extended CONNECT, which knows neither key nor accept (RFC 8441 §5). So the ingress
answers the key of an HTTP/1.1 client itself, and takes it out of the request.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from hashlib import sha1

from edge.problem import Refusal
from h2s.engine.session import Field, Fields

__all__ = ["accept", "take_key"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = (b"sec-websocket-version", b"13")


def take_key(fields: Fields, *, needed: bool) -> tuple[bytes, Fields]:
    """Return the client's key and the fields without any; over HTTP/2 none is `needed`, and the key is empty.

    Raises Refusal: for a version other than 13 with 426, or over HTTP/2, where there is no Upgrade to name, with 400;
    with 400 for a key that is missing or not 16 bytes.
    """
    if [field for field in fields if field[0] == b"sec-websocket-version"] != [_VERSION]:
        raise (
            _other_version(426, (b"connection", b"upgrade"), (b"upgrade", b"websocket"))
            if needed
            else (_other_version(400))
        )
    keys = [value for name, value in fields if name == b"sec-websocket-key"]
    fields = [field for field in fields if field[0] != b"sec-websocket-key"]
    if not needed:
        return b"", fields
    if len(keys) != 1 or not _is_key(keys[0]):
        raise Refusal(400, "websocket_key", "Sec-WebSocket-Key has to be 16 bytes in base64, once.")
    return keys[0], fields


def accept(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers `key`."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def _other_version(status: int, *more: Field) -> Refusal:
    detail = "The only version of WebSocket spoken here is 13."
    return Refusal(status, "websocket_version", detail, fields=[*more, _VERSION])


def _is_key(value: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == 16
    except binascii.Error:
        return False

"""The HTTP/1.1 half of a WebSocket handshake (RFC 6455 §4.2).

Behind the edge a WebSocket is an extended CONNECT, which knows neither key nor accept (RFC 8441 §5). So the ingress
answers the key itself, and takes it out of the request.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from hashlib import sha1

from edge.problem import Refusal
from h2s.engine.session import Fields

__all__ = ["accept", "take_key"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def take_key(fields: Fields) -> tuple[bytes, Fields]:
    """Return the client's key and the fields without it.

    Raises Refusal: 426 for a version other than 13, 400 for a key that is missing or not 16 bytes.
    """
    if [value for name, value in fields if name == b"sec-websocket-version"] != [b"13"]:
        raise Refusal(
            426,
            "websocket_version",
            "The only version of WebSocket spoken here is 13.",
            fields=[
                (b"connection", b"upgrade"),
                (b"upgrade", b"websocket"),
                (b"sec-websocket-version", b"13"),
            ],
        )
    keys = [value for name, value in fields if name == b"sec-websocket-key"]
    if len(keys) != 1 or not _is_key(keys[0]):
        raise Refusal(400, "websocket_key", "Sec-WebSocket-Key has to be 16 bytes in base64, once.")
    return keys[0], [field for field in fields if field[0] != b"sec-websocket-key"]


def accept(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers `key`."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def _is_key(value: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == 16
    except binascii.Error:
        return False

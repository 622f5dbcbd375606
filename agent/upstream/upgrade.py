"""Extended CONNECT (RFC 8441) said in HTTP/1.1: `Connection: Upgrade` and its 101.

The agent is the HTTP/1.1 client, so for WebSocket the key is its own, and so is the check of the answer (RFC 6455
§4.1): the far client's key, if it sent one, never reaches the upstream.
"""

from __future__ import annotations

import base64
import hashlib
import os

from h2s.engine.session import Fields

__all__ = ["Upgrade"]

WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Upgrade:
    """One wish to speak `protocol` on a connection from now on."""

    __slots__ = ("_accept", "lines", "protocol")

    def __init__(self, protocol: bytes) -> None:
        self.protocol = protocol
        self.lines = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol
        self._accept: bytes | None = None
        if protocol.lower() == b"websocket":
            key = base64.b64encode(os.urandom(16))
            self.lines += b"Sec-WebSocket-Key: %b\r\n" % key
            digest = hashlib.sha1(key + WEBSOCKET_GUID, usedforsecurity=False).digest()
            self._accept = base64.b64encode(digest)

    def refusal(self, fields: Fields) -> str | None:
        """Say what is wrong with the fields of a 101; None when the upgrade took place."""
        tokens = [
            token.strip().lower()
            for name, value in fields
            if name == b"upgrade"
            for token in value.split(b",")
        ]
        if self.protocol.lower() not in tokens:
            return "upgrade: the upstream switched to another protocol"
        if self._accept is None:
            return None
        accepts = [value for name, value in fields if name == b"sec-websocket-accept"]
        return None if accepts == [self._accept] else "sec-websocket-accept: does not match the key"

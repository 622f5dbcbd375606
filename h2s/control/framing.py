"""Length-prefixed messages in gRPC's wire shape: one flag byte, four bytes of length, the payload.

See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. Compression is not spoken.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import LocalProtocolError
from .status import Code, ControlError

__all__ = ["MAX_MESSAGE", "MessageDecoder", "encode_message"]

PREFIX_SIZE = 5
MAX_MESSAGE = 1024 * 1024
"""Bytes of a control message, unless both ends agree on another limit."""


def encode_message(payload: bytes, max_size: int = MAX_MESSAGE) -> bytes:
    """Return `payload` with its prefix. Raises LocalProtocolError for one that the peer would not take."""
    if len(payload) > max_size:
        raise LocalProtocolError(f"a control message of {len(payload)} bytes; the limit is {max_size}")
    return b"\x00" + len(payload).to_bytes(4, "big") + payload


class MessageDecoder:
    """Cuts a byte stream into messages. Holds at most one incomplete message of at most `max_size` bytes."""

    def __init__(self, max_size: int = MAX_MESSAGE) -> None:
        self._max_size = max_size
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a message is incomplete: at the end of the stream, that is an error of the peer."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that are complete now; raise ControlError at one that is wrong, then feed no more.

        What comes before a wrong message is yielded, however the bytes were split.
        """
        buffer = self._buffer
        buffer += data
        while len(buffer) >= PREFIX_SIZE:
            if buffer[0] != 0:
                raise ControlError(Code.UNIMPLEMENTED, "compressed messages are not spoken")
            size = int.from_bytes(buffer[1:PREFIX_SIZE], "big")
            if size > self._max_size:
                raise ControlError(
                    Code.RESOURCE_EXHAUSTED, f"a message of {size} bytes; the limit is {self._max_size}"
                )
            end = PREFIX_SIZE + size
            if len(buffer) < end:
                break
            message = bytes(buffer[PREFIX_SIZE:end])
            del buffer[:end]
            yield message

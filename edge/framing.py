"""Messages as frames on a byte stream: four bytes of length, then the message. Pure; the seam's socket is in `seam`."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

__all__ = ["MAX_FRAME", "Deframer", "FrameTooLong", "frame"]

MAX_FRAME = 256 * 1024 * 1024
"""The longest message, in bytes: a snapshot of a great many routes."""
HEADER = Struct("!I")


class FrameTooLong(Exception):
    """A frame claims to be longer than any message is: this is no seam, or it is out of step."""


def frame(message: bytes) -> bytes:
    """Return a message as it goes on the wire. Raises FrameTooLong."""
    if len(message) > MAX_FRAME:
        raise FrameTooLong(f"a message of {len(message)} bytes")
    return HEADER.pack(len(message)) + message


class Deframer:
    """Puts messages together again, however their bytes were split."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield the messages that are complete with them. Raises FrameTooLong."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= HEADER.size:
                (size,) = HEADER.unpack_from(buffer, start)
                if size > MAX_FRAME:
                    raise FrameTooLong(f"a message of {size} bytes")
                end = start + HEADER.size + size
                if len(buffer) < end:
                    break
                message = bytes(memoryview(buffer)[start + HEADER.size : end])
                start = end
                yield message
        finally:
            del buffer[:start]

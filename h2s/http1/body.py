"""Finding a body in the bytes behind its head, strictly and without I/O (RFC 9112 §6, §7.1).

These decoders stop at the body's last byte, so that what stands behind it is nobody's yet. They keep no input: what was
not consumed has to be presented again with more behind it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from .errors import MalformedMessage

__all__ = ["ChunkedDecoder", "LengthDecoder"]

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_MAX_SIZE_LINE = 1024


class _State(Enum):
    SIZE = "size"
    DATA = "data"
    DATA_END = "data end"
    TRAILERS = "trailers"
    DONE = "done"


# In compiled code a constant is found faster than an attribute of an Enum.
_SIZE: Final = _State.SIZE
_DATA: Final = _State.DATA
_DATA_END: Final = _State.DATA_END
_TRAILERS: Final = _State.TRAILERS
_DONE: Final = _State.DONE


class LengthDecoder:
    """Takes a body of known length, in bytes. `done` says that it has ended."""

    __slots__ = ("_left", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.trailers = b""

    @property
    def done(self) -> bool:
        """Whether the body has been read."""
        return not self._left

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Take what `data` has of the body from position `at` on; return it and the position reached."""
        end = min(at + self._left, len(data))
        self._left -= end - at
        return (data if end - at == len(data) else data[at:end]), end


class ChunkedDecoder:
    """Decodes one body. `done` says that it has ended, and `trailers` is its raw trailer section, often empty."""

    __slots__ = ("_left", "_max_trailers", "_state", "trailers")

    def __init__(self, max_trailers: int) -> None:
        self.trailers = b""
        self._state = _SIZE
        self._left = 0
        self._max_trailers = max_trailers

    @property
    def done(self) -> bool:
        """Whether the body and its trailer section have been read."""
        return self._state is _DONE

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Decode `data` from position `at` on; return the content found and the position reached.

        Raises MalformedMessage for what is not a chunked body.
        """
        pieces: list[bytes] = []
        while True:
            state = self._state
            if state is _DATA:
                piece = data[at : at + self._left]
                if piece:
                    pieces.append(piece)
                    at += len(piece)
                    self._left -= len(piece)
                if self._left:
                    break
                self._state = _DATA_END
            elif state is _DATA_END:
                if not self._skip_line_end(data, at):
                    break
                at += 2
                self._state = _SIZE
            elif state is _SIZE:
                end = self._read_size(data, at)
                if end < 0:
                    break
                at = end
            elif state is _TRAILERS:
                end = self._read_trailers(data, at)
                if end < 0:
                    break
                at = end
            else:
                break
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), at

    @staticmethod
    def _skip_line_end(data: bytes, at: int) -> bool:
        end = data[at : at + 2]
        if end == b"\r\n":
            return True
        if b"\r\n".startswith(end):
            return False
        raise MalformedMessage("a chunk is longer than its size")

    def _read_size(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at, at + _MAX_SIZE_LINE)
        if end < 0:
            if len(data) - at >= _MAX_SIZE_LINE or data.find(b"\n", at) >= 0:
                raise MalformedMessage("a chunk without a chunk size")
            return -1
        match = _SIZE_LINE.fullmatch(data, at, end)
        if match is None:
            raise MalformedMessage("a chunk without a valid chunk size")
        self._left = int(match[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        return end + 2

    def _read_trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._state = _DONE
            return at + 2
        end = data.find(b"\r\n\r\n", at, at + self._max_trailers)
        if end < 0:
            if len(data) - at >= self._max_trailers:
                raise MalformedMessage("the trailer section is too large", too_large=True)
            if data.count(b"\n", at) != data.count(b"\r\n", at):
                raise MalformedMessage("a trailer line without its CRLF")
            return -1
        self.trailers = data[at : end + 4]
        self._state = _DONE
        return end + 4

"""HTTP/2 frames as the portable engine writes them (RFC 9113 §6), and the buffer it reads them from.

Frames are written here rather than with hyperframe, which packs the id of a setting into one byte and makes an object
of every frame.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.frame_buffer import FrameBuffer
from hyperframe.frame import Frame, PushPromiseFrame, SettingsFrame

__all__ = [
    "SETTINGS_ACK",
    "InboundBuffer",
    "data_header",
    "goaway",
    "headers",
    "ping",
    "rst_stream",
    "settings",
    "window_update",
]

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ALTSVC, UNKNOWN = 0xA, 0xFF
END_STREAM = ACK = 0x1
END_HEADERS = 0x4

_pack_header = struct.Struct(">BHBBL").pack
_pack_setting = struct.Struct(">HL").pack
_pack_two = struct.Struct(">LL").pack


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    size = len(payload)
    return _pack_header(size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


SETTINGS_ACK = _frame(SETTINGS, ACK, 0, b"")
"""The frame that acknowledges the peer's SETTINGS."""


def settings(values: Mapping[int, int]) -> bytes:
    """Return a SETTINGS frame; ids have 16 bits, values 32."""
    return _frame(SETTINGS, 0, 0, b"".join(_pack_setting(code, value) for code, value in values.items()))


def ping(payload: bytes, *, ack: bool) -> bytes:
    """Return a PING frame with 8 bytes."""
    return _frame(PING, ACK if ack else 0, 0, payload)


def goaway(last_stream_id: int, code: int, debug: bytes) -> bytes:
    """Return a GOAWAY frame."""
    return _frame(GOAWAY, 0, 0, _pack_two(last_stream_id, code) + debug)


def rst_stream(stream_id: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return _frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def window_update(stream_id: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return _frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def data_header(stream_id: int, size: int, *, end_stream: bool) -> bytes:
    """Return the header of a DATA frame, whose `size` bytes of payload follow."""
    return _pack_header(size >> 16, size & 0xFFFF, DATA, END_STREAM if end_stream else 0, stream_id)


def headers(stream_id: int, block: bytes, *, end_stream: bool, max_frame_size: int) -> bytes:
    """Return a HEADERS frame with an encoded field block, and as many CONTINUATION frames as it takes."""
    end = END_STREAM if end_stream else 0
    if len(block) <= max_frame_size:
        return _frame(HEADERS, END_HEADERS | end, stream_id, block)
    parts = [_frame(HEADERS, end, stream_id, block[:max_frame_size])]
    for start in range(max_frame_size, len(block), max_frame_size):
        last = start + max_frame_size >= len(block)
        piece = block[start : start + max_frame_size]
        parts.append(_frame(CONTINUATION, END_HEADERS if last else 0, stream_id, piece))
    return b"".join(parts)


class InboundBuffer(FrameBuffer):
    """h2's frame buffer, which joins HEADERS and their CONTINUATION frames, with bounds of our own.

    h2 looks at a frame's length only when all of it is there, so a peer could make it hold 16 MB. This refuses an
    overlong frame as soon as its header has come, and a head as soon as its parts are too many or too large.
    """

    def __init__(self, *, server: bool, max_frame_size: int, max_continuations: int, max_head: int) -> None:
        """Bound a frame's payload and an encoded head, both in bytes, and the CONTINUATION frames of a head."""
        super().__init__(server)
        self.max_frame_size = max_frame_size
        self._max_continuations = max_continuations
        self._max_head = max_head
        self._greeted = False

    def __next__(self) -> Frame:
        """Return the next whole frame; raises h2's ProtocolError or hyperframe's InvalidPaddingError."""
        if len(self._data) >= 9:
            self._validate_frame_length(int.from_bytes(self._data[:3], "big"))
            if self._data[3] == ALTSVC:
                # hyperframe would take it apart and object to it; to us it is a frame like any that we do not know.
                self._data[3] = UNKNOWN
        return super().__next__()

    def _update_header_buffer(self, f: Frame | None) -> Frame | None:
        if isinstance(f, PushPromiseFrame):
            raise ProtocolError("a push, which nobody may make")
        if not self._greeted:
            if not isinstance(f, SettingsFrame):
                raise ProtocolError("the first frame is not SETTINGS")
            self._greeted = "ACK" not in f.flags
        frame = super()._update_header_buffer(f)
        parts = self._headers_buffer
        if len(parts) > 1 + self._max_continuations or sum(len(part.data) for part in parts) > self._max_head:
            raise DenialOfServiceError("a head comes in too many parts, or is far too large")
        return frame

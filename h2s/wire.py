"""Names and numbers of h2s on the wire; `docs/protocol.md` is the normative text."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALPN",
    "CONTROL_FIELD",
    "CONTROL_PATH",
    "EDGE_NAME",
    "ERROR_DETAIL_FIELD",
    "ERROR_FIELD",
    "FRAME_HEADER_SIZE",
    "H2_PREFACE",
    "INTERNAL_PREFIX",
    "REGISTER_PATH",
    "SERVICE_FIELD",
    "SETTINGS_H2S",
    "SWAP",
    "VERSIONS",
    "VersionRange",
    "agree",
    "frame_header",
    "parse_frame_header",
    "swap_frame",
]

ALPN = "h2s"
"""The only ALPN protocol of the tunnel port."""

EDGE_NAME = "edge.h2s.internal"
"""The name in every edge's tunnel certificate, sent as SNI and checked whatever address is dialled."""

SETTINGS_H2S = 0xF5C2
"""Id of the setting that announces h2s (experimental range of RFC 9113 §11.3): lowest version << 16 | highest."""

SWAP = 0xF5
"""Type of the frame that ends phase 1 (experimental range): stream 0, no flags, the agreed version in 4 bytes."""

H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_SIZE = 9

REGISTER_PATH = b"/h2s.v1.Registration/Register"
CONTROL_PATH = b"/h2s.v1.Control/"

INTERNAL_PREFIX: Final = b"h2s-"
"""Fields between edge and agent start with this; both ends delete such fields from outside."""
CONTROL_FIELD: Final = b"h2s-control"
"""Carries the tunnel's nonce and marks a control stream."""
SERVICE_FIELD: Final = b"h2s-service"
"""Names the service a request is for."""
ERROR_FIELD: Final = b"h2s-error"
"""In a response that the agent made itself: why the app could not answer."""
ERROR_DETAIL_FIELD = b"h2s-error-detail"

VersionRange = tuple[int, int]
VERSIONS: VersionRange = (1, 1)
"""Lowest and highest version of h2s that this code speaks."""


def pack_versions(versions: VersionRange) -> int:
    """Return the value of SETTINGS_H2S."""
    low, high = versions
    return low << 16 | high


def unpack_versions(value: int) -> VersionRange:
    """Return the versions that a value of SETTINGS_H2S announces."""
    return value >> 16, value & 0xFFFF


def agree(ours: VersionRange, theirs: VersionRange) -> int | None:
    """Return the version to speak, the lower of the two highest, or None when the ranges do not meet."""
    version = min(ours[1], theirs[1])
    return version if version >= max(ours[0], theirs[0]) else None


def frame_header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the nine bytes that open an HTTP/2 frame (RFC 9113 §4.1)."""
    return length.to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big")


def parse_frame_header(data: bytes | bytearray) -> tuple[int, int, int, int]:
    """Return length, type, flags and stream id from the first nine bytes of `data`."""
    return int.from_bytes(data[:3], "big"), data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7FFFFFFF


def swap_frame(version: int) -> bytes:
    """Return the SWAP frame that confirms `version`."""
    return frame_header(4, SWAP, 0, 0) + version.to_bytes(4, "big")

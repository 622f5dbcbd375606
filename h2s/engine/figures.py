"""Numbers and names on which both engines have to agree."""

from __future__ import annotations

__all__ = [
    "ASSUMED_PEER_STREAMS",
    "CRUMB",
    "DEFAULT_FRAME",
    "DEFAULT_WINDOW",
    "ENCODER_TABLE",
    "HARD_HEAD_FACTOR",
    "LATE_GRACE",
    "LATE_UNIT",
    "MANY_FIELDS",
    "MAX_ID",
    "MAX_WINDOW",
    "NEVER_INDEXED",
    "OVERHEAD_UNIT",
    "OVERSIZE_UNIT",
    "PREFACE",
    "REMEMBERED_RESETS",
    "TURN",
]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (RFC 9113 §3.4)."""
MAX_ID = MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535
"""Every window before SETTINGS or WINDOW_UPDATE (RFC 9113 §6.9.2)."""
DEFAULT_FRAME = 16 * 1024
"""The largest frame payload that every peer accepts (RFC 9113 §6.5.2)."""
TURN = 16 * 1024
"""Bytes of DATA a stream sends before it is another's turn; the largest frame every peer accepts."""
CRUMB = 1024
"""Bytes of DATA below which a frame that a window has cut short earns the peer nothing."""
ASSUMED_PEER_STREAMS = 100
"""Streams a client opens before it has seen the server's limit (RFC 9113 §6.5.2 recommends no lower one)."""
REMEMBERED_RESETS = 1024
"""How many of the streams that it has reset a server recognises."""
ENCODER_TABLE = 4096
"""Bytes of compression table we use at the most, however much the peer offers."""
HARD_HEAD_FACTOR = 4
"""A head above `max_header_list_size` ends its stream; one this many times larger is not even decompressed."""
LATE_GRACE = 64 * 1024
"""Bytes of DATA for streams that are gone which a peer may send beyond what their windows let it."""
LATE_UNIT = 64
"""Bytes as which a frame of such DATA counts at the least."""
MANY_FIELDS = 256
"""Fields above which a request costs more to read than it is worth: it counts as overhead, by its size."""
OVERSIZE_UNIT = 2048
"""Bytes of a head above the limit that count as one reset."""
OVERHEAD_UNIT = 256
"""Bytes of payload that make a frame of overhead count as one more."""
NEVER_INDEXED = frozenset(
    {
        *(b"authorization", b"cookie", b"set-cookie", b":path", b"content-length", b"date", b"etag"),
        *(
            b"last-modified",
            b"location",
            b"referer",
            b"x-request-id",
            b"traceparent",
            b"h2s-control",
            b"forwarded",
            b"x-forwarded-for",
        ),
    }
)
"""Fields kept out of the compression table: secrets (RFC 7541 §7.1), and what rarely comes twice."""

"""What a public client may take of an edge."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IngressLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressLimits:
    """Bounds on public connections. Sizes are in bytes, times in seconds."""

    max_connections: int = 16_384
    """Connections open at once, handshakes included; one more is answered with 503 (TLS: closed) at once."""
    max_connections_per_address: int = 1024
    """The same for one client address; of IPv6 addresses the first 64 bits count."""
    request_line: int = 16 * 1024
    """Longest HTTP/1.1 request line, or method and path of HTTP/2; above it 414."""
    header_bytes: int = 64 * 1024
    """Largest request head, and largest trailer section; above it 431."""
    header_fields: int = 128
    """Most fields in a head; above it 431."""
    max_pipeline: int = 64 * 1024
    """Unread bytes kept while a response is in flight; above it reading stops."""
    discard: int = 256 * 1024
    """How much of a request's body is read and thrown away after its response has ended."""
    head_timeout: float = 30.0
    """A head has to be complete this long after its first byte, and to begin this long after the handshake; 408."""
    idle_timeout: float = 75.0
    """How long a connection without a request is kept."""
    body_timeout: float = 60.0
    """A client that sends nothing of a request's body for this long, and at the most for twice as long, is cut; 408."""
    body_rate: int = 240
    """Bytes a second that a client has to send of a body, on average over `body_timeout`, until the response begins."""
    tunnel_timeout: float = 3600.0
    """An upgraded connection, or an HTTP/2 stream that goes on both ways, is closed when nothing moves on it for this
    long, and at the most for twice as long."""
    linger_timeout: float = 2.0
    """How long a client has to read the last response and close before the edge does."""
    handshake_timeout: float = 10.0
    """A TLS handshake takes this long at the most."""
    concurrent_streams: int = 128
    """Streams that an HTTP/2 client may have open at once."""
    resets_per_second: float = 33.0
    """Streams that an HTTP/2 client may go on cancelling, or making the edge reset by what it sends on them; above it
    the connection ends (ENHANCE_YOUR_CALM)."""
    reset_burst: int = 1000
    """Streams that an HTTP/2 client may cancel in one go."""
    overhead_per_second: float = 100.0
    """Frames without head or body that an HTTP/2 client may go on sending beyond those that its requests pay for;
    above it the connection ends (ENHANCE_YOUR_CALM)."""
    overhead_burst: int = 1000
    """Such frames in one go."""
    stall_timeout: float = 60.0
    """A client that takes less than `stall_bytes` of a waiting response for this long, and at the most for twice as
    long, loses it."""
    stall_bytes: int = 1024
    """What counts as taking some of a response."""

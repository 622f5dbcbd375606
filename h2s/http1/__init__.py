"""What both ends share of HTTP/1.1 (RFC 9112): field lines and bodies, strictly and without I/O."""

from __future__ import annotations

from .body import ChunkedDecoder, LengthDecoder
from .errors import MalformedMessage
from .lines import join_fields, split_fields

__all__ = ["ChunkedDecoder", "LengthDecoder", "MalformedMessage", "join_fields", "split_fields"]

"""What can be wrong with an HTTP/1.1 message."""

from __future__ import annotations

from ..errors import H2SError

__all__ = ["MalformedMessage"]


class MalformedMessage(H2SError):
    """These bytes are no message of HTTP/1.1, whatever follows them. The text says why, and never holds a value."""

    def __init__(self, reason: str, *, field: bytes = b"", too_large: bool = False) -> None:
        """`field` is the name, in lower case, of the field whose value is at fault, if it is one."""
        super().__init__(f"{field.decode('latin-1')}: {reason}" if field else reason)
        self.field = field
        self.too_large = too_large

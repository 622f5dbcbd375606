"""What else a path may be to an app, and where in a tree of prefixes it leads.

A path is matched and forwarded byte for byte. But an app may read more into it than is written: it decodes %2e,
follows `..`, takes a backslash or %2f for a slash, merges slashes, or drops what follows a `;`. Where such a reading
would take another route, a client could come in by one route's rules and reach what another's protect; such a request
is refused (`edge.routes.table`).
"""

from __future__ import annotations

import re

__all__ = ["is_plain", "path_of", "readings"]

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(rb"[A-Za-z0-9._~-]")
_PARAMETERS = re.compile(rb";[^/]*")
_LITERAL = b"/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@"
"""What stands for itself in a route's path, and for nothing else."""
_NOT_LITERAL = re.compile(rb"[^%b]" % re.escape(_LITERAL))


def path_of(target: bytes) -> bytes:
    """Return a request's path without its query; `*` of OPTIONS is the whole site."""
    query = target.find(b"?")
    path = target if query < 0 else target[:query]
    return b"/" if path == b"*" else path


def is_plain(path: bytes) -> bool:
    """Say whether nobody can read this path in another way."""
    return not (path.translate(None, _LITERAL) or b"/." in path or b"//" in path)


def readings(path: bytes) -> tuple[bytes, bytes]:
    """Return the path in its normal form (RFC 3986 §6.2.2), and as the most lenient app reads it.

    Escapes are decoded once. Both are written as the paths of routes are.
    """
    normal = _without_dots(_ESCAPE.sub(_decode_unreserved, path))
    lenient = _PARAMETERS.sub(b"", _ESCAPE.sub(_decode, path).replace(b"\\", b"/"))
    return normal, _NOT_LITERAL.sub(_encode, _without_dots(lenient, merge=True))


def _decode_unreserved(escape: re.Match[bytes]) -> bytes:
    byte = _decode(escape)
    return byte if _UNRESERVED.fullmatch(byte) else b"%" + escape[1].upper()


def _decode(escape: re.Match[bytes]) -> bytes:
    return bytes((int(escape[1], 16),))


def _encode(character: re.Match[bytes]) -> bytes:
    return b"%%%02X" % character[0][0]


def _without_dots(path: bytes, *, merge: bool = False) -> bytes:
    """Follow `.` and `..` segments (RFC 3986 §5.2.4), and merge slashes if asked to."""
    kept: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b"." and (segment or not merge):
            kept.append(segment)
    return b"/" + b"/".join(kept)

"""What a public request may not say, whichever version of HTTP it came in (docs/limits.md has them as a table).

HTTP/1.1 (`head`) and HTTP/2 (`http2_head`) take a head apart in their own ways; what its parts mean is decided here,
once. Every rule either returns what it has understood or raises the Refusal that the client gets.
"""

from __future__ import annotations

import re

from edge.fieldset import check_authority
from edge.problem import Refusal
from h2s.engine.session import Fields

from . import websocket
from .limits import IngressLimits

__all__ = [
    "bad_target",
    "body_length",
    "check_head_size",
    "check_line_size",
    "check_path",
    "one_authority",
    "start_upgrade",
    "timed_out",
    "too_many_fields",
    "without",
]

_PATH = re.compile(rb'/[!"$-~]*')
"""A path with its query: anything that may stand in a request line, but `#`."""


def check_line_size(size: int, limits: IngressLimits) -> None:
    """Raise Refusal (414) when a request line of `size` bytes is too long."""
    if size > limits.request_line:
        raise Refusal(414, "target_too_long", "The request line is too long.")


def check_head_size(size: int, limits: IngressLimits) -> None:
    """Raise Refusal (431) when a head of `size` bytes is too large."""
    if size > limits.header_bytes:
        raise Refusal(431, "head_too_large", "The request's head is too large.")


def too_many_fields(kind: str = "fields") -> Refusal:
    """Return the answer to more fields than `header_fields`."""
    return Refusal(431, "too_many_fields", f"The request has too many {kind}.")


def timed_out() -> Refusal:
    """Return the answer to a request that does not come in time."""
    return Refusal(408, "timeout", "The request did not come in time.")


def bad_target(detail: str) -> Refusal:
    """Return the answer to a target that is none."""
    return Refusal(400, "bad_target", detail)


def check_path(path: bytes, method: bytes) -> None:
    """Raise Refusal (400) unless this is a path with an optional query, or the `*` of OPTIONS (RFC 9112 §3.2)."""
    if _PATH.fullmatch(path) is None and not (path == b"*" and method == b"OPTIONS"):
        raise bad_target("The request target is no path of printable ASCII, or has a fragment.")


def one_authority(hosts: list[bytes]) -> bytes:
    """Return the host that a request is for, with its port; `hosts` are all that it names. Raises Refusal (400)."""
    if len(hosts) != 1:
        raise Refusal(400, "bad_host", "A request has exactly one Host.")
    check_authority(hosts[0])
    return hosts[0]


def body_length(values: list[bytes]) -> int:
    """Return the length that the Content-Length fields of a head announce (RFC 9110 §8.6). Raises Refusal (400).

    Stricter than the RFC, which lets equal ones pass: whoever says it twice means to confuse.
    """
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > 18:
        raise Refusal(400, "bad_length", "Content-Length has to be one number.")
    return int(values[0])


def start_upgrade(
    protocol: bytes, fields: Fields, *, has_body: bool, key_needed: bool
) -> tuple[bytes, Fields]:
    """Check a wish to speak `protocol`, in lower case; return the WebSocket key, if there is one, and what goes on.

    Raises Refusal: 400 for a body; for WebSocket as `websocket.take_key`. `key_needed` over HTTP/1.1 only.
    """
    if has_body:
        raise Refusal(400, "upgrade_with_body", "A request that asks for an upgrade has no body here.")
    fields = without(fields, b"content-length")
    if protocol != b"websocket":
        return b"", fields
    return websocket.take_key(fields, needed=key_needed)


def without(fields: Fields, name: bytes) -> Fields:
    """Return the fields but those of this name."""
    return [field for field in fields if field[0] != name]

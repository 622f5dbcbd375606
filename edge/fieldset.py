"""What an edge takes from a public request's fields, whichever HTTP version brought them.

Fields that describe the connection end here. Fields with the prefix `h2s-` are the tunnel's own and are never taken
from the public, in a head or in trailers. Nor are names with an underscore: an app behind CGI or WSGI cannot tell them
from those with a hyphen (`Content_Length`, `X_Forwarded_For`), so they could speak in another field's name. What the
edge sets by itself (`X-Forwarded-*` and the like) is the gateway's to delete and set; a client gains nothing by
listing such a field in Connection.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from h2s.engine.session import Fields
from h2s.fields import HOP_BY_HOP

from .problem import Refusal

__all__ = [
    "CONNECTION_FIELDS",
    "NEVER_UPGRADED",
    "RESERVED_PREFIX",
    "accepts_trailers",
    "check_authority",
    "check_expectation",
    "connect_refused",
    "is_withheld",
    "list_members",
    "public_trailers",
]

RESERVED_PREFIX: Final = b"h2s-"
"""Names that start like this belong to the tunnel (docs/protocol.md)."""

CONNECTION_FIELDS: Final = HOP_BY_HOP | {b"host", b"te"}
"""Request fields that are not forwarded as they are: Host is the request's authority, of TE only "trailers" goes on."""

NEVER_UPGRADED = frozenset((b"h2c", b"h2"))
"""Protocols that nobody upgrades to through an edge: whoever spoke HTTP/2 to the app would be past all its rules."""

_NOT_IN_TRAILERS = CONNECTION_FIELDS | {
    b"authorization",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"max-forwards",
    b"range",
    b"trailer",
}

_LABEL = rb"[A-Za-z0-9_-]{1,63}"
_is_authority: Final = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|(?=.{1,254}(?::|$))%b(?:\.%b)*\.?)(?::([0-9]{0,5}))?" % (_LABEL, _LABEL)
).fullmatch
MAX_PORT = 65_535

_seen: Final[set[bytes]] = set()
MAX_SEEN: Final = 1024
"""Authorities that have passed and are remembered, the first that come: most requests are for few hosts."""


def check_authority(authority: bytes) -> None:
    """Raise Refusal (400) unless this is a host with an optional port and nothing else.

    Of what RFC 3986 §3.2.2 calls a host only what can be one: labels as in DNS, or an IP address.
    """
    if authority in _seen:
        return
    match = _is_authority(authority)
    if match is None or (match[2] and int(match[2]) > MAX_PORT) or (match[1] and not _is_ipv6(match[1])):
        raise Refusal(
            400, "bad_authority", "The host is not a valid host name or address with an optional port."
        )
    if len(_seen) < MAX_SEEN:
        _seen.add(authority)


def _is_ipv6(text: bytes) -> bool:
    try:
        IPv6Address(text.decode("ascii"))
    except AddressValueError:
        return False
    return True


def is_withheld(name: bytes) -> bool:
    """Say whether a field is never taken from the public because of its name, which is in lower case."""
    return b"_" in name or name[:4] == RESERVED_PREFIX


def check_expectation(value: bytes) -> None:
    """Raise Refusal (417) for an Expect other than 100-continue (RFC 9110 §10.1.1)."""
    if value.lower() != b"100-continue":
        raise Refusal(417, "bad_expectation", "The only expectation that can be met is 100-continue.")


def connect_refused() -> Refusal:
    """Return the answer to a plain CONNECT: an edge is no forward proxy."""
    methods = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    return Refusal(405, "connect_refused", "This is not a forward proxy.", fields=[(b"allow", methods)])


def list_members(values: list[bytes]) -> list[bytes]:
    """Return the members of a comma-separated list field, in lower case (RFC 9110 §5.6.1)."""
    return [
        member for value in values for part in value.split(b",") if (member := part.strip(b" \t").lower())
    ]


def accepts_trailers(values: list[bytes]) -> bool:
    """Say whether TE fields announce that the client takes trailers (RFC 9110 §10.1.4)."""
    return b"trailers" in list_members(values)


def public_trailers(fields: Fields) -> Fields:
    """Return the trailer fields that may be forwarded: none that frame, route or authenticate (RFC 9110 §6.5.1)."""
    return [field for field in fields if field[0] not in _NOT_IN_TRAILERS and not is_withheld(field[0])]

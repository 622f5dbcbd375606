"""Understanding an HTTP/2 request head, which the session has found well-formed (RFC 9113 §8).

What is well-formed may still mean what no request may: that is decided by the rules of HTTP/1.1 (`rules`), and costs
the stream an answer.
"""

from __future__ import annotations

from itertools import chain

from edge.fieldset import (
    CONNECTION_FIELDS,
    NEVER_UPGRADED,
    check_expectation,
    connect_refused,
    is_withheld,
    public_trailers,
)
from edge.message import Request
from edge.problem import Refusal
from h2s.engine.session import Fields

from . import rules
from .limits import IngressLimits

__all__ = ["HEAD_ALLOWANCE", "understand", "understand_trailers"]

HEAD_ALLOWANCE = 2
"""How many times `header_bytes` a session takes, so that a head beyond the limit gets an answer and no reset."""
_SCHEMES = frozenset((b"http", b"https"))
_NOTED = frozenset((b"content-length", b"cookie", b"expect", b"host", b"te"))
_NOT_KEPT = frozenset((b"cookie", b"host", b"te"))
_LINE = len("  HTTP/1.1")
"""What a request line has beside its method and target."""
_FIELD_LINE = len(": \r\n")


def understand(
    fields: Fields, *, limits: IngressLimits, scheme: bytes, peer: str, started: float, end_stream: bool
) -> Request:
    """Make a Request of a head. Raises Refusal."""
    pseudo: dict[bytes, bytes] = {}
    noted: dict[bytes, list[bytes]] = {}
    kept: Fields = []
    for field in fields:
        name, value = field
        if name in _NOTED:
            noted.setdefault(name, []).append(value)
            if name not in _NOT_KEPT:
                kept.append(field)
        elif name[:1] == b":":
            pseudo[name] = value
        elif name not in CONNECTION_FIELDS and not is_withheld(name):
            kept.append(field)
    method = pseudo[b":method"]
    _check_size(fields, len(fields) - len(pseudo) + 1, noted, limits)
    if b"cookie" in noted:
        kept.append((b"cookie", b"; ".join(noted[b"cookie"])))
    if b"te" in noted:
        kept.append((b"te", b"trailers"))
    protocol = pseudo.get(b":protocol")
    if method == b"CONNECT" and protocol is None:
        raise connect_refused()
    path = pseudo[b":path"]
    rules.check_line_size(len(method) + len(path) + _LINE, limits)
    rules.check_path(path, method)
    if pseudo[b":scheme"].lower() not in _SCHEMES:
        raise rules.bad_target("The only schemes served here are http and https.")
    length = rules.body_length(noted[b"content-length"]) if b"content-length" in noted else 0
    for value in noted.get(b"expect", ()):
        check_expectation(value)
    if protocol is not None:
        protocol, kept = _upgrade(protocol.lower(), kept, has_body=length > 0)
    return Request(
        method=method,
        scheme=scheme,
        authority=_authority(pseudo.get(b":authority"), noted.get(b"host", [])),
        path=path,
        fields=kept,
        upgrade=protocol,
        version="2",
        peer=peer,
        started=started,
        end_stream=end_stream,
    )


def understand_trailers(fields: Fields, limits: IngressLimits) -> Fields:
    """Return what may be forwarded of a trailer section. Raises Refusal."""
    if len(fields) > limits.header_fields:
        raise rules.too_many_fields("trailer fields")
    rules.check_head_size(_size(fields), limits)
    return public_trailers(fields)


def _check_size(fields: Fields, count: int, noted: dict[bytes, list[bytes]], limits: IngressLimits) -> None:
    """Hold a head to the limits as HTTP/1.1 would count it: one Host, and the crumbs of a cookie in one field."""
    if count > limits.header_fields:
        count -= len(noted.get(b"host", ())) + max(0, len(noted.get(b"cookie", ())) - 1)
        if count > limits.header_fields:
            raise rules.too_many_fields()
    rules.check_head_size(_size(fields), limits)


def _size(fields: Fields) -> int:
    return sum(map(len, chain.from_iterable(fields))) + _FIELD_LINE * len(fields)


def _authority(authority: bytes | None, hosts: list[bytes]) -> bytes:
    """Return the host, which `:authority` names, or Host, or both alike (RFC 9113 §8.3.1). Raises Refusal."""
    if authority is None:
        return rules.one_authority(hosts)
    if any(host.lower() != authority.lower() for host in hosts):
        raise Refusal(400, "bad_host", "Host and :authority differ.")
    return rules.one_authority([authority])


def _upgrade(protocol: bytes, fields: Fields, *, has_body: bool) -> tuple[bytes, Fields]:
    """Check an extended CONNECT (RFC 8441 §4), which needs no WebSocket key, and whose key means nothing (§5)."""
    if protocol in NEVER_UPGRADED:
        raise Refusal(501, "unknown_protocol", "This protocol is not spoken here.")
    _, fields = rules.start_upgrade(protocol, fields, has_body=has_body, key_needed=False)
    return protocol, fields

from __future__ import annotations

import pytest

from edge.forwarded import tunnel_fields, tunnel_trailers

from .fakes import make_request


def fields_of(**changes: object) -> dict[bytes, bytes]:
    fields = tunnel_fields(make_request(**changes), service=b"web", request_id=b"r-1")
    assert len(dict(fields)) == len(fields)
    return dict(fields)


def test_a_request_is_opened_with_what_the_edge_knows() -> None:
    fields = fields_of(fields=[(b"accept", b"*/*")])
    assert list(fields)[:4] == [b":method", b":scheme", b":authority", b":path"]
    assert fields[b"accept"] == b"*/*"
    assert fields[b"x-forwarded-for"] == b"192.0.2.7"
    assert fields[b"forwarded"] == b'for=192.0.2.7;host="web.localhost";proto=http'
    assert (fields[b"x-request-id"], fields[b"h2s-service"]) == (b"r-1", b"web")


@pytest.mark.parametrize(
    "name",
    [
        b"x-forwarded-for",
        b"x_forwarded_for",
        b"x-forwarded_proto",
        b"forwarded",
        b"x_real-ip",
        b"x-request_id",
        b"x-forwarded-user",
        b"x_forwarded-access-token",
        b"x-forwarded",
    ],
)
def test_what_a_client_says_of_itself_is_deleted_however_it_is_spelled(name: bytes) -> None:
    assert b"forged" not in fields_of(fields=[(name, b"forged")]).values()
    assert tunnel_trailers([(name, b"forged")]) == []


@pytest.mark.parametrize(("peer", "node"), [("2001:db8::1", b'"[2001:db8::1]"'), ("", b"unknown")])
def test_a_peer_is_written_as_rfc_7239_wants_it(peer: str, node: bytes) -> None:
    assert fields_of(peer=peer)[b"forwarded"].startswith(b"for=" + node + b";")


def test_an_upgrade_is_an_extended_connect() -> None:
    fields = fields_of(upgrade=b"websocket")
    assert (fields[b":method"], fields[b":protocol"]) == (b"CONNECT", b"websocket")


def test_a_request_without_a_host_has_no_authority() -> None:
    assert b":authority" not in fields_of(authority=b"")

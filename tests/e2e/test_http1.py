"""HTTP/1.1 and HTTP/1.0 clients: messages, their framing, and what belongs to connections."""

from __future__ import annotations

import base64
import hashlib
import socket

import pytest

from .client import Client, CutShort, fetch, request
from .conftest import Site

pytestmark = pytest.mark.e2e

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "QUERY", "BREW"]


def test_the_apps_status_fields_and_body_reach_the_client(site: Site) -> None:
    response = fetch(site.address, request("/"))
    assert response.head.version == b"HTTP/1.1"
    assert response.status == 200
    assert response.head.value(b"content-type") == b"text/plain"
    assert response.head.value(b"x-origin") == b"origin"
    assert response.body == b"hello from origin\n"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reaches_the_app(site: Site, method: str) -> None:
    assert fetch(site.address, request("/echo", method=method)).json()["method"] == method


def test_options_for_the_whole_server_keeps_its_asterisk(site: Site) -> None:
    seen = fetch(site.address, request("*", method="OPTIONS")).json()
    assert (seen["method"], seen["target"]) == ("OPTIONS", "*")


@pytest.mark.parametrize("status", [200, 201, 302, 401, 404, 418, 500, 503, 599])
def test_every_status_of_the_app_is_its_own(site: Site, status: int) -> None:
    response = fetch(site.address, request(f"/status/{status}"))
    assert response.status == status
    assert response.body == f"status {status}\n".encode()


def test_head_gives_the_length_and_no_body_and_the_connection_goes_on(site: Site) -> None:
    with Client(site.address) as client:
        client.send(request("/bytes/1000", method="HEAD"))
        response = client.read_response("HEAD")
        assert response.head.value(b"content-length") == b"1000"
        client.send(request("/"))
        assert client.read_response().body == b"hello from origin\n"


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_is_followed_by_the_next(site: Site, status: int) -> None:
    with Client(site.address) as client:
        client.send(request(f"/status/{status}"))
        response = client.read_response()
        assert response.status == status
        assert response.head.value(b"transfer-encoding") is None
        client.send(request("/"))
        assert client.read_response().body == b"hello from origin\n"


def test_a_204_has_no_length_and_a_304_keeps_its_own(site: Site) -> None:
    assert fetch(site.address, request("/status/204")).head.value(b"content-length") is None
    not_modified = fetch(site.address, request("/status/304"))
    assert not_modified.head.value(b"content-length") == b"1234"
    assert not_modified.head.value(b"etag") == b'"v1"'


def test_content_length_is_kept_both_ways(site: Site) -> None:
    seen = fetch(site.address, request("/echo", method="PUT", body=b"x" * 5000)).json()
    names = {name.lower(): value for name, value in seen["fields"]}
    assert names["content-length"] == "5000"
    assert "transfer-encoding" not in names
    response = fetch(site.address, request("/bytes/5000"))
    assert response.head.value(b"content-length") == b"5000"
    assert response.head.value(b"transfer-encoding") is None
    assert len(response.body) == 5000


def test_an_empty_body_is_still_a_body_with_a_length(site: Site) -> None:
    seen = fetch(site.address, request("/echo", "Content-Length: 0", method="POST")).json()
    assert ["content-length", "0"] in [[name.lower(), value] for name, value in seen["fields"]]
    assert seen["size"] == 0
    assert fetch(site.address, request("/bytes/0")).head.value(b"content-length") == b"0"


def test_a_chunked_request_arrives_whole(site: Site) -> None:
    parts = [b"first", b"x" * 70_000, b"last"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    octets = request("/echo", "Transfer-Encoding: chunked", method="POST") + chunks + b"0\r\n\r\n"
    seen = fetch(site.address, octets).json()
    assert seen["sha256"] == hashlib.sha256(b"".join(parts)).hexdigest()
    assert "content-length" not in [name.lower() for name, _ in seen["fields"]]


def test_a_chunked_response_stays_chunked(site: Site) -> None:
    response = fetch(site.address, request("/chunked/200000"))
    assert response.head.value(b"transfer-encoding") == b"chunked"
    assert response.head.value(b"content-length") is None
    assert len(response.body) == 200_000


def test_a_response_that_ends_with_the_apps_connection_is_complete(site: Site) -> None:
    assert fetch(site.address, request("/until-close")).body == b"all of it"


def test_request_trailers_reach_the_app(site: Site) -> None:
    octets = request("/echo", "Transfer-Encoding: chunked", "Trailer: X-Sum", method="POST")
    octets += b"4\r\nbody\r\n0\r\nX-Sum: 42\r\nX-Note: caf\xe9\r\n\r\n"
    seen = fetch(site.address, octets).json()
    assert base64.b64decode(seen["body"]) == b"body"
    assert [[name.lower(), value] for name, value in seen["trailers"]] == [
        ["x-sum", "42"],
        ["x-note", "caf\xe9"],
    ]


def test_response_trailers_reach_the_client(site: Site) -> None:
    response = fetch(site.address, request("/trailers", "TE: trailers", "Connection: TE"))
    assert response.body == b"body"
    assert response.trailers == [(b"x-checksum", b"abc123"), (b"x-note", b"caf\xe9")]


def test_a_connection_serves_many_requests(site: Site) -> None:
    with Client(site.address) as client:
        for number in range(20):
            client.send(request(f"/echo/{number}", method="POST", body=b"x" * number))
            seen = client.read_response().json()
            assert (seen["target"], seen["size"]) == (f"/echo/{number}", number)


def test_pipelined_requests_are_answered_in_order(site: Site) -> None:
    with Client(site.address) as client:
        client.send(b"".join(request(f"/echo/{number}", method="POST", body=b"abc") for number in range(5)))
        targets = [client.read_response().json()["target"] for _ in range(5)]
        assert targets == [f"/echo/{number}" for number in range(5)]


def test_connection_close_is_obeyed(site: Site) -> None:
    with Client(site.address) as client:
        client.send(request("/", "Connection: close"))
        assert client.read_response().body == b"hello from origin\n"
        assert client.at_end()


def test_a_request_a_byte_at_a_time_is_understood(site: Site) -> None:
    with Client(site.address) as client:
        for octet in request("/echo", method="POST", body=b"slowly"):
            client.send(bytes([octet]))
        assert base64.b64decode(client.read_response().json()["body"]) == b"slowly"


# -- HTTP/1.0 ------------------------------------------------------------------------------------------------------


def test_an_http10_client_gets_a_length_and_the_connections_end(site: Site) -> None:
    with Client(site.address) as client:
        client.send(b"GET /bytes/1000 HTTP/1.0\r\nHost: web.localhost\r\n\r\n")
        response = client.read_response()
        assert response.head.value(b"content-length") == b"1000"
        assert len(response.body) == 1000
        assert client.at_end()


def test_an_http10_client_never_gets_chunks(site: Site, tunnelled: object) -> None:
    with Client(site.address) as client:
        client.send(b"GET /chunked/100000 HTTP/1.0\r\nHost: web.localhost\r\n\r\n")
        response = client.read_response()
        assert response.head.value(b"transfer-encoding") is None
        assert len(response.body) == 100_000


def test_an_http10_client_without_a_host_gets_the_default_service(site: Site) -> None:
    assert fetch(site.address, b"GET / HTTP/1.0\r\n\r\n").body == b"hello from origin\n"


# -- an upstream that breaks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_response_cut_half_way_never_looks_complete(site: Site, framing: str) -> None:
    with pytest.raises((CutShort, ConnectionResetError)):
        fetch(site.address, request(f"/cut/{framing}"))


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_http10_client_sees_a_reset_where_the_response_was_cut(
    site: Site, tunnelled: object, framing: str
) -> None:
    with pytest.raises((CutShort, ConnectionResetError)):
        fetch(site.address, f"GET /cut/{framing} HTTP/1.0\r\nHost: web.localhost\r\n\r\n".encode())


@pytest.mark.parametrize("path", ["/cut/head", "/rubbish"])
def test_an_app_that_gives_no_response_is_a_502_problem(site: Site, tunnelled: object, path: str) -> None:
    response = fetch(site.address, request(path))
    assert response.status == 502
    assert response.head.value(b"content-type") == b"application/problem+json"
    assert response.json()["status"] == 502


def test_the_connection_pool_survives_an_upstream_that_breaks(site: Site) -> None:
    for _ in range(5):
        with pytest.raises((CutShort, ConnectionResetError)):
            fetch(site.address, request("/cut/length"))
        assert fetch(site.address, request("/")).body == b"hello from origin\n"


def test_a_client_that_sends_rubbish_is_told_so_and_closed(site: Site, tunnelled: object) -> None:
    with Client(site.address) as client:
        client.send(b"this is not http\r\n\r\n")
        assert client.read_head().status == 400


def test_a_client_that_only_shuts_its_sending_side_down_still_gets_its_answer_or_a_close(site: Site) -> None:
    with Client(site.address) as client:
        client.send(request("/", "Connection: close"))
        client.socket.shutdown(socket.SHUT_WR)
        try:
            assert client.read_response().status == 200
        except CutShort:
            assert client.at_end()

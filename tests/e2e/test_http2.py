"""HTTP/2 clients over TLS."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from .client2 import Client2, StreamCut
from .conftest import Secure

pytestmark = pytest.mark.e2e


def test_an_http2_request_is_answered(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        response = client.response(client.request("/"))
        assert response.status == 200
        assert response.head.value(b"x-origin") == b"origin"
        assert response.body == b"hello from origin\n"


def test_streams_of_a_connection_are_served_together(secure: Secure) -> None:
    key = uuid.uuid4().hex
    with Client2(secure.address, secure.certificate) as client:
        held = client.request(f"/hold/{key}")
        others = [client.request(f"/echo/{number}") for number in range(50)]
        assert [client.response(stream).json()["target"] for stream in others] == [
            f"/echo/{n}" for n in range(50)
        ]
        secure.origin.ask(f"/hold/{key}/release")
        assert client.response(held).body == b"hello from origin\n"


def test_the_app_is_told_the_authority_as_its_host(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        seen = client.response(client.request("/echo?a=%20b")).json()
        hosts = [value for name, value in seen["fields"] if name.lower() == "host"]
        assert hosts == [client.authority.decode()]
        assert seen["target"] == "/echo?a=%20b"


def test_cookie_crumbs_reach_the_app_as_one_field(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request("/echo", (b"cookie", b"a=1"), (b"x-between", b"x"), (b"cookie", b"b=2; c=3"))
        fields = client.response(stream).json()["fields"]
        assert [value for name, value in fields if name.lower() == "cookie"] == ["a=1; b=2; c=3"]


def test_two_set_cookie_fields_stay_two_over_http2(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        head = client.response(client.request("/cookies")).head
        assert head.values(b"set-cookie") == [b"a=1; Path=/", b"b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT"]


def test_a_body_without_a_length_reaches_the_app_in_chunks(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request("/echo", method=b"POST", end=False)
        client.send(stream, b"x" * 10_000)
        client.send(stream, b"y" * 10_000, end=True)
        seen = client.response(stream).json()
        assert seen["sha256"] == hashlib.sha256(b"x" * 10_000 + b"y" * 10_000).hexdigest()


def test_trailers_pass_both_ways_over_http2(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request("/echo", method=b"POST", end=False)
        client.send(stream, b"body")
        client.send_trailers(stream, (b"x-sum", b"42"))
        seen = client.response(stream).json()
        assert [[name.lower(), value] for name, value in seen["trailers"]] == [["x-sum", "42"]]
        response = client.response(client.request("/trailers", (b"te", b"trailers")))
        assert response.body == b"body"
        assert response.trailers == [(b"x-checksum", b"abc123"), (b"x-note", b"caf\xe9")]


@pytest.mark.parametrize(
    ("method", "path"), [(b"HEAD", "/bytes/1000"), (b"GET", "/status/204"), (b"GET", "/status/304")]
)
def test_responses_without_a_body_end_with_their_head(secure: Secure, method: bytes, path: str) -> None:
    with Client2(secure.address, secure.certificate) as client:
        response = client.response(client.request(path, method=method))
        assert response.body == b""
        if method == b"HEAD":
            assert response.head.value(b"content-length") == b"1000"


def test_early_hints_reach_an_http2_client(secure: Secure) -> None:
    key = uuid.uuid4().hex
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request(f"/hints/{key}")
        assert client.interim(stream).status == 103
        secure.origin.ask(f"/hold/{key}/release")
        assert client.response(stream).body == b"done\n"


def test_an_http2_client_that_waits_for_100_gets_it(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request("/echo", (b"expect", b"100-continue"), method=b"POST", end=False)
        assert client.interim(stream).status == 100
        client.send(stream, b"body", end=True)
        assert client.response(stream).json()["size"] == 4


def test_both_directions_of_a_stream_flow_at_once(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request("/duplex", method=b"POST", end=False)
        expected = b""
        for number in range(10):
            message = b"message %d" % number
            client.send(stream, message)
            expected += message
            assert client.body_so_far(stream, len(expected)) == expected
        client.send(stream, b"", end=True)
        assert client.response(stream).body == expected


def test_server_sent_events_arrive_as_they_are_sent_over_http2(secure: Secure) -> None:
    key = uuid.uuid4().hex
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request(f"/events/{key}")
        for number in range(3):
            if number:
                secure.origin.ask(f"/events/{key}/release")
            event = b"data: %d\n\n" % number
            assert client.body_so_far(stream, len(event) * (number + 1)).endswith(event)
        client.response(stream)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_response_cut_half_way_is_a_stream_error_and_no_more(secure: Secure, framing: str) -> None:
    with Client2(secure.address, secure.certificate) as client:
        cut = client.request(f"/cut/{framing}")
        with pytest.raises(StreamCut) as reset:
            client.response(cut)
        assert reset.value.code not in (None, 0)
        assert client.response(client.request("/")).body == b"hello from origin\n"


def test_an_early_answer_ends_the_request_over_http2(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request("/refuse/403", method=b"POST", end=False)
        client.send(stream, b"x" * 10)
        assert client.response(stream).status == 403

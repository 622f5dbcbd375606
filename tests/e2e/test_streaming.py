"""What has to happen while a message is still under way: interim responses, events, both directions at once."""

from __future__ import annotations

import uuid

import pytest

from .client import Client, fetch, request
from .client2 import Client2
from .conftest import Secure, Site
from .programs import eventually

pytestmark = pytest.mark.e2e


@pytest.fixture
def key() -> str:
    """A name for what this test and the origin have between them."""
    return uuid.uuid4().hex


def test_a_client_that_waits_for_100_gets_it_before_it_sends_the_body(site: Site) -> None:
    with Client(site.address) as client:
        client.send(request("/echo", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        assert client.read_head().status == 100
        client.send(b"body")
        response = client.read_response()
        assert response.status == 200
        assert response.json()["size"] == 4


@pytest.mark.parametrize("status", [401, 413, 417])
def test_a_refused_expectation_is_answered_without_100_or_body(site: Site, status: int) -> None:
    with Client(site.address) as client:
        client.send(request(f"/refuse/{status}", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        response = client.read_response()
        assert response.status == status
        assert response.interim == []


def test_an_early_answer_reaches_a_client_that_is_still_sending(site: Site) -> None:
    with Client(site.address) as client:
        client.send(request("/refuse/403", "Content-Length: 100000", method="POST") + b"x" * 10)
        assert client.read_response().status == 403


def test_early_hints_arrive_before_the_app_has_its_answer(site: Site, key: str) -> None:
    with Client(site.address) as client:
        client.send(request(f"/hints/{key}"))
        hints = client.read_head()
        assert hints.status == 103
        assert hints.value(b"link") == b"</style.css>; rel=preload"
        site.origin.ask(f"/hold/{key}/release")
        assert client.read_response().body == b"done\n"


def test_an_http10_client_gets_no_interim_response(site: Site, tunnelled: object, key: str) -> None:
    with Client(site.address) as client:
        client.send(f"GET /hints/{key} HTTP/1.0\r\nHost: web.localhost\r\n\r\n".encode())
        site.origin.ask(f"/hold/{key}/release")
        assert client.read_head().status == 200


def test_server_sent_events_arrive_as_they_are_sent(site: Site, key: str) -> None:
    with Client(site.address) as client:
        client.send(request(f"/events/{key}"))
        head = client.read_head()
        assert head.value(b"content-type") == b"text/event-stream"
        events = client.pieces(head)
        for number in range(3):
            if number:
                site.origin.ask(f"/events/{key}/release")
            assert next(events) == b"data: %d\n\n" % number
        assert next(events, None) is None


def test_both_directions_flow_at_once(site: Site) -> None:
    with Client(site.address) as client:
        client.send(request("/duplex", "Transfer-Encoding: chunked", method="POST"))
        answers = client.pieces(client.read_head())
        for number in range(10):
            message = b"message %d" % number
            client.send(b"%x\r\n%b\r\n" % (len(message), message))
            assert next(answers) == message
        client.send(b"0\r\n\r\n")
        assert next(answers, None) is None


# -- clients that leave --------------------------------------------------------------------------------------------


def test_the_app_sees_within_a_second_that_a_waiting_client_left(site: Site, key: str) -> None:
    client = Client(site.address)
    client.send(request(f"/gone/{key}"))
    eventually(
        lambda: site.origin.ask(f"/gone/{key}/report") is False, within=5, what="the app has the request"
    )
    client.close()
    eventually(lambda: site.origin.ask(f"/gone/{key}/report"), within=1, what="the app sees the client gone")


def test_the_app_sees_within_a_second_that_a_reading_client_left(site: Site, key: str) -> None:
    client = Client(site.address)
    client.send(request(f"/gone/{key}/body"))
    assert next(client.pieces(client.read_head())) == b"first"
    client.close()
    eventually(lambda: site.origin.ask(f"/gone/{key}/report"), within=1, what="the app sees the client gone")


def test_the_app_sees_within_a_second_that_a_sending_client_left(site: Site, key: str) -> None:
    client = Client(site.address)
    client.send(request(f"/gone/{key}", "Content-Length: 1000", method="POST") + b"x" * 10)
    eventually(
        lambda: site.origin.ask(f"/gone/{key}/report") is False, within=5, what="the app has the request"
    )
    client.close()
    eventually(lambda: site.origin.ask(f"/gone/{key}/report"), within=1, what="the app sees the client gone")


def test_the_app_sees_within_a_second_that_an_http2_stream_was_cancelled(secure: Secure, key: str) -> None:
    with Client2(secure.address, secure.certificate) as client:
        stream = client.request(f"/gone/{key}/body")
        assert client.body_so_far(stream, 5) == b"first"
        client.cancel(stream)
        eventually(
            lambda: secure.origin.ask(f"/gone/{key}/report"), within=1, what="the app sees the client gone"
        )
        assert client.response(client.request("/")).body == b"hello from origin\n"


def test_clients_that_leave_in_numbers_disturb_nobody(site: Site, key: str) -> None:
    for number in range(50):
        with Client(site.address) as client:
            client.send(request(f"/gone/{key}-{number}/body"))
            client.read_head()
    assert fetch(site.address, request("/")).body == b"hello from origin\n"

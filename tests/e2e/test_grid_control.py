"""Control calls forged: by the public, with whatever it can write, and by an edge that has the wrong nonce.

Whatever a client writes, the app sees an ordinary request without any field of the tunnel's, or the edge refuses it;
the agent never even sees a claim to be a control call, which it would put into its log.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import hpack
import pytest

from h2s.engine.session import Data, Fields, Head, Reset
from h2s.errors import ErrorCode
from h2s.wire import H2_PREFACE, parse_frame_header
from tests.fuzz.frames import DATA, END_HEADERS, END_STREAM, HEADERS, block, frame, settings_frame

from .certificate import Certificate
from .client import TIMEOUT, Client, request
from .ground import PROMPT, Ground
from .programs import answers, eventually
from .rogue import FakeEdge, FakeTunnel
from .stage import Agent, Edge, Stage

pytestmark = pytest.mark.e2e

NONCE = "0123456789abcdef" * 2
CONTROL = f"h2s-control: {NONCE}"
SYNC = "/h2s.v1.Control/Sync"
GRPC = "Content-Type: application/grpc+json"
CANCELS = 20_000


class Site:
    """An edge with TLS, one without, an agent on both, and what the agent has to say about it."""

    def __init__(self, plain: Edge, secure: Edge, agent: Agent, certificate: Certificate) -> None:
        self.plain = plain
        self.secure = secure
        self.agent = agent
        self.certificate = certificate

    def check(self) -> None:
        """Check that no claim to be a control call has reached the agent, and that its tunnels stand."""
        assert answers(self.plain.url, "web.localhost")
        assert "nonce" not in self.agent.stderr
        assert "no tunnel" not in self.agent.stderr


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site for all rows."""
    with Stage.at(tmp_path_factory.mktemp("control")) as stage:
        certificate = Certificate.make(stage.folder)
        plain = stage.edge("plain")
        secure = stage.edge("secure", "--identity-dir", plain.data_dir, certificate=certificate)
        agent = stage.agent(edges=[plain, secure], services={"web": stage.origin().url})
        yield Site(plain, secure, agent, certificate)


@pytest.fixture
def site(whole_site: Site) -> Iterator[Site]:
    """The site for one row."""
    yield whole_site
    whole_site.check()


def is_harmless(seen: dict[str, Any]) -> bool:
    """Whether the app has seen a request without anything of the tunnel's."""
    fields = [*seen["fields"], *seen["trailers"]]
    return not any(name.lower().startswith("h2s-") for name, _ in fields)


# -- over HTTP/1.1 -----------------------------------------------------------------------------------------------------

CHUNKED = "Transfer-Encoding: chunked"
HTTP1: dict[str, bytes] = {
    "a field": request("/echo", CONTROL),
    "in capitals": request("/echo", CONTROL.upper()),
    "twice": request("/echo", CONTROL, CONTROL),
    "empty": request("/echo", "h2s-control:"),
    "a space before the colon": request("/echo", f"h2s-control : {NONCE}"),
    "a folded line": request("/echo", f"X: y\r\n {CONTROL}"),
    "a folded name": request("/echo", f"X: y\r\n\t{CONTROL}"),
    "behind a bare LF": request("/echo", f"X: y\n{CONTROL}"),
    "behind a bare CR": request("/echo", f"X: y\r{CONTROL}"),
    "behind a NUL": request("/echo", f"\0{CONTROL}"),
    "listed in Connection": request("/echo", CONTROL, "Connection: h2s-control"),
    "a pseudo-field": request("/echo", f":h2s-control: {NONCE}"),
    "with underscores": request("/echo", f"h2s_control: {NONCE}"),
    "as a trailer": request("/echo", CHUNKED, method="POST")
    + b"1\r\nx\r\n0\r\n"
    + CONTROL.encode()
    + b"\r\n\r\n",
    "an announced trailer": request("/echo", CHUNKED, "Trailer: h2s-control", method="POST")
    + b"0\r\nH2S-Control: x\r\n\r\n",
    "in a smuggled request": request(
        "/echo", CHUNKED, method="POST", body=b"0\r\n\r\n" + request("/echo", CONTROL)
    ),
    "a whole call": request(SYNC, CONTROL, GRPC, "TE: trailers", method="POST", body=bytes(5)),
    "a call's path": request(SYNC, GRPC, "TE: trailers", method="POST", body=bytes(5)),
    "a call's authority": request(SYNC, CONTROL, GRPC, method="POST", host="edge.h2s.internal", body=b"x"),
    "a call's absolute target": request(f"http://edge.h2s.internal{SYNC}", CONTROL, method="POST", body=b"x"),
    "a scheme of h2s": request(f"h2s://web.localhost{SYNC}", CONTROL),
    "in the target": request(f"/echo?h2s-control={NONCE}"),
    "in an encoded target": request(f"/echo%0d%0ah2s-control:%20{NONCE}"),
    "in the authority": request("/echo", host="h2s-control"),
    "in an upgrade": request("/echo", CONTROL, "Upgrade: h2s", "Connection: Upgrade"),
    "in an upgrade's token": request("/echo", "Upgrade: h2s-control", "Connection: Upgrade, h2s-control"),
    "another service": request("/echo", "h2s-service: other", "h2s-error: upstream-refused"),
}


@pytest.mark.parametrize("name", HTTP1)
def test_over_http1_no_control_call_is_forged_with_it(site: Site, name: str) -> None:
    with Client(site.plain.public) as client:
        client.send(HTTP1[name])
        answer = client.read_response()
        assert (answer.status == 200 and is_harmless(answer.json())) or 400 <= answer.status <= 502
        with suppress(ConnectionError):
            client.send(request("/", "Connection: close"))
        assert client.received_until_the_end().count(b"HTTP/1.1 ") <= 1


# -- over HTTP/2 -------------------------------------------------------------------------------------------------------


def pseudo(
    path: bytes = b"/echo", *, scheme: bytes = b"https", authority: bytes = b"web.localhost"
) -> Fields:
    """Return the pseudo-fields of a POST."""
    return [(b":method", b"POST"), (b":scheme", scheme), (b":authority", authority), (b":path", path)]


CLAIM = (b"h2s-control", NONCE.encode())
CALL = [CLAIM, (b"content-type", b"application/grpc+json"), (b"te", b"trailers")]
HTTP2: dict[str, tuple[Fields, Fields]] = {
    "a field": ([*pseudo(), CLAIM], []),
    "twice": ([*pseudo(), CLAIM, CLAIM], []),
    "in capitals": ([*pseudo(), (b"H2s-Control", b"x")], []),
    "with a space": ([*pseudo(), (b"h2s-control ", b"x")], []),
    "with a colon": ([*pseudo(), (b"h2s-control:", b"x")], []),
    "a pseudo-field": ([*pseudo(), (b":h2s-control", b"x")], []),
    "before the pseudo-fields": ([CLAIM, *pseudo()], []),
    "within a value": ([*pseudo(), (b"x", b"y\r\nh2s-control: z")], []),
    "within a value, LF only": ([*pseudo(), (b"x", b"y\nh2s-control: z")], []),
    "within a name": ([*pseudo(), (b"x: y\r\nh2s-control", b"z")], []),
    "within the path": ([*pseudo(b"/echo HTTP/1.1\r\nh2s-control: z\r\nx: ")], []),
    "within the authority": ([*pseudo(authority=b"a\r\nh2s-control: z")], []),
    "within the scheme": ([*pseudo(scheme=b"https\r\nh2s-control: z")], []),
    "a scheme of h2s": ([*pseudo(SYNC.encode(), scheme=b"h2s"), *CALL], []),
    "a call's authority": ([*pseudo(SYNC.encode(), authority=b"edge.h2s.internal"), *CALL], []),
    "a whole call": ([*pseudo(SYNC.encode()), *CALL], []),
    "as a trailer": (pseudo(), [CLAIM]),
    "as an odd trailer": (pseudo(), [(b"H2S-CONTROL", b"x")]),
    "listed in connection": ([*pseudo(), CLAIM, (b"connection", b"h2s-control")], []),
    "an upgrade to h2s": (
        [(b":method", b"CONNECT"), (b":protocol", b"h2s-control"), *pseudo()[1:], *CALL],
        [],
    ),
}


@pytest.mark.parametrize("name", HTTP2)
def test_over_http2_no_control_call_is_forged_with_it(site: Site, name: str) -> None:
    fields, trailers = HTTP2[name]
    said = frame(HEADERS, block(fields), flags=END_HEADERS, stream_id=1)
    if trailers:
        said += frame(DATA, b"x", stream_id=1)
        said += frame(HEADERS, block(trailers), flags=END_HEADERS | END_STREAM, stream_id=1)
    else:
        said += frame(DATA, b"x", flags=END_STREAM, stream_id=1)
    status, body = ask_over_http2(site, said)
    assert (status == 200 and is_harmless(json.loads(body))) or status == 0 or 400 <= status <= 502


def ask_over_http2(site: Site, said: bytes) -> tuple[int, bytes]:
    """Send frames on stream 1 and return the response's status and body; status 0 if the stream is reset."""
    context = ssl.create_default_context(cafile=str(site.certificate.chain))
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(site.secure.public, TIMEOUT)
    status, body, decoder, data = 0, b"", hpack.Decoder(), b""
    with context.wrap_socket(plain, server_hostname="web.localhost") as client:
        client.sendall(H2_PREFACE + settings_frame() + said)
        while True:
            while len(data) < 9 or len(data) < 9 + parse_frame_header(data)[0]:
                received = client.recv(65_536)
                assert received, "the edge closed the connection"
                data += received
            length, kind, flags, stream_id = parse_frame_header(data)
            payload, data = data[9 : 9 + length], data[9 + length :]
            if stream_id != 1:
                continue
            if kind == HEADERS:
                status = int(dict(decoder.decode(payload, raw=True))[b":status"])
            elif kind == DATA:
                body += payload
            else:
                return 0, b""
            if flags & END_STREAM:
                return status, body


# -- by an edge --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fake_tunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeEdge, FakeTunnel]]:
    """A tunnel from an agent that also serves a real edge."""
    with Stage.at(tmp_path_factory.mktemp("fake")) as stage:
        edge = stage.edge()
        fake = FakeEdge(edge)
        options = ("--edge", fake.address, "--tunnels", 1)
        agent = stage.agent(
            "agent", *options, edges=[edge], services={"web": stage.origin().url}, ready=False
        )
        with fake.accept() as tunnel:
            sync = [
                *pseudo(SYNC.encode(), authority=b"edge.h2s.internal"),
                (b"h2s-control", fake.nonce.encode()),
                (b"content-type", b"application/grpc+json"),
            ]
            assert isinstance(tunnel.ask(sync, end_stream=False)[-1], Data)
            agent.wait_ready()
            yield fake, tunnel
            assert agent.stderr.count("tunnel up") == 2
            assert answers(edge.url, "web.localhost")
        fake.close()


WRONG = {
    "wrong": [NONCE.encode()],
    "empty": [b""],
    "twice": [b"%b", b"%b"],
    "twice, once wrong": [b"%b", b"x"],
    "longer": [b"%b0"],
    "in capitals": [b"%B"],
    "not ASCII": [b"\xff"],
}


@pytest.mark.parametrize("path", [SYNC, "/h2s.v1.Control/Inspect", "/echo"])
@pytest.mark.parametrize("name", WRONG)
def test_a_stream_whose_nonce_is_not_the_tunnels_is_reset(
    fake_tunnel: tuple[FakeEdge, FakeTunnel], name: str, path: str
) -> None:
    fake, tunnel = fake_tunnel
    nonce = fake.nonce.encode()
    given = [form.replace(b"%b", nonce).replace(b"%B", nonce.upper()) for form in WRONG[name]]
    fields = [*pseudo(path.encode()), (b"h2s-service", b"web"), *[(b"h2s-control", value) for value in given]]
    [event] = tunnel.ask(fields)
    assert isinstance(event, Reset)
    assert event.code == ErrorCode.PROTOCOL_ERROR


def test_on_the_same_tunnel_an_ordinary_request_is_served(
    fake_tunnel: tuple[FakeEdge, FakeTunnel],
) -> None:
    _, tunnel = fake_tunnel
    head, body, *_ = tunnel.ask([*pseudo(), (b"h2s-service", b"web")])
    assert isinstance(head, Head)
    assert head.fields[0] == (b":status", b"200")
    assert isinstance(body, Data)
    assert not any(name.lower().startswith("h2s-") for name, _ in json.loads(body.data)["fields"])


# -- cancels -----------------------------------------------------------------------------------------------------------


def test_twenty_thousand_http1_clients_that_leave_cost_nobody_a_tunnel(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with Ground.at(tmp_path_factory.mktemp("cancels")) as ground:
        for number in range(CANCELS):
            with Client(ground.edge.public) as client:
                client.send(request("/gone/x" if number % 2 else "/hold/never"))
        eventually(lambda: ground.edge.requests_logged(), within=PROMPT, what="requests are logged")
        eventually(
            lambda: answers(ground.edge.url, "web.localhost"), within=30, what="the backlog is worked off"
        )
        ground.check()

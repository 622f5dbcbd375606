"""Several upstreams of a service, how they are checked, and upstreams of other kinds than plain HTTP."""

from __future__ import annotations

import http.server
import socketserver
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from .certificate import Certificate
from .client import Response, fetch, request
from .conftest import DIRECT
from .programs import eventually
from .stage import Agent, Edge, Stage

pytestmark = pytest.mark.e2e


class App(http.server.BaseHTTPRequestHandler):
    """Says hello, and how it is when asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = self.server.health if self.path == "/healthz" else self.server.status  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.send_header("X-Origin", self.server.name)  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(b"hi")

    def address_string(self) -> str:
        return "somebody"

    def log_message(self, *args: object) -> None:
        """Be quiet."""


class TcpServer(http.server.ThreadingHTTPServer):
    """An app on a TCP port of loopback."""

    block_on_close = False
    daemon_threads = True
    name, status, health = "a", 200, 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[TcpServer]:
        """Serve in a thread to the end of the block."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()


class UnixServer(TcpServer):
    """An app on a Unix socket."""

    address_family = socketserver.UnixStreamServer.address_family

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0


def app(name: str = "a") -> TcpServer:
    made = TcpServer(("127.0.0.1", 0), App)
    made.name = name
    return made


@dataclass(frozen=True, slots=True)
class Ground:
    """A stage with an edge, which the tests of this file share; each has a service of its own."""

    stage: Stage
    edge: Edge

    def agent(self, service: str, upstreams: str, *options: object, ready: bool = True) -> Agent:
        """Start an agent of a service."""
        return self.stage.agent(
            service, *options, edges=[self.edge], services={service: upstreams}, ready=ready
        )

    def get(self, service: str) -> Response:
        """Request the root of a service."""
        return fetch(self.edge.public, request("/", host=f"{service}.localhost"))

    def becomes(self, service: str, status: int) -> None:
        """Wait until a service answers so."""
        eventually(lambda: self.get(service).status == status, within=15, what=f"{service} answers {status}")

    def origins(self, service: str, times: int = 20) -> Counter[str]:
        """Return how many of so many requests each upstream answered. Fails unless all are answered with 200."""
        answers = [self.get(service) for _ in range(times)]
        assert {answer.status for answer in answers} == {200}
        return Counter((answer.head.value(b"x-origin") or b"").decode() for answer in answers)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The shared stage."""
    if DIRECT:
        pytest.skip("needs an edge")
    with Stage.at(tmp_path_factory.mktemp("upstreams")) as stage:
        yield Ground(stage, stage.edge())


def healthy(agent: Agent) -> tuple[int, int]:
    """Return how many upstreams of the only service are healthy, of how many, by the agent's own word."""
    [instance] = httpx.get(f"{agent.admin_url}/healthz", trust_env=False).json()["instances"]
    return instance["healthy"], instance["total"]


def test_upstreams_that_fail_their_checks_get_no_requests_and_without_one_there_is_a_503(
    ground: Ground,
) -> None:
    with app("a").serving() as one, app("b").serving() as two:
        check = "checked=http:/healthz,expect=200,interval=0.2,retry=0.1"
        agent = ground.agent("checked", f"{one.url},{two.url}", "--check", check)
        assert set(ground.origins("checked")) == {"a", "b"}
        one.health = 500
        eventually(lambda: healthy(agent) == (1, 2), within=15, what="one is unhealthy")
        assert ground.origins("checked") == {"b": 20}
        two.health = 204
        ground.becomes("checked", 503)
        one.health = 200
        ground.becomes("checked", 200)
        assert ground.origins("checked") == {"a": 20}


def test_an_upstream_whose_answers_are_those_of_a_failing_gateway_is_left_alone(ground: Ground) -> None:
    with app("a").serving() as one, app("b").serving() as two:
        agent = ground.agent("failing", f"{one.url},{two.url}", "--check", "failing=tcp,interval=100")
        eventually(lambda: healthy(agent) == (2, 2), within=15, what="both are healthy")
        one.status = 503

        def left_alone() -> bool:
            ground.get("failing")
            return healthy(agent) == (1, 2)

        eventually(left_alone, within=15, what="it is left alone")
        assert ground.origins("failing") == {"b": 20}


def test_https_upstream_is_verified(ground: Ground) -> None:
    certificate = Certificate.make(ground.stage.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    server = app()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server.serving():
        url = server.url.replace("http", "https")
        ground.agent("trusted", url, "--upstream-ca", certificate.chain)
        assert ground.origins("trusted", 3) == {"a": 3}
        ground.agent("stranger", url, "--check", "stranger=none", ready=False)
        ground.becomes("stranger", 502)
        assert ground.get("stranger").json()["code"] == "upstream_untrusted"
        logged = eventually(
            lambda: [line for line in ground.edge.requests_logged() if line["status"] == 502],
            within=15,
            what="a line",
        )
        assert "self-signed certificate" in str(logged[0])


def test_unix_socket_is_an_upstream(ground: Ground, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    server = UnixServer(str(path), App)  # type: ignore[arg-type]
    with server.serving():
        check = "local=http:/healthz,interval=0.1,retry=0.1,unhealthy=1"
        ground.agent("local", f"unix:{path}", "--check", check)
        assert ground.origins("local", 3) == {"a": 3}
        server.health = 500
        ground.becomes("local", 503)

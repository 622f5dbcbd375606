"""gRPC, by grpcio's own client and server, through an edge and an agent whose upstream is h2c."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from .address import free_address
from .certificate import Certificate
from .conftest import DIRECT
from .programs import answers, eventually
from .stage import Stage

pytestmark = pytest.mark.e2e

TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Called:
    """A channel through the edge, and where the server is."""

    channel: Any
    upstream: str

    @property
    def served(self) -> bool:
        """Whether calls are answered."""
        try:
            return self.unary("Unary", b"") == b""
        except grpc.RpcError:
            return False

    def unary(self, method: str, request: bytes, **more: Any) -> bytes:
        """Make a call of one message each way."""
        answer: bytes = self.channel.unary_unary(f"/test.Echo/{method}")(request, timeout=TIMEOUT, **more)
        return answer


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Called]:
    """A gRPC server behind an agent, an edge with TLS, and a client of it."""
    if DIRECT:
        pytest.skip("needs an edge")
    folder: Path = tmp_path_factory.mktemp("grpc")
    with Stage.at(folder) as stage:
        certificate = Certificate.make(folder)
        edge = stage.edge("edge", certificate=certificate)
        address = free_address()
        argv = [sys.executable, "-m", "tests.e2e.grpcapp", "--port", str(address.port)]
        server = stage.run("grpcapp", argv)
        server.wait_until(lambda: "serving" in server.stdout, "the gRPC server serves")
        check = ("--check", "web=grpc,interval=0.2,retry=0.2,unhealthy=1")
        agent = stage.agent("agent", *check, edges=[edge], services={"web": f"h2c://{address}"}, ready=False)
        agent.wait_until(lambda: answers(f"{agent.admin_url}/readyz"), "the agent is ready")
        trusted = grpc.ssl_channel_credentials(certificate.chain.read_bytes())
        options = [("grpc.ssl_target_name_override", "web.localhost"), ("grpc.enable_http_proxy", 0)]
        with grpc.secure_channel(f"127.0.0.1:{edge.public.port}", trusted, options) as channel:
            called = Called(channel, str(address))
            agent.wait_until(lambda: called.served, "the edge serves it")
            yield called


def test_unary_call_with_metadata_both_ways(called: Called) -> None:
    method = called.channel.unary_unary("/test.Echo/Unary")
    answer, call = method.with_call(b"hello", timeout=TIMEOUT, metadata=(("x-ask", "why"),))
    assert answer == b"hello"
    assert dict(call.initial_metadata())["x-told-first"] == "why"
    assert dict(call.trailing_metadata())["x-told-last"] == "why"


def test_messages_in_both_directions_in_turn(called: Called) -> None:
    """Each message is sent only after the answer to the one before has come: nothing waits for an end."""
    answered = threading.Semaphore(1)

    def requests() -> Iterator[bytes]:
        for number in range(20):
            assert answered.acquire(timeout=TIMEOUT)
            yield b"%d" % number

    answers = []
    for answer in called.channel.stream_stream("/test.Echo/Chat")(requests(), timeout=TIMEOUT):
        answers.append(answer)
        answered.release()
    assert answers == [b"re: %d" % number for number in range(20)]


def test_megabytes_down_and_up(called: Called) -> None:
    down = list(called.channel.unary_stream("/test.Echo/Count")(b"200", timeout=TIMEOUT))
    assert [int.from_bytes(message[-4:], "big") for message in down] == list(range(200))
    up = called.channel.stream_unary("/test.Echo/Collect")(
        (bytes(32_768) for _ in range(200)), timeout=TIMEOUT
    )
    assert up == str(200 * 32_768).encode()


def test_error_that_is_nothing_but_trailers(called: Called) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        called.unary("Fail", b"")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "not like this: 100 %"


def test_method_that_does_not_exist_is_unimplemented(called: Called) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        called.unary("Nothing", b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_deadline_is_the_servers_too(called: Called) -> None:
    begun = int(called.unary("Left", b""))
    answers = called.channel.unary_stream("/test.Echo/Hang")(b"", timeout=2)
    assert next(answers) == b"begun"
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: int(called.unary("Left", b"")) == begun + 1, within=15, what="the server knows")


def test_cancelled_call_is_cancelled_at_the_server(called: Called) -> None:
    begun = int(called.unary("Left", b""))
    answers = called.channel.unary_stream("/test.Echo/Hang")(b"", timeout=TIMEOUT)
    assert next(answers) == b"begun"
    answers.cancel()
    eventually(lambda: int(called.unary("Left", b"")) == begun + 1, within=15, what="the server knows")


def test_server_that_says_it_is_not_serving_gets_no_calls(called: Called) -> None:
    def turned_away() -> bool:
        with pytest.raises(grpc.RpcError) as caught:
            called.unary("Nothing", b"")
        return bool(caught.value.code() is grpc.StatusCode.UNAVAILABLE)

    called.unary("State", b"\x02")
    eventually(turned_away, within=15, what="the edge sends it nothing")
    with grpc.insecure_channel(called.upstream) as straight:
        straight.unary_unary("/test.Echo/State")(b"\x01", timeout=TIMEOUT)
    eventually(lambda: called.served, within=15, what="it is back")


def test_many_calls_at_once_share_a_connection(called: Called) -> None:
    method = called.channel.unary_unary("/test.Echo/Unary")
    calls = [method.future(b"%d" % number, timeout=TIMEOUT) for number in range(200)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(200)]

"""Our control calls against grpcio's own client and server, with JSON in place of protobuf."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from h2s.control import INSPECT, MAX_MESSAGE, POLL, SYNC, Code, ControlError, open_call
from h2s.messages import AgentMessage, ConfigVersion, EdgeMessage, InspectRequest, PollRequest, Report
from h2s.messages import Config as ConfigMessage

from ..loops import in_loop, until
from ..said import NONCE
from .bridge import INSPECTION, REPORT, Agent, calling, serving

SERVICE = "/h2s.v1.Control/"
METADATA = (("h2s-control", NONCE), ("x-unknown", "ignored"), ("x-bin-bin", b"\0\xff"))
VERSION = {"fleet": "f", "epoch": 1, "n": 5}
TIMEOUT = 20.0


def dump(message: Any) -> bytes:
    return json.dumps(message).encode()


class Client:
    """grpcio's client. Its calls block, so they are made from threads."""

    def __init__(self, port: int) -> None:
        options = [("grpc.enable_http_proxy", 0)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)

    def unary(self, method: str, request: Any, **more: Any) -> Any:
        """Make a call of one message each way; return the answer, or the error."""
        call = self.channel.unary_unary(
            SERVICE + method, request_serializer=dump, response_deserializer=json.loads
        )
        try:
            return call(request, **({"metadata": METADATA, "timeout": TIMEOUT} | more))
        except grpc.RpcError as error:
            return error

    def sync(self, requests: Iterator[Any], **more: Any) -> Any:
        """Open Sync."""
        call = self.channel.stream_stream(
            f"{SERVICE}Sync", request_serializer=dump, response_deserializer=json.loads
        )
        return call(requests, **({"metadata": METADATA, "timeout": TIMEOUT} | more))


def with_client(scene: Callable[[Client, Agent], None]) -> Agent:
    """Play a scene with grpcio as the edge; return the agent."""
    agent = Agent()

    @in_loop
    async def main() -> None:
        async with serving(agent) as port:
            client = Client(port)
            try:
                await asyncio.to_thread(scene, client, agent)
            finally:
                await asyncio.to_thread(client.channel.close)

    main()
    return agent


def said(message: Any) -> Any:
    """Return a message as JSON has it."""
    return json.loads(message.model_dump_json(exclude_none=True))


def wait_for_end(agent: Agent) -> None:
    """Wait, in another thread than the agent's, until its call has ended."""
    deadline = time.monotonic() + TIMEOUT
    while not agent.ends:
        assert time.monotonic() < deadline
        time.sleep(0.005)


# -- grpcio as the edge ------------------------------------------------------------------------------------------------


def test_its_unary_calls_are_answered() -> None:
    def scene(client: Client, agent: Agent) -> None:
        for _ in range(3):
            assert client.unary("Poll", {"newer": [1]}) == said(REPORT)
            assert client.unary("Inspect", {}) == said(INSPECTION)

    agent = with_client(scene)
    fields = dict(agent.requests[0][1])
    assert fields[b"content-type"] == b"application/grpc"
    assert fields[b"grpc-timeout"]


def test_its_calls_go_both_ways_message_by_message() -> None:
    def scene(client: Client, agent: Agent) -> None:
        def requests() -> Iterator[Any]:
            yield {}
            yield {"config": {"version": VERSION}}

        call = client.sync(requests())
        assert list(call) == [{"report": said(REPORT)}, {"config_ack": {"version": VERSION}}]
        assert call.code() is grpc.StatusCode.OK

    assert with_client(scene).ends == [(Code.OK, "")]


def test_it_understands_every_status_and_its_text() -> None:
    def scene(client: Client, agent: Agent) -> None:
        for code in list(Code)[1:]:
            agent.error = ControlError(code, f"später: 100 %\n{code.name}")
            error = client.unary("Poll", {})
            assert (error.code().value[0], error.details()) == (code, f"später: 100 %\n{code.name}")

    with_client(scene)


@pytest.mark.parametrize(
    ("method", "request_", "more", "code"),
    [
        ("Fly", {}, {}, grpc.StatusCode.UNIMPLEMENTED),
        ("Poll", {}, {"metadata": (("h2s-control", "f" * 32),)}, grpc.StatusCode.INTERNAL),
        ("Poll", [], {}, grpc.StatusCode.INVALID_ARGUMENT),
        ("Poll", {"x": "y" * 5000}, {}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("Poll", {"x": "y" * 3000}, {"compression": grpc.Compression.Gzip}, grpc.StatusCode.UNIMPLEMENTED),
    ],
    ids=["unknown", "wrong nonce", "no message", "too large", "compressed"],
)
def test_it_is_told_what_is_wrong_and_the_connection_stays(
    method: str, request_: Any, more: dict[str, Any], code: Any
) -> None:
    def scene(client: Client, agent: Agent) -> None:
        assert client.unary(method, request_, **more).code() is code
        assert client.unary("Poll", {}) == said(REPORT)

    with_client(scene)


def test_its_deadline_ends_a_call() -> None:
    def scene(client: Client, agent: Agent) -> None:
        call = client.sync(iter(lambda: time.sleep(0.01) or {}, None), timeout=0.3)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_for_end(agent)

    [(code, _)] = with_client(scene).ends
    assert code in (Code.DEADLINE_EXCEEDED, Code.CANCELLED), "whichever end's clock was first"


def test_it_cancels_a_call() -> None:
    def scene(client: Client, agent: Agent) -> None:
        call = client.sync(iter(lambda: time.sleep(0.01) or {}, None))
        assert next(call) == {"report": said(REPORT)}
        call.cancel()
        wait_for_end(agent)

    assert [code for code, _ in with_client(scene).ends] == [Code.CANCELLED]


# -- grpcio as the agent -----------------------------------------------------------------------------------------------


class Served(grpc.GenericRpcHandler):
    """Its handlers of all methods; `poll` is what it does for Poll."""

    def __init__(self) -> None:
        self.poll: Callable[[Any, Any], Any] = lambda request, context: said(REPORT)
        self.metadata: list[dict[str, Any]] = []
        self.cancelled: list[bool] = []

    def service(self, details: Any) -> Any:
        self.metadata.append(dict(details.invocation_metadata))
        coding = {"request_deserializer": json.loads, "response_serializer": dump}
        if details.method == SERVICE + "Poll":
            return grpc.unary_unary_rpc_method_handler(self._poll, **coding)
        if details.method == SERVICE + "Sync":
            return grpc.stream_stream_rpc_method_handler(self._sync, **coding)
        return None

    def _poll(self, request: Any, context: Any) -> Any:
        return self.poll(request, context)

    def _sync(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        yield {"report": said(REPORT)}
        try:
            for request in requests:
                if "config" in request:
                    yield {"config_ack": {"version": request["config"]["version"]}}
        except grpc.RpcError:
            self.cancelled.append(True)


def with_server(scene: Callable[[Any, Served], Any]) -> Served:
    """Play a scene with grpcio as the agent; return what it served."""
    served = Served()
    server = grpc.server(ThreadPoolExecutor(4), handlers=(served,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    @in_loop
    async def main() -> None:
        async with calling(port) as edge:
            await scene(edge, served)

    try:
        main()
    finally:
        server.stop(None).wait(TIMEOUT)
    return served


def test_it_answers_our_unary_calls() -> None:
    async def scene(edge: Any, served: Served) -> None:
        assert await edge.ask(POLL, PollRequest()) == REPORT

    served = with_server(scene)
    assert served.metadata[0]["h2s-control"] == NONCE


def test_it_answers_our_calls_that_go_on() -> None:
    async def scene(edge: Any, served: Served) -> None:
        messages: list[AgentMessage] = []
        ends: list[Code] = []
        channel = open_call(
            edge.connection,
            SYNC,
            nonce=NONCE,
            on_message=messages.append,
            on_end=lambda code, text: ends.append(code),
        )
        await until(lambda: messages)
        channel.send(EdgeMessage(config=ConfigMessage(version=ConfigVersion(**VERSION))))
        await until(lambda: len(messages) == 2)
        assert messages[0].report == REPORT
        assert messages[1].config_ack is not None
        assert messages[1].config_ack.version == ConfigVersion(**VERSION)
        channel.finish(Code.CANCELLED, "enough")
        await until(lambda: served.cancelled)
        assert ends == [Code.CANCELLED]

    with_server(scene)


def test_we_understand_every_status_and_its_text() -> None:
    async def scene(edge: Any, served: Served) -> None:
        for code in list(Code)[1:]:
            status = next(each for each in grpc.StatusCode if each.value[0] == code)
            text = f"später: 100 %\n{code.name}"
            served.poll = lambda request, context: context.abort(status, text)  # noqa: B023
            error = await edge.ask(POLL, PollRequest())
            assert (error.code, str(error)) == (code, text)

    with_server(scene)


def test_our_deadline_reaches_it_and_ends_the_call() -> None:
    async def scene(edge: Any, served: Served) -> None:
        left: list[float] = []

        def slow(request: Any, context: Any) -> Any:
            left.append(context.time_remaining())
            deadline = time.monotonic() + TIMEOUT
            while context.is_active() and time.monotonic() < deadline:
                time.sleep(0.01)
            return said(REPORT)

        served.poll = slow
        error = await edge.ask(POLL, PollRequest(), timeout=0.5)
        assert error.code is Code.DEADLINE_EXCEEDED
        assert 0 < left[0] <= 0.51

    with_server(scene)


def test_what_it_does_not_know_and_what_is_too_large_is_refused() -> None:
    async def scene(edge: Any, served: Served) -> None:
        assert (await edge.ask(INSPECT, InspectRequest())).code is Code.UNIMPLEMENTED
        served.poll = lambda request, context: {"instances": [], "more": "x" * MAX_MESSAGE}
        assert (await edge.ask(POLL, PollRequest())).code is Code.RESOURCE_EXHAUSTED
        served.poll = lambda request, context: {"instances": [], "more": "x" * 500_000}
        assert await edge.ask(POLL, PollRequest()) == Report(instances=[])

    with_server(scene)

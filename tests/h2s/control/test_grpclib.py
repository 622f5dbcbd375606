"""Our control calls against grpclib's client and server, whose codec says `application/grpc+json`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpclib
import pytest
from grpclib.client import Channel, StreamStreamMethod, UnaryUnaryMethod
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import CodecBase
from grpclib.server import Server

from h2s.control import INSPECT, POLL, Code, ControlError
from h2s.messages import InspectRequest, PollRequest

from ..loops import in_loop, until
from ..said import NONCE
from .bridge import INSPECTION, REPORT, Agent, calling, serving

SERVICE = "/h2s.v1.Control/"
METADATA = {"h2s-control": NONCE, "x-unknown": "ignored"}
TIMEOUT = 20.0


class Json(CodecBase):
    __content_subtype__ = "json"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return json.dumps(message).encode()

    def decode(self, data: bytes, message_type: Any) -> Any:
        return json.loads(data)


def said(message: Any) -> Any:
    """Return a message as JSON has it."""
    return json.loads(message.model_dump_json(exclude_none=True))


def with_client(scene: Callable[[Channel, Agent], Awaitable[None]]) -> Agent:
    """Play a scene with grpclib as the edge; return the agent."""
    agent = Agent()

    @in_loop
    async def main() -> None:
        async with serving(agent) as port:
            channel = Channel("127.0.0.1", port, codec=Json())
            try:
                await scene(channel, agent)
            finally:
                channel.close()

    main()
    return agent


def unary(channel: Channel, method: str, request: Any, **more: Any) -> Awaitable[Any]:
    """Make a call of one message each way."""
    call = UnaryUnaryMethod(channel, SERVICE + method, dict, dict)
    return call(request, **({"metadata": METADATA, "timeout": TIMEOUT} | more))


def test_its_unary_calls_are_answered() -> None:
    async def scene(channel: Channel, agent: Agent) -> None:
        assert await unary(channel, "Poll", {}) == said(REPORT)
        assert await unary(channel, "Inspect", {}) == said(INSPECTION)

    assert dict(with_client(scene).requests[0][1])[b"content-type"] == b"application/grpc+json"


def test_its_calls_go_both_ways_message_by_message() -> None:
    async def scene(channel: Channel, agent: Agent) -> None:
        call = StreamStreamMethod(channel, f"{SERVICE}Sync", dict, dict)
        async with call.open(metadata=METADATA, timeout=TIMEOUT) as stream:
            version = {"fleet": "f", "epoch": 1, "n": 5}
            await stream.send_request()
            assert await stream.recv_message() == {"report": said(REPORT)}
            await stream.send_message({"config": {"version": version}}, end=True)
            assert await stream.recv_message() == {"config_ack": {"version": version}}
            assert await stream.recv_message() is None

    assert with_client(scene).ends == [(Code.OK, "")]


def test_it_cancels_a_call() -> None:
    async def scene(channel: Channel, agent: Agent) -> None:
        call = StreamStreamMethod(channel, f"{SERVICE}Sync", dict, dict)
        async with call.open(metadata=METADATA, timeout=TIMEOUT) as stream:
            await stream.send_request()
            await stream.recv_message()
            await stream.cancel()
        await until(lambda: agent.ends)

    assert [code for code, _ in with_client(scene).ends] == [Code.CANCELLED]


@pytest.mark.parametrize(
    ("method", "error", "status", "text"),
    [
        ("Fly", None, Status.UNIMPLEMENTED, "no such method"),
        ("Poll", ControlError(Code.ABORTED, "später: 100 %"), Status.ABORTED, "später: 100 %"),
    ],
)
def test_it_is_told_what_is_wrong(method: str, error: Exception | None, status: Status, text: str) -> None:
    async def scene(channel: Channel, agent: Agent) -> None:
        agent.error = error
        with pytest.raises(grpclib.GRPCError) as caught:
            await unary(channel, method, {})
        assert (caught.value.status, caught.value.message) == (status, text)

    with_client(scene)


class Served:
    """Its handlers, of Poll alone; `error` is what Poll ends with."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.metadata: list[Any] = []
        self.ended: list[str] = []
        self.hangs = False

    def __mapping__(self) -> dict[str, Handler]:
        return {f"{SERVICE}Poll": Handler(self._poll, Cardinality.UNARY_UNARY, dict, dict)}

    async def _poll(self, stream: Any) -> None:
        self.metadata.append(stream.metadata)
        await stream.recv_message()
        if self.error is not None:
            raise self.error
        if self.hangs:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.ended.append("Poll")
        await stream.send_message(said(REPORT))


def with_server(scene: Callable[[Any, Served], Awaitable[None]]) -> Served:
    """Play a scene with grpclib as the agent; return what it served."""
    served = Served()

    @in_loop
    async def main() -> None:
        server = Server([served], codec=Json())
        await server.start("127.0.0.1", 0)
        assert server._server is not None
        port = server._server.sockets[0].getsockname()[1]
        try:
            async with calling(port) as edge:
                await scene(edge, served)
        finally:
            server.close()
            await server.wait_closed()

    main()
    return served


def test_it_answers_our_calls_and_refuses_what_it_does_not_know() -> None:
    async def scene(edge: Any, served: Served) -> None:
        assert await edge.ask(POLL, PollRequest()) == REPORT
        assert (await edge.ask(INSPECT, InspectRequest())).code is Code.UNIMPLEMENTED

    assert with_server(scene).metadata[0]["h2s-control"] == NONCE


def test_we_understand_its_status_and_text() -> None:
    async def scene(edge: Any, served: Served) -> None:
        served.error = grpclib.GRPCError(Status.DATA_LOSS, "später: 100 %\n")
        error = await edge.ask(POLL, PollRequest())
        assert (error.code, str(error)) == (Code.DATA_LOSS, "später: 100 %\n")

    with_server(scene)


def test_our_deadline_ends_its_handler() -> None:
    async def scene(edge: Any, served: Served) -> None:
        served.hangs = True
        error = await edge.ask(POLL, PollRequest(), timeout=0.1)
        assert error.code is Code.DEADLINE_EXCEEDED
        await until(lambda: served.ended)

    with_server(scene)

"""Control calls between two connections in memory."""

from __future__ import annotations

import pytest

from h2s.connection import Connection, Stream
from h2s.control import (
    MAX_MESSAGE,
    Channel,
    Code,
    ControlError,
    accept_channel,
    control_nonce,
    encode_message,
    is_authentic,
    open_channel,
    refuse_call,
)
from h2s.control.channel import MAX_QUEUED
from h2s.engine.session import Fields
from h2s.errors import ErrorCode
from h2s.messages import AgentMessage, Draining, EdgeMessage

from ..loops import in_loop
from ..memory import Pair, RecordingOwner, RecordingStream, settle
from ..said import NONCE


class End:
    """What one end of a call hears."""

    def __init__(self, error: ControlError | None = None) -> None:
        self.messages: list[bytes] = []
        self.ends: list[tuple[Code, str]] = []
        self.channel: Channel
        self._error = error

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)
        if self._error is not None:
            raise self._error

    def on_end(self, code: Code, message: str) -> None:
        self.ends.append((code, message))


class Agent(RecordingOwner):
    """Takes every call, with `end`; or does with it what `answer` says."""

    def __init__(self, end: End | None = None) -> None:
        super().__init__()
        self.end = end or End()

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        self.requests.append((stream_id, fields, end_stream))
        self.end.channel = accept_channel(
            connection, stream_id, on_message=self.end.on_message, on_end=self.end.on_end
        )
        return self.end.channel


class Refusing(RecordingOwner):
    """Answers every call with a status and nothing else."""

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        refuse_call(connection, stream_id, Code.UNIMPLEMENTED, "no such method")
        return None


async def call(agent: RecordingOwner) -> tuple[Pair, End]:
    """Open Sync from an edge to `agent`."""
    pair = await Pair(server_owner=agent).start()
    end = End()
    end.channel = open_channel(pair.client, "Sync", nonce=NONCE, on_message=end.on_message, on_end=end.on_end)
    await settle()
    return pair, end


@in_loop
async def test_a_call_has_the_shape_of_grpc() -> None:
    agent = Agent()
    await call(agent)
    ((_, fields, end_stream),) = agent.requests
    assert not end_stream
    assert dict(fields) == {
        b":method": b"POST",
        b":scheme": b"https",
        b":authority": b"edge.h2s.internal",
        b":path": b"/h2s.v1.Control/Sync",
        b"content-type": b"application/grpc+json",
        b"te": b"trailers",
        b"h2s-control": NONCE.encode(),
    }


@in_loop
async def test_messages_go_both_ways() -> None:
    agent = Agent()
    _, edge = await call(agent)
    edge.channel.send(EdgeMessage())
    agent.end.channel.send(AgentMessage(draining=Draining(reason="bye")))
    await settle()
    assert agent.end.messages == [b"{}"]
    assert edge.messages == [b'{"draining":{"reason":"bye"}}']


@in_loop
async def test_windows_of_a_long_call_are_given_back() -> None:
    agent = Agent()
    _, edge = await call(agent)
    message = AgentMessage(draining=Draining(reason="x" * 256))
    size = len(message.model_dump_json())
    count = 4 * 1024 * 1024 // size
    for n in range(count):
        agent.end.channel.send(message)
        if n % 200 == 0:
            await settle()
    await settle()
    assert len(edge.messages) == count


@in_loop
async def test_the_server_ends_a_call_with_a_status_and_both_ends_let_go() -> None:
    agent = Agent()
    pair, edge = await call(agent)
    agent.end.channel.finish(Code.UNAVAILABLE, "later")
    await settle()
    assert edge.ends == agent.end.ends == [(Code.UNAVAILABLE, "later")]
    assert pair.client.streams == pair.server.streams == {}
    assert pair.client.session.open_streams == pair.server.session.open_streams == 0


@in_loop
async def test_the_client_ends_a_call_by_cancelling() -> None:
    agent = Agent()
    pair, edge = await call(agent)
    edge.channel.finish(Code.CANCELLED, "enough")
    await settle()
    assert edge.ends == [(Code.CANCELLED, "enough")]
    assert agent.end.ends == [(Code.CANCELLED, f"the stream was reset (code {ErrorCode.CANCEL})")]
    assert pair.server.session.open_streams == 0


@in_loop
async def test_nothing_is_sent_on_a_call_that_is_over() -> None:
    agent = Agent()
    _, edge = await call(agent)
    edge.channel.finish()
    edge.channel.send(EdgeMessage())
    edge.channel.finish(Code.INTERNAL, "again")
    await settle()
    assert edge.ends == [(Code.OK, "")]
    assert agent.end.messages == []


@in_loop
async def test_a_refused_call_is_trailers_only() -> None:
    pair, edge = await call(Refusing())
    assert edge.ends == [(Code.UNIMPLEMENTED, "no such method")]
    assert pair.client.session.open_streams == pair.server.session.open_streams == 0


@in_loop
async def test_a_call_ends_with_its_tunnel() -> None:
    agent = Agent()
    pair, edge = await call(agent)
    pair.client.abort()
    await settle()
    assert [end[0] for end in edge.ends + agent.end.ends] == [Code.CANCELLED] * 2


@in_loop
async def test_a_handler_ends_the_call_with_the_status_it_raises() -> None:
    agent = Agent(End(ControlError(Code.INVALID_ARGUMENT, "not this")))
    _, edge = await call(agent)
    edge.channel.send(EdgeMessage())
    edge.channel.send(EdgeMessage())
    await settle()
    assert edge.ends == [(Code.INVALID_ARGUMENT, "not this")]
    assert len(agent.end.messages) == 1


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\x01\0\0\0\x00", Code.UNIMPLEMENTED),
        (b"\0" + (MAX_MESSAGE + 1).to_bytes(4, "big"), Code.RESOURCE_EXHAUSTED),
    ],
    ids=["compressed", "oversize"],
)
def test_a_message_that_is_not_taken_ends_the_call(wire: bytes, code: Code) -> None:
    @in_loop
    async def test() -> None:
        agent = Agent()
        pair, edge = await call(agent)
        pair.client.send_data(edge.channel.stream_id, encode_message(b"{}") + wire, end_stream=False)
        await settle()
        assert agent.end.messages == [b"{}"]
        assert edge.ends[0][0] is agent.end.ends[0][0] is code

    test()


@pytest.mark.parametrize(
    ("wire", "code"), [(b"", Code.OK), (b"\0\0\0", Code.INVALID_ARGUMENT)], ids=["whole", "cut off"]
)
def test_a_client_that_ends_its_side_gets_a_status(wire: bytes, code: Code) -> None:
    @in_loop
    async def test() -> None:
        agent = Agent()
        pair, edge = await call(agent)
        pair.client.send_data(edge.channel.stream_id, wire, end_stream=True)
        await settle()
        assert edge.ends[0][0] is agent.end.ends[0][0] is code

    test()


@in_loop
async def test_a_server_that_ends_without_a_status_is_unknown() -> None:
    agent = Agent()
    pair, edge = await call(agent)
    pair.server.send_data(agent.end.channel.stream_id, b"", end_stream=True)
    await settle()
    assert edge.ends[0][0] is Code.UNKNOWN


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ([(b":status", b"502"), (b"content-type", b"application/grpc+json")], Code.UNAVAILABLE),
        ([(b":status", b"200"), (b"content-type", b"text/html")], Code.UNKNOWN),
        ([(b":status", b"200")], Code.UNKNOWN),
    ],
)
def test_an_answer_of_another_shape_ends_the_call(head: Fields, code: Code) -> None:
    @in_loop
    async def test() -> None:
        pair, edge = await call(RecordingOwner(RecordingStream))
        pair.server.send_head(edge.channel.stream_id, head, end_stream=False)
        await settle()
        assert edge.ends[0][0] is code
        assert pair.server.session.open_streams == 0

    test()


@in_loop
async def test_a_peer_that_does_not_read_loses_the_call_not_our_memory() -> None:
    agent = Agent()
    pair, _ = await call(agent)
    pair.server.pause_writing()
    message = AgentMessage(draining=Draining(reason="x" * 256))
    queued = []
    while not agent.end.channel.ended:
        agent.end.channel.send(message)
        queued.append(pair.server.session.queued(agent.end.channel.stream_id))
    assert max(queued) <= MAX_QUEUED + 1024
    assert agent.end.ends[0][0] is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("given", [b"", NONCE[:-1].encode(), NONCE.upper().encode(), b"\xff" * 32])
def test_a_wrong_nonce_is_not_authentic(given: bytes) -> None:
    assert control_nonce([(b"h2s-control", given)]) == given
    assert not is_authentic([(b"h2s-control", given)], NONCE)


def test_only_one_nonce_is_authentic() -> None:
    right = (b"h2s-control", NONCE.encode())
    assert is_authentic([right], NONCE)
    assert not is_authentic([right, right], NONCE)
    assert not is_authentic([right, (b"h2s-control", b"x")], NONCE)
    assert not is_authentic([], NONCE)


def test_a_request_without_the_field_is_no_control_call() -> None:
    assert control_nonce([(b":path", b"/h2s.v1.Control/Sync"), (b"x-h2s-control", b"1")]) is None

"""Forwards on a real HTTP/2 connection, with the engine that runs at both ends."""

from __future__ import annotations

import asyncio
import socket

from agent.forward import Forward
from agent.upstream import Service
from h2s.connection import Connection
from h2s.engine import create_session
from h2s.engine.session import Fields, Goaway, Limits, Role

from .conftest import HELLO, OK, Recorder, Server, against, answering, eventually, fields


class Agent:
    """Owner of the agent's end."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.done = 0

    def on_stream(
        self, connection: Connection, stream_id: int, head: Fields, end_stream: bool
    ) -> Forward | None:
        return Forward.begin(connection, stream_id, head, end_stream, self.service, on_done=self.on_done)

    def on_done(self, forward: Forward) -> None:
        self.done += 1

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None: ...

    def on_goaway(self, connection: Connection, event: Goaway) -> None: ...

    def on_closed(self, connection: Connection, error: Exception | None) -> None: ...


class Client(Recorder):
    """The edge's side of one stream."""

    def on_informational(self, head: Fields) -> None:
        self.send_informational(0, head)

    def on_head(self, head: Fields, end_stream: bool) -> None:
        self.send_head(0, head, end_stream=end_stream)

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        self.send_data(0, data, end_stream=end_stream)

    def on_trailers(self, trailers: Fields) -> None:
        self.send_trailers(0, trailers)

    def on_reset(self, code: int, processed: bool) -> None:
        self.reset(0, code)

    def on_drained(self) -> None: ...


async def tunnel(service: Service) -> tuple[Connection, Connection, Agent]:
    """Connect an edge's end and an agent's end."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    owner = Agent(service)
    agent = Connection(create_session(Role.SERVER, Limits()), owner)
    edge = Connection(create_session(Role.CLIENT, Limits()), Agent(service))
    await loop.create_connection(lambda: agent, sock=near)
    await loop.create_connection(lambda: edge, sock=far)
    return edge, agent, owner


def test_request_and_response_cross_a_tunnel() -> None:
    async def test(service: Service, server: Server) -> None:
        edge, agent, owner = await tunnel(service)
        for number in range(1, 4):
            client = Client()
            edge.open(fields(), client, end_stream=True)
            await client.until(lambda client=client: client.ended)
            assert bytes(client.body) == b"hello"
            assert owner.done == number
        assert agent.streams == {}
        assert server.connections == 1
        edge.abort()
        agent.abort()

    against(answering(HELLO, HELLO, HELLO), test)


def test_early_response_arrives_whole_before_the_request_is_stopped() -> None:
    size = 1_000_000

    async def test(service: Service, server: Server) -> None:
        edge, agent, owner = await tunnel(service)
        client = Client()
        stream_id = edge.open(fields(b"POST"), client, end_stream=False)
        await client.until(lambda: len(client.body) >= 200_000)
        assert client.resets == []
        while not client.ended:
            taken = len(client.body)
            edge.credit(stream_id, taken - client.credited)
            client.credited = taken
            await client.until(lambda taken=taken: len(client.body) > taken or client.ended)
        assert len(client.body) == size
        await client.until(lambda: client.resets)
        assert owner.done == 1
        assert agent.session.open_streams == 0
        edge.abort()
        agent.abort()

    against(answering(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size), test)


def test_lost_tunnel_lets_go_of_the_upstream() -> None:
    async def test(service: Service, server: Server) -> None:
        edge, _, owner = await tunnel(service)
        edge.open(fields(), Client(), end_stream=True)
        await server.reached.wait()
        edge.abort()
        await eventually(lambda: owner.done)
        await server.lost.wait()

    against(answering(b""), test)

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket

import pytest

from edge import listener as listener_module
from edge.listener import Listener

from .agents import eventually


class Port:
    """A listener that keeps what it accepts."""

    def __init__(self, per_turn: int = 64) -> None:
        self.taken: list[tuple[socket.socket, str]] = []
        self.listener = Listener(lambda sock, address: self.taken.append((sock, address)), per_turn=per_turn)
        self.address = ("", 0)
        self._clients: list[socket.socket] = []

    async def __aenter__(self) -> Port:
        self.address = await self.listener.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listener.stop(take_backlog=False)
        for sock in [*self._clients, *(sock for sock, _ in self.taken)]:
            sock.close()

    def dial(self, source: str = "127.0.0.1") -> socket.socket:
        client = socket.create_connection(self.address, 10.0, source_address=(source, 0))
        self._clients.append(client)
        return client


def test_a_connection_is_given_with_its_address_as_soon_as_it_stands() -> None:
    async def run() -> None:
        async with Port() as port:
            port.dial("127.0.0.2")
            [(sock, address)] = await eventually(lambda: port.taken, "a connection")
            assert address == "127.0.0.2"
            assert not sock.getblocking()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    asyncio.run(run())


@pytest.mark.parametrize("take_backlog", [False, True])
def test_the_backlog_is_taken_at_the_end_if_it_shall(take_backlog: bool) -> None:
    async def run() -> None:
        async with Port() as port:
            for _ in range(10):
                port.dial()
            port.listener.stop(take_backlog=take_backlog)
            assert len(port.taken) == (10 if take_backlog else 0)
            assert port.listener.addresses == []
            with pytest.raises(ConnectionRefusedError):
                port.dial()

    asyncio.run(run())


def test_others_have_their_turn_between_those_that_are_accepted() -> None:
    async def run() -> None:
        async with Port(per_turn=2) as port:
            for _ in range(6):
                port.dial()
            seen = []
            while len(port.taken) < 6:
                seen.append(len(port.taken))
                await asyncio.sleep(0)
            assert len(set(seen)) >= 3

    asyncio.run(run())


def test_without_descriptors_connections_wait_until_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "ACCEPT_PAUSE", 0.05)

    class Exhausted(socket.socket):
        tries = 0

        def accept(self) -> tuple[socket.socket, object]:
            Exhausted.tries += 1
            if Exhausted.tries == 1:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    async def run() -> None:
        port = Port()
        with monkeypatch.context() as patch:
            patch.setattr(listener_module.socket, "socket", Exhausted)
            await port.__aenter__()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_exit(port)
            port.dial()
            await eventually(lambda: port.taken, "the connection")
            assert Exhausted.tries >= 2

    asyncio.run(run())


def test_an_address_that_cannot_be_bound_leaves_nothing_open() -> None:
    async def run() -> None:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
            listener = Listener(lambda sock, address: sock.close(), per_turn=1)
            with pytest.raises(OSError, match="in use"):
                await listener.start(*taken.getsockname())
            assert listener.addresses == []

    asyncio.run(run())

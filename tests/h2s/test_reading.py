"""Pieces of bounded size on uvloop's loop; on asyncio's own they come as that makes them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from h2s.reading import PIECE, PieceProtocol

SIZE = 2_000_000


class Reader(PieceProtocol):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.largest = transport.max_size if hasattr(transport, "max_size") else PIECE

    def eof_received(self) -> None:
        pass

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set_result(None)


@pytest.mark.parametrize(
    "make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_pieces_are_bounded_and_none_is_overwritten_by_a_later_one(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    sent = [bytes([number]) * SIZE for number in range(3)]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ends = [socket.socketpair() for _ in sent]
        readers: list[Reader] = []
        for near, far in ends:
            near.setblocking(False)
            far.setblocking(False)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SIZE)
            _, reader = await loop.create_connection(Reader, sock=far)
            readers.append(reader)
        await asyncio.gather(
            *(loop.sock_sendall(near, data) for (near, _), data in zip(ends, sent, strict=True))
        )
        for near, _ in ends:
            near.close()
        await asyncio.gather(*(reader.over for reader in readers))
        for reader, data in zip(readers, sent, strict=True):
            assert b"".join(reader.pieces) == data
            assert max(map(len, reader.pieces)) <= reader.largest

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())

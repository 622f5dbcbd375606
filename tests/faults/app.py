"""The app behind the agents: `python -m tests.faults.app --port PORT`, until SIGTERM or until it is killed.

It answers as the origin of the end-to-end tests does, and besides takes its time: `/later/MS` answers after so many
milliseconds, `/trickle/MS` begins at once and ends after them. So requests are under way at any moment, before their
answer and within it, at little cost.

On SIGTERM it does what servers do: it takes no new connection, closes those that rest, finishes what runs, and ends.

Its send buffers in the kernel are small. Those of a stalled answer are memory of the app's machine; a thousand of them
would fill the share of all of TCP on this one.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket

from tests.e2e.origin.routes import Application
from tests.e2e.origin.wire import Connection, Exchange

SEND_BUFFER = 64 * 1024
PIECES = 5


class App(Application):
    """One app, and who it is busy with."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.stopping = False
        self._running: set[Exchange] = set()
        self._resting: set[asyncio.StreamWriter] = set()
        self._idle = asyncio.Event()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._resting.add(writer)
        await Connection(reader, writer).run(self.handle)
        self._resting.discard(writer)

    async def handle(self, exchange: Exchange) -> None:
        """Answer, and close the connection afterwards if the app is stopping."""
        self._resting.discard(exchange.writer)
        self._running.add(exchange)
        exchange.close = exchange.close or self.stopping
        try:
            await super().handle(exchange)
        finally:
            self._running.discard(exchange)
            if not self.stopping:
                self._resting.add(exchange.writer)
            elif not self._running:
                self._idle.set()

    async def stop(self) -> None:
        """Finish what runs."""
        self.stopping = True
        for writer in self._resting:
            writer.close()
        for exchange in self._running:
            exchange.close = True
        if self._running:
            await self._idle.wait()
        await asyncio.sleep(0)

    async def do_later(self, exchange: Exchange, milliseconds: str) -> None:
        """Answer after a while."""
        await asyncio.sleep(int(milliseconds) / 1000)
        await self.do_hello(exchange)

    async def do_trickle(self, exchange: Exchange, milliseconds: str) -> None:
        """Begin at once and end after a while."""
        await exchange.send_head(200, [self.mark, (b"Transfer-Encoding", b"chunked")])
        for _ in range(PIECES):
            await exchange.send_chunk(b"piece\n")
            await asyncio.sleep(int(milliseconds) / 1000 / PIECES)
        await exchange.end_chunks()


async def serve(*, name: str, port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    app, stopped = App(name), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        server = await asyncio.start_server(app.connected, sock=listening)
        await stopped.wait()
        server.close()
        await app.stop()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="An app that takes its time.")
    parser.add_argument("--name", default="app", help="sent as X-Origin with every response")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(name=arguments.name, port=arguments.port))


if __name__ == "__main__":
    main()

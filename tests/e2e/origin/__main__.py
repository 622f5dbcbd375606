"""Run one origin until it is told to stop by SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal

from .routes import Application
from .wire import Connection


async def serve(*, name: str, port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT."""
    application = Application(name)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(reader, writer).run(application.handle)

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await asyncio.start_server(connected, "127.0.0.1", port, limit=256 * 1024, backlog=1024)
    await stopped.wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="The application that the end-to-end tests reach.")
    parser.add_argument("--name", default="origin", help="sent as X-Origin with every response")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(name=arguments.name, port=arguments.port))


main()

"""The app that large bodies come from and go to: `python -m tests.faults.app --port PORT`, until it is killed.

It answers as the origin of the end-to-end tests does, but keeps the kernel's send buffers small. Those of a stalled
answer are memory of the app's machine; a thousand of them would fill the share of all of TCP on this one.
"""

from __future__ import annotations

import argparse
import asyncio
import socket

from tests.e2e.origin.routes import Application
from tests.e2e.origin.wire import Connection

SEND_BUFFER = 64 * 1024


async def serve(port: int) -> None:
    """Serve on 127.0.0.1."""
    application = Application("bulk")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(reader, writer).run(application.handle)

    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        server = await asyncio.start_server(connected, sock=listening)
        await server.serve_forever()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="An app with small send buffers.")
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()

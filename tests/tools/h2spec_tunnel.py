"""Lets h2spec test the HTTP/2 server at the far end of a tunnel: the one that an agent becomes after the swap.

    h2spec ──plain HTTP/2──▶ this program ◀══ h2s ══ agent ──HTTP/1.1──▶ app

To agents it is an edge: it takes their registrations and swaps roles, with Backplane's own handshake. But behind the
swap it speaks no HTTP/2 of its own: each connection of h2spec gets a fresh tunnel, which takes its bytes as they are.

One thing is added: a request in a tunnel has to name its service, which h2spec knows nothing of. A literal field that
is never indexed can stand at the end of any encoded head without a trace in the compression's state (RFC 7541 §6.2.3),
so it is appended to each HEADERS frame that is whole and not padded. Every other frame passes untouched.

h2spec needs a hundred and fifty tunnels, one by one, and an agent that loses a tunnel young waits longer each time
before it dials again. So let it dial many addresses, with many tunnels each. A registration is only answered when
h2spec is there to use it; until then it waits, for as long as the agent does.

    python -m tests.tools.h2spec_tunnel --data-dir DIR --service NAME --listen HOST:PORT --tunnel HOST:PORT ...

It writes `join-token` into DIR and prints "ready".
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

from app.identity import DataDirectory, Identity
from h2s.engine import Role
from h2s.errors import H2SError
from h2s.handshake import Handshake, HelloReceived, Swapped
from h2s.messages import ConfigVersion, TunnelLimits, Welcome
from h2s.tunnel import edge_ssl_context
from h2s.wire import FRAME_HEADER_SIZE, H2_PREFACE, SERVICE_FIELD, frame_header, parse_frame_header

HEADERS = 0x1
END_HEADERS, PADDED = 0x4, 0x8
LARGEST_FRAME = 16 * 1024


class Registered:
    """An agent that has sent its Hello and waits for the answer."""

    def __init__(
        self, handshake: Handshake, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.handshake = handshake
        self.reader = reader
        self.writer = writer

    async def swap(self) -> None:
        """Accept the agent and swap roles. Raises H2SError or OSError if it has given up waiting."""
        self.handshake.accept(
            Welcome(
                edge_id="h2spec",
                tunnel_id="t-h2spec",
                control_nonce=secrets.token_hex(16),
                config_version=ConfigVersion(fleet="h2spec", epoch=0, n=0),
                limits=TunnelLimits(max_message=1024),
            )
        )
        await until(Swapped, self.handshake, self.reader, self.writer)


async def until(
    event: type, handshake: Handshake, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Go on with a handshake until that event. Raises H2SError or OSError."""
    writer.write(handshake.pull())
    while True:
        data = await reader.read(LARGEST_FRAME)
        if not data:
            raise ConnectionError("the agent closed the connection")
        events = handshake.receive(data)
        writer.write(handshake.pull())
        if any(isinstance(each, event) for each in events):
            return


class Bridge:
    """Joins each connection of h2spec to a tunnel."""

    def __init__(self, service: bytes) -> None:
        self._service = service
        self._waiting: asyncio.LifoQueue[Registered] = asyncio.LifoQueue()

    async def on_agent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a registration, up to the Hello."""
        handshake = Handshake(Role.SERVER)
        try:
            await until(HelloReceived, handshake, reader, writer)
        except (H2SError, OSError):
            writer.close()
        else:
            self._waiting.put_nowait(Registered(handshake, reader, writer))

    async def on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Give h2spec a tunnel, and carry bytes until either end has closed."""
        agent = await self._tunnel()
        heads = Heads(literal_field(SERVICE_FIELD, self._service))
        async with asyncio.TaskGroup() as group:
            group.create_task(carry(reader, agent.writer, heads.feed))
            group.create_task(carry(agent.reader, writer, bytes))

    async def _tunnel(self) -> Registered:
        while True:
            agent = await self._waiting.get()
            try:
                await agent.swap()
            except (H2SError, OSError):
                agent.writer.close()
            else:
                return agent


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
) -> None:
    """Carry bytes one way until either end is gone, and close the other."""
    with contextlib.suppress(OSError):
        while data := await reader.read(LARGEST_FRAME):
            writer.write(change(data))
            await writer.drain()
    writer.close()


class Heads:
    """Appends a field to the heads in a client's bytes. Holds back nothing but the HEADERS frame it may change."""

    def __init__(self, field: bytes) -> None:
        self._field = field
        self._held = b""
        self._preface = H2_PREFACE
        self._passing = 0

    def feed(self, data: bytes) -> bytes:
        """Take bytes and return those that can go on."""
        out = bytearray()
        self._held += data
        while self._held:
            size = self._next(out)
            if size == 0:
                break
            self._held = self._held[size:]
        return bytes(out)

    def _next(self, out: bytearray) -> int:
        """Add the next piece to `out` and return how much of what is held it was; 0 if it is not whole."""
        held = self._held
        if self._preface:
            size = min(len(held), len(self._preface))
            if held[:size] != self._preface[:size]:
                self._preface, self._passing = b"", 2**62
                return self._pass(out, len(held))
            self._preface = self._preface[size:]
            return self._pass(out, size)
        if self._passing:
            size = min(len(held), self._passing)
            self._passing -= size
            return self._pass(out, size)
        if len(held) < FRAME_HEADER_SIZE:
            return 0
        length, kind, flags, stream_id = parse_frame_header(held)
        end = FRAME_HEADER_SIZE + length
        changeable = kind == HEADERS and flags & (END_HEADERS | PADDED) == END_HEADERS
        if not changeable or length + len(self._field) > LARGEST_FRAME:
            self._passing = length
            return self._pass(out, FRAME_HEADER_SIZE)
        if len(held) < end:
            return 0
        out += frame_header(length + len(self._field), kind, flags, stream_id)
        out += held[FRAME_HEADER_SIZE:end] + self._field
        return end

    def _pass(self, out: bytearray, size: int) -> int:
        out += self._held[:size]
        return size


def literal_field(name: bytes, value: bytes) -> bytes:
    """Return a field as HPACK's never-indexed literal with a new name; both shorter than 127 bytes."""
    return b"\x10" + bytes((len(name),)) + name + bytes((len(value),)) + value


async def serve(data_dir: Path, service: str, listen: str, tunnels: list[str]) -> None:
    """Run until cancelled."""
    with DataDirectory.open(data_dir) as data:
        identity = Identity.load_or_create(data)
    context = edge_ssl_context(str(identity.edge_certificate), str(identity.edge_key))
    bridge = Bridge(service.encode())
    for address in tunnels:
        host, _, port = address.rpartition(":")
        await asyncio.start_server(bridge.on_agent, host, int(port), ssl=context)
    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(bridge.on_client, host, int(port))
    print("ready", flush=True)
    await server.serve_forever()


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description="Let h2spec test an agent's HTTP/2 server.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--service", required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--tunnel", action="append", required=True, dest="tunnels")
    given = parser.parse_args()
    asyncio.run(serve(given.data_dir, given.service, given.listen, given.tunnels))


if __name__ == "__main__":
    main()

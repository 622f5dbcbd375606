"""A control call on a tunnel that is full: `python -m bench.control [--rate BYTES]` prints what it took, as JSON.

Three processes: this one is the edge's end of a tunnel, `far` the agent's, and with a rate `line` is a line between
them that carries so many bytes a second each way and holds little. Four streams each way carry as much as goes. A
control call is a Poll, from asking to its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop

from h2s.connection import Connection, Stream
from h2s.control import POLL, CallServer, Unary, call_unary, control_nonce
from h2s.engine.session import Fields, Goaway
from h2s.errors import NoFreeStream
from h2s.liveness import Liveness, LivenessTimes
from h2s.messages import InstanceReport, PollRequest, Report
from h2s.tunnel import Acceptor, agent_ssl_context, dial
from tests.h2s.said import HELLO, NONCE, WELCOME
from tests.h2s.trust import Trust

__all__ = ["main"]

CALLS = 100
PAUSE = 0.02
"""Seconds between two calls."""
SETTLE = 2.0
"""Seconds after which a line that is being filled is full."""
PATIENCE = 60.0
STREAMS = 4
"""In each direction."""
PIECE = bytes(16 * 1024)
HELD = 16 * 1024
"""Bytes that the line's kernel is asked to hold; it takes this twice."""
STEP = 2048
"""Bytes that the line passes at a time."""
REPORT = Report(instances=[InstanceReport(service="web", healthy=1, total=1)])


class Body:
    """A stream that gives or takes without end; an `h2s.connection.Stream`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.stream_id = 0
        self.received = 0

    def give(self) -> None:
        """Send as much as goes."""
        while self.connection.send_data(self.stream_id, PIECE, end_stream=False):
            pass

    def on_informational(self, fields: Fields) -> None: ...

    def on_head(self, fields: Fields, end_stream: bool) -> None: ...

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        self.received += len(data)
        self.connection.credit(self.stream_id, flow)

    def on_trailers(self, fields: Fields) -> None: ...

    def on_reset(self, code: int, processed: bool) -> None: ...

    def on_drained(self) -> None:
        self.give()


class End:
    """Either end; an `h2s.connection.Owner`."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[Connection] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._calls = CallServer((Unary(POLL, lambda request: REPORT),))

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        if control_nonce(fields) is not None:
            return self._calls.take(connection, stream_id, fields, end_stream, nonce=NONCE)
        body = Body(connection)
        body.stream_id = stream_id
        connection.send_head(stream_id, [(b":status", b"200")], end_stream=False)
        if (b":path", b"/give") in fields:
            asyncio.get_running_loop().call_soon(body.give)
        return body

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        if not self.ready.done():
            self.ready.set_result(connection)

    def on_goaway(self, connection: Connection, event: Goaway) -> None: ...

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        self.gone.set_result(None)


def _liveness() -> Liveness:
    return Liveness(LivenessTimes(), now=asyncio.get_running_loop().time())


async def far(port: int, ca: str) -> None:
    """Be the agent's end until the tunnel is gone."""
    end = End()
    context = agent_ssl_context(ca)
    await dial(
        "127.0.0.1", port, context=context, hello=HELLO, make_owner=lambda welcome: end, liveness=_liveness()
    )
    await end.gone


async def line(target: int, rate: float) -> None:
    """Be the line, and print the port at which it begins. It ends with its one connection."""
    loop = asyncio.get_running_loop()
    near, away = socket.socket(), socket.socket()
    with near, away:
        for sock in (near, away):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD)
            sock.setblocking(False)
        near.bind(("127.0.0.1", 0))
        near.listen()
        print(near.getsockname()[1], flush=True)
        dialled, _ = await loop.sock_accept(near)
        await loop.sock_connect(away, ("127.0.0.1", target))
        with dialled:
            ways = [asyncio.create_task(_carry(*way, rate)) for way in ((dialled, away), (away, dialled))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()


async def _carry(source: socket.socket, sink: socket.socket, rate: float) -> None:
    loop = asyncio.get_running_loop()
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    due = loop.time()
    while data := await loop.sock_recv(source, STEP):
        await loop.sock_sendall(sink, data)
        due = max(due, loop.time() - 0.005) + len(data) / rate
        if (wait := due - loop.time()) > 0.001:
            await asyncio.sleep(wait)


async def near(rate: float) -> dict[str, float]:
    """Be the edge's end; return the figures."""
    loop = asyncio.get_running_loop()
    end = End()

    def accept() -> Acceptor:
        return Acceptor(
            decide=lambda hello, peer: WELCOME,
            make_owner=lambda registration: end,
            make_liveness=_liveness,
            on_tunnel=lambda connection: None,
            on_over=lambda acceptor, error: None,
        )

    with ExitStack() as stack:
        trust = Trust(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        ca = trust._folder / "ca.pem"
        ca.write_text(trust.token.ca_pem)
        server = await loop.create_server(accept, "127.0.0.1", 0, ssl=trust.edge())
        port = server.sockets[0].getsockname()[1]
        if rate:
            program = stack.enter_context(_process("line", "--port", str(port), "--rate", str(rate)))
            assert program.stdout is not None
            port = int(program.stdout.readline())
        stack.enter_context(_process("far", "--port", str(port), "--ca", str(ca)))
        connection = await asyncio.wait_for(asyncio.shield(end.ready), PATIENCE)
        idle = await _ask(connection)
        bodies = [_open(connection, path) for path in ["/give", "/take"] * STREAMS]
        await asyncio.sleep(SETTLE)
        before, began = sum(body.received for body in bodies), time.perf_counter()
        full = await _ask(connection)
        seconds = time.perf_counter() - began
        megabytes = (sum(body.received for body in bodies) - before) / seconds / 1e6
        connection.abort()
        await end.gone
        server.close()
    figures = {
        f"{what} {name}": value
        for what, taken in (("idle", idle), ("full", full))
        for name, value in taken.items()
    }
    return {**figures, "MB/s from the agent": megabytes}


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "bench.control", *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def _open(connection: Connection, path: str) -> Body:
    body = Body(connection)
    fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", path.encode())]
    body.stream_id = connection.open(fields, body, end_stream=False)
    if path == "/take":
        body.give()
    return body


async def _ask(connection: Connection) -> dict[str, float]:
    """Make calls one after the other, no more than the agent takes; return how long they took."""
    loop = asyncio.get_running_loop()
    taken = []
    for _ in range(CALLS):
        answer: asyncio.Future[object] = loop.create_future()
        began = time.perf_counter()
        try:
            call_unary(
                connection, POLL, PollRequest(), nonce=NONCE, on_done=answer.set_result, timeout=PATIENCE
            )
        except NoFreeStream:
            raise SystemExit("the tunnel is gone") from None
        assert await answer == REPORT, answer.result()
        taken.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(max(PAUSE, 0.11 - taken[-1] / 1000))
    taken.sort()
    return {"p50 ms": taken[len(taken) // 2], "p99 ms": taken[int(len(taken) * 0.99)]}


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="A control call on a tunnel that is full.")
    parser.add_argument("role", nargs="?", default="near", choices=("near", "far", "line"))
    parser.add_argument("--rate", type=float, default=0.0, help="bytes a second each way; 0: no line between")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ca", type=Path, default=Path())
    arguments = parser.parse_args()
    if arguments.role == "far":
        uvloop.run(far(arguments.port, arguments.ca.read_text()))
    elif arguments.role == "line":
        uvloop.run(line(arguments.port, arguments.rate))
    else:
        print(json.dumps(uvloop.run(near(arguments.rate))))


if __name__ == "__main__":
    main()

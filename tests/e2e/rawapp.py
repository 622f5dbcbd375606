"""An application of octets behind real programs, for what is hostile on either side of an edge.

`RawApp` sends whatever octets a test has laid out for a path and remembers every octet it was sent. It lives in the
test's own process, so a test can ask it what it has seen. `Scene` is such an application behind an agent that dials
one edge with plain HTTP and one with TLS.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from .address import Address, free_address
from .certificate import Certificate
from .client import TIMEOUT, fetch, request
from .stage import Agent, Edge, Stage

__all__ = ["Answer", "CLOSE", "GOOD", "RawApp", "Scene", "Seen", "WAIT"]

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
CLOSE = "close"
"""In an answer: the application closes the connection here."""
WAIT = "wait"
"""In an answer: the application goes on when the test sets `RawApp.go_on`."""
Answer = tuple[bytes | str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the application got it, and the number of the connection that it came on."""

    head: bytes
    connection: int

    @property
    def lines(self) -> list[bytes]:
        """The request line and the field lines, names in lower case."""
        first, *rest = self.head[:-4].split(b"\r\n")
        parts = [line.partition(b":") for line in rest]
        return [first, *(name.lower() + colon + value for name, colon, value in parts)]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field."""
        start = name + b": "
        return [line.removeprefix(start) for line in self.lines if line.startswith(start)]


@dataclass
class RawApp:
    """An application that answers each path with the octets in `answers`, any other one with `GOOD`."""

    address: Address
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    bodies: bytearray = field(default_factory=bytearray)
    """All that came behind heads, framing included."""
    impatient: set[str] = field(default_factory=set)
    """Paths that are answered before the request's body is read."""
    go_on: threading.Event = field(default_factory=threading.Event)
    connections: int = 0

    @classmethod
    @contextlib.contextmanager
    def serving(cls) -> Iterator[Self]:
        """Serve on a free address for the time of the block."""
        app = cls(free_address())

        class Handler(socketserver.StreamRequestHandler):
            timeout = TIMEOUT
            disable_nagle_algorithm = True

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    app.converse(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True
            request_queue_size = 128

        with Server(app.address, Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield app
            finally:
                app.go_on.set()
                server.shutdown()
                thread.join()

    def converse(self, handler: socketserver.StreamRequestHandler) -> None:
        """Answer the requests of one connection until one side closes it."""
        self.connections += 1
        number = self.connections
        while head := read_head(handler):
            seen = Seen(head, number)
            self.seen.append(seen)
            path = head.split(b" ", 2)[1].decode("latin-1")
            if path not in self.impatient:
                self.bodies += read_body(handler, seen)
            for part in self.answers.get(path, (GOOD,)):
                if part == CLOSE:
                    return
                if isinstance(part, bytes):
                    handler.wfile.write(part)
                else:
                    self.go_on.wait(TIMEOUT)


def read_head(handler: socketserver.StreamRequestHandler) -> bytes:
    """Read a request's head; empty at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = handler.rfile.readline()
        if not line:
            return b""
        head += line
    return head


def read_body(handler: socketserver.StreamRequestHandler, seen: Seen) -> bytes:
    """Read what a head announces, chunks as they are."""
    if not seen.values(b"transfer-encoding"):
        return b"".join(handler.rfile.read(int(length)) for length in seen.values(b"content-length"))
    body = b""
    while (line := handler.rfile.readline()) not in (b"0\r\n", b""):
        body += line
    body += line
    while (line := handler.rfile.readline()) not in (b"\r\n", b""):
        body += line
    return body + line


@dataclass(frozen=True, slots=True)
class Scene:
    """The application, and the programs before it."""

    app: RawApp
    plain: Edge
    secure: Edge
    agent: Agent
    certificate: Certificate

    @classmethod
    @contextlib.contextmanager
    def at(cls, folder: Path) -> Iterator[Scene]:
        """Start everything, with one tunnel to each edge, and end it behind the block."""
        with RawApp.serving() as app, Stage.at(folder) as stage:
            certificate = Certificate.make(folder)
            plain = stage.edge("plain")
            secure = stage.edge("secure", "--identity-dir", plain.data_dir, certificate=certificate)
            agent = stage.agent(
                "agent", "--tunnels", "1", edges=[plain, secure], services={"web": f"http://{app.address}"}
            )
            yield cls(app, plain, secure, agent, certificate)

    def requests_since(self, count: int) -> list[bytes]:
        """Return the request lines that the application saw after its first `count` requests."""
        return [seen.lines[0] for seen in self.app.seen[count:]]

    def serves(self) -> None:
        """Assert that a good request on a new connection is served."""
        assert fetch(self.plain.public, request("/good")).body == b"good"

    @property
    def tunnels_opened(self) -> int:
        """How many tunnels the plain edge has accepted since its start."""
        return self.plain.stderr.count('"event": "tunnel up"')

"""Clients that are slow to read: many large bodies at once over HTTP/1.1, each byte compared."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass, field

from tests.e2e.address import Address

from ..origin import PATTERN

__all__ = ["Crowd", "read_slowly"]

TICK = 0.05
"""Seconds between two looks at all clients."""
LARGEST_HEAD = 16 * 1024
CHUNK = 256 * 1024


@dataclass(slots=True)
class Reader:
    """One client."""

    socket: socket.socket
    head: bytes | None = None
    """The head of the response, once it was read whole."""
    passed: int = 0
    """Bytes of the body that were read."""
    fault: str | None = None
    _begun: bytearray = field(default_factory=bytearray)

    def read(self, limit: int) -> int:
        """Read up to `limit` bytes of what is there; return how many."""
        try:
            data = self.socket.recv(min(limit, CHUNK))
        except BlockingIOError:
            return 0
        except OSError as error:
            self.fault = f"the connection broke after {self.passed} bytes: {error}"
            return 0
        if not data:
            self.fault = f"the connection ended after {self.passed} bytes"
        self._take(data)
        return len(data)

    def _take(self, data: bytes) -> None:
        if self.head is None:
            self._begun += data
            head, blank, rest = bytes(self._begun).partition(b"\r\n\r\n")
            if not blank:
                return
            self.head, data = head, rest
            if not head.startswith(b"HTTP/1.1 200 "):
                self.fault = f"answered with {head[:60]!r}"
        if data != body(self.passed, len(data)):
            self.fault = f"other bytes than the application's, within {len(data)} after {self.passed}"
        self.passed += len(data)


@dataclass(frozen=True, slots=True)
class Crowd:
    """What the clients saw together."""

    passed: int
    """Bytes of bodies."""
    faults: tuple[str, ...]


def read_slowly(
    public: Address, *, host: str, path: str, size: int, clients: int, rate: float, slow: float, fast: float
) -> Crowd:
    """Fetch `path` with many clients: `rate` bytes a second each for `slow` seconds, then as it comes for `fast`.

    They leave before the end unless everything has come; a body that ends before its `size` is a fault.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    readers = []
    for _ in range(clients):
        connection = socket.create_connection(public, timeout=10)
        connection.sendall(request)
        connection.setblocking(False)
        readers.append(Reader(connection))
    allowance = max(1, round(rate * TICK))
    began = time.monotonic()
    ticks = 0
    while time.monotonic() < began + slow:
        for reader in open_ones(readers, size):
            reader.read(allowance)
        ticks += 1
        time.sleep(max(0.0, began + ticks * TICK - time.monotonic()))
    read_what_comes(readers, size=size, until=time.monotonic() + fast)
    for reader in readers:
        if reader.head is None and reader.fault is None:
            reader.fault = "no answer"
        reader.socket.close()
    faults = tuple(f"client {n}: {reader.fault}" for n, reader in enumerate(readers, 1) if reader.fault)
    return Crowd(sum(reader.passed for reader in readers), faults)


def read_what_comes(readers: list[Reader], *, size: int, until: float) -> None:
    """Read as fast as it goes."""
    with selectors.DefaultSelector() as selector:
        for reader in open_ones(readers, size):
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        while selector.get_map() and time.monotonic() < until:
            for key, _ in selector.select(timeout=TICK):
                reader = key.data
                reader.read(CHUNK)
                if reader.fault or reader.passed >= size:
                    selector.unregister(reader.socket)


def open_ones(readers: list[Reader], size: int) -> list[Reader]:
    """Return those that still have something to read."""
    return [reader for reader in readers if reader.fault is None and reader.passed < size]


def body(start: int, length: int) -> bytes:
    """Return a part of the application's body."""
    begin = start % len(PATTERN)
    return (PATTERN[begin:] + PATTERN * (length // len(PATTERN) + 1))[:length]

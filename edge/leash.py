"""The leash: how the first process of an edge leads the others.

`app.supervisor` starts each with one end of a socket pair. On it come orders, a line each: what to begin with, a
socket of the seam to the other process (`edge.seam`), and the word to stop. Back goes one line, from the control
process: that the edge is up. Signals play no part, since a terminal and some service managers send theirs to every
process at once. When the leash ends, so has the first process, and whoever is on it ends too.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from enum import Enum
from typing import Self

__all__ = ["Leash", "Order"]

READ_SIZE = 65536
MAX_DESCRIPTORS = 8


class Order(Enum):
    """The first word of a line."""

    BEGIN = "begin"
    """What to begin with follows, as JSON."""
    SEAM = "seam"
    """A descriptor comes along: the seam to the other process, in place of the one before."""
    STOP = "stop"
    """Finish what runs and end."""
    NOW = "now"
    """End at once; what the end of the leash says as well."""


class Leash:
    """A child's end."""

    def __init__(self, descriptor: int) -> None:
        """Take the socket that the process was started with; use it in a `with` block."""
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._received = b""
        self._descriptors: list[int] = []
        self._waiting: list[tuple[Order, str]] = []
        self._on_seam: Callable[[socket.socket], None]
        self._on_stop: Callable[[], None]
        self._on_now: Callable[[], object]

    def wait_for_begin(self) -> str | None:
        """Wait, without a loop, for what to begin with; None if the process is to end before it has begun."""
        while not self._waiting:
            self._waiting += self._read()
        order, text = self._waiting.pop(0)
        return text if order is Order.BEGIN else None

    def attach(
        self,
        *,
        on_seam: Callable[[socket.socket], None],
        on_stop: Callable[[], None],
        on_now: Callable[[], object],
    ) -> None:
        """From now on have orders obeyed in the running loop."""
        self._on_seam, self._on_stop, self._on_now = on_seam, on_stop, on_now
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket.fileno(), self._on_readable)
        loop.call_soon(self._obey)

    def detach(self) -> None:
        """Obey no more."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Let go of the leash, and of what was not taken from it."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, word: str, text: str) -> None:
        """Say something to the first process. It reads at once, so that this does not block for long."""
        self._socket.setblocking(True)
        try:
            self._socket.sendall(f"{word} {text}\n".encode())
        except OSError:
            return
        finally:
            self._socket.setblocking(False)

    def _on_readable(self) -> None:
        try:
            self._waiting += self._read()
        except (BlockingIOError, InterruptedError):
            return
        self._obey()

    def _obey(self) -> None:
        waiting, self._waiting = self._waiting, []
        for order, _ in waiting:
            if order is Order.SEAM:
                self._on_seam(socket.socket(fileno=self._descriptors.pop(0)))
            elif order is Order.STOP:
                self._on_stop()
            elif order is Order.NOW:
                self.detach()
                self._on_now()
                return

    def _read(self) -> list[tuple[Order, str]]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, READ_SIZE, MAX_DESCRIPTORS)
        except ConnectionError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._descriptors += descriptors
        if not data:
            return [(Order.NOW, "")]
        *lines, self._received = (self._received + data).split(b"\n")
        orders = []
        for line in lines:
            word, _, text = line.decode().partition(" ")
            orders.append((Order(word), text))
        return orders

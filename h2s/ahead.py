"""How much is written ahead of a tunnel's socket: little, so that what is urgent has little to wait for.

What a transport has taken cannot be overtaken any more. By themselves it and the kernel take a megabyte and a half each
way, which on a line of 10 Mbit/s is more than a second. Three buffers lie one behind the other: the kernel's, the
transport's, and, under TLS, one between the two that nobody can see or set. So nothing is written that the kernel does
not take at once: `Ahead` asks it how much it has not sent yet (SIOCOUTQNSD), and waits, with a descriptor of its own
for the socket, until that is little (TCP_NOTSENT_LOWAT). What has been sent and is on its way is not limited.

How much is little depends on the line: what it carries in a few milliseconds. The mark is doubled when the kernel was
down to half of it in less than `FAST`, and halved when that took more than `SLOW`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

if sys.platform == "linux":
    import fcntl

__all__ = ["Ahead"]

LEAST = 16 * 1024
MOST = 128 * 1024
"""Bytes of the mark, at the least and at the most."""
AT_ONCE = 64 * 1024
"""Bytes of a piece, as long as the kernel keeps up."""
FAST = 0.002
SLOW = 0.008
"""Seconds of waiting after which the mark goes up, or down."""
SIOCOUTQNSD = 0x894B


class Ahead:
    """Says whether one socket takes more now, and when it does again."""

    def __init__(self, sock: socket.socket, on_free: Callable[[], None]) -> None:
        """`on_free` is called when it takes more again, once after each time that `full` said it does not."""
        self.piece = LEAST
        """Bytes to write at a time."""
        self.waiting = False
        """Whether `on_free` is to come."""
        self._socket = sock
        self._on_free = on_free
        self._loop = asyncio.get_running_loop()
        self._mark = LEAST
        self._written = 0
        """Bytes since the kernel was last asked: most tunnels never have much to say at once, and cost nothing."""
        self._since = 0.0
        self._watched = -1
        self._answer = bytearray(4)
        self._closed = False
        self._set_mark(sock.fileno())

    @classmethod
    def of(cls, transport: asyncio.BaseTransport, on_free: Callable[[], None]) -> Ahead | None:
        """Return one for a TCP transport, or None where the system cannot be asked."""
        sock = transport.get_extra_info("socket")
        if sys.platform != "linux" or sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        return cls(sock, on_free) if sock.fileno() >= 0 else None

    def wrote(self, size: int) -> None:
        """Count what the transport was given."""
        self._written += size

    def full(self) -> bool:
        """Whether to write no more for now. Ask only while the transport stands."""
        if not self.waiting and self._written >= self.piece:
            self.waiting = True
            # The loop may write later in this turn what the transport was given now.
            self._loop.call_soon(self._look)
        return self.waiting

    def close(self) -> None:
        """Let go of the socket; it is full for ever."""
        self._closed = self.waiting = True
        if self._watched >= 0:
            self._loop.remove_writer(self._watched)
            os.close(self._watched)
            self._watched = -1

    # -- inside ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._closed:
            return
        fcntl.ioctl(self._socket.fileno(), SIOCOUTQNSD, self._answer, True)
        unsent = int.from_bytes(self._answer, sys.byteorder)
        # As the kernel reckons before it calls a socket writable: else what the transport still has would not move.
        if 2 * unsent < self._mark:
            self.piece = AT_ONCE if unsent == 0 and not self._since else self._mark
            self.waiting = False
            self._written = 0
            self._since = 0.0
            self._on_free()
            return
        if self._watched < 0:
            # A loop lets nobody else watch the descriptor of a transport.
            self._watched = os.dup(self._socket.fileno())
        self._since = self._loop.time()
        self._loop.add_writer(self._watched, self._on_writable)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._watched)
        waited = self._loop.time() - self._since
        if waited < FAST and self._mark < MOST:
            self._mark *= 2
            self._set_mark(self._watched)
        elif waited > SLOW and self._mark > LEAST:
            self._mark //= 2
            self._set_mark(self._watched)
        # What the transport still has goes first.
        self._loop.call_soon(self._look)

    def _set_mark(self, descriptor: int) -> None:
        sock = socket.socket(fileno=descriptor)
        try:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, self._mark)
        finally:
            sock.detach()

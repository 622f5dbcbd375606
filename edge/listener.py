"""The listening sockets of a port: accepting from them, and closing them without losing anybody.

They are this module's own rather than asyncio's server, for three reasons. Closing a listening socket makes the kernel
reset the connections that wait in its backlog, whose clients take them for accepted; so the last act before closing
can be to accept what is there. Who accepts knows of a connection from its first moment, and not only when TLS stands.
And when there are no file descriptors left, the connections wait in the backlog, while those that are open go on.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import cast

__all__ = ["Listener"]

BACKLOG = 4096
ACCEPT_PAUSE = 1.0
"""Seconds without accepting when the process has no file descriptors left."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Take = Callable[[socket.socket, str], None]
"""Takes over a connection: its socket, which does not block and sends without delay, and the client's address."""


class Listener:
    """Accepts connections and gives each to `take`."""

    def __init__(self, take: Take, *, per_turn: int) -> None:
        """`per_turn` connections are accepted before others have their turn."""
        self._take = take
        self._per_turn = per_turn
        self._sockets: list[socket.socket] = []
        self._resume: asyncio.TimerHandle | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each listening socket."""
        return [sock.getsockname()[:2] for sock in self._sockets]

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> tuple[str, int]:
        """Listen on every address that `host` resolves to; port 0 picks a free one. Raises OSError.

        Returns the first address bound; `addresses` has all. May be called again for others. `reuse_port` shares the
        port with other processes (SO_REUSEPORT).
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        opened: list[socket.socket] = []
        try:
            for family, address in dict.fromkeys((info[0], info[4]) for info in found):
                opened.append(_listen(family, address, reuse_port=reuse_port))
        except OSError:
            for sock in opened:
                sock.close()
            raise
        self._sockets += opened
        self._accept_on(opened)
        return self.addresses[-len(opened)]

    def adopt(self, sock: socket.socket) -> None:
        """Accept from a socket that listens already. It is closed with the others."""
        sock.setblocking(False)
        self._sockets.append(sock)
        self._accept_on([sock])

    def stop(self, *, take_backlog: bool) -> None:
        """Listen no more. The connections in the backlog are taken first, or reset by the kernel."""
        loop = asyncio.get_running_loop()
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            loop.remove_reader(sock.fileno())
            if take_backlog:
                self._accept(sock, BACKLOG)
            sock.close()

    def _accept_on(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for sock in sockets:
            loop.add_reader(sock.fileno(), self._accept, sock, self._per_turn)

    def _accept(self, listening: socket.socket, most: int) -> None:
        for _ in range(most):
            try:
                sock, peername = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause()
                    return
                raise
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._take(sock, str(peername[0]))

    def _pause(self) -> None:
        """Leave the connections in the backlog until there may be file descriptors again."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock.fileno())
        if self._sockets and self._resume is None:
            self._resume = loop.call_later(ACCEPT_PAUSE, self._resume_accepting)

    def _resume_accepting(self) -> None:
        self._resume = None
        self._accept_on(self._sockets)


def _listen(family: int, address: object, *, reuse_port: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(cast(tuple[str, int], address))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock

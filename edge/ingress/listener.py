"""Public listening sockets: accepting connections, choosing their protocol, and stopping without losing any.

The listening socket is this module's own rather than asyncio's server, because of how it ends. Closing a listening
socket makes the kernel reset the connections that wait in its backlog, whose clients take them for accepted. So the
last act before closing is to accept what is there.

A connection beyond the limits, of all or of its address, is accepted and closed in the same breath, without TLS with a
503 that costs no more than the bytes of it. A handshake counts as a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from functools import partial
from os import PathLike
from typing import Any, cast

import structlog

from edge.message import Gateway
from edge.problem import Refusal
from h2s.unsent import bound_unsent

from .context import Context
from .http1 import Http1Connection
from .http2 import Http2Connection
from .limits import IngressLimits
from .response import encode_refusal

__all__ = ["Ingress", "public_ssl_context"]

log: Any = structlog.get_logger("edge")

BACKLOG = 4096
ACCEPTS_PER_TURN = 64
"""Connections accepted before others have their turn."""
ACCEPT_PAUSE = 1.0
"""Seconds without accepting when the process has no file descriptors left."""
IDLE_CHANCE = 1.0
"""Seconds that a draining ingress leaves idle connections for a request already on its way."""
DRAIN_POLL = 0.05
COMPLAINT_INTERVAL = 10.0
"""Seconds between two lines in the log about connections that were turned away."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def public_ssl_context(certificate: str | PathLike[str], key: str | PathLike[str]) -> ssl.SSLContext:
    """Return a server's context for PEM files: TLS 1.2 or later, ALPN `h2` before `http/1.1`.

    Raises OSError or ssl.SSLError when the files cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


class Ingress:
    """Takes public connections and hands their requests to a gateway."""

    def __init__(
        self, gateway: Gateway, limits: IngressLimits | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        """`ssl_context` None means cleartext HTTP/1.1; otherwise ALPN chooses between HTTP/2 and HTTP/1.1."""
        self._context = Context(gateway, limits or IngressLimits())
        self._ssl_context = ssl_context
        self._listening: list[socket.socket] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._turned_away = 0
        self._complained = -COMPLAINT_INTERVAL

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each listening socket."""
        return [sock.getsockname()[:2] for sock in self._listening]

    @property
    def connections(self) -> int:
        """How many connections are open, handshakes included."""
        return len(self._context.connections) + len(self._handshakes)

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
        self._listening += opened
        self._accept_on(opened)
        return self.addresses[-len(opened)]

    async def drain(self, timeout: float = 30.0) -> None:
        """Stop: take what is in the backlog, finish what is under way, and close within `timeout` seconds.

        Set `Gateway.draining` before, if other ways in share the gateway. Connections left at the end are cut;
        cancelling leaves them open for `close`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._stop_listening()
        self._context.draining = True
        for connection in self._context.connections:
            connection.begin_drain()
        idle_until = min(deadline, loop.time() + IDLE_CHANCE)
        while self.connections and (now := loop.time()) < deadline:
            if now >= idle_until:
                for connection in self._context.connections:
                    connection.close_idle()
            await asyncio.sleep(DRAIN_POLL)
        await self.close()

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        self._stop_listening()
        for task in list(self._handshakes):
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        for connection in self._context.connections:
            connection.abort()

    # -- accepting ------------------------------------------------------------------------------------------------

    def _accept_on(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for sock in sockets:
            loop.add_reader(sock.fileno(), self._accept, sock, ACCEPTS_PER_TURN)

    def _stop_listening(self) -> None:
        """Take the backlog of each listening socket, then close it."""
        loop = asyncio.get_running_loop()
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        listening, self._listening = self._listening, []
        for sock in listening:
            loop.remove_reader(sock.fileno())
            self._accept(sock, BACKLOG)
            sock.close()

    def _accept(self, listening: socket.socket, most: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(most):
            try:
                sock, peername = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause_accepting()
                    return
                raise
            sock.setblocking(False)
            address = str(peername[0])
            if not self._has_room(address):
                self._turn_away(sock, address)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            bound_unsent(sock)
            self._context.connections.census.enter(address)
            task = loop.create_task(self._take(sock))
            self._handshakes.add(task)
            task.add_done_callback(partial(self._on_taken, address))

    def _on_taken(self, address: str, task: asyncio.Task[None]) -> None:
        """Count a handshake no more; what came of it is counted by itself."""
        self._handshakes.discard(task)
        self._context.connections.census.leave(address)

    def _has_room(self, address: str) -> bool:
        limits = self._context.limits
        census = self._context.connections.census
        return (
            census.total < limits.max_connections and census.of(address) < limits.max_connections_per_address
        )

    def _turn_away(self, sock: socket.socket, address: str) -> None:
        """Close a connection that is one too many; a client without TLS hears why."""
        self._turned_away += 1
        now = asyncio.get_running_loop().time()
        if now - self._complained >= COMPLAINT_INTERVAL:
            self._complained = now
            log.warning("public connections turned away", count=self._turned_away, last=address)
        with contextlib.suppress(OSError), sock:
            if self._ssl_context is None:
                sock.send(encode_refusal(_too_many(), self._context.date()))
                sock.shutdown(socket.SHUT_WR)
                # What the client has sent by now has to be read, or closing would reset the connection.
                sock.recv(self._context.limits.header_bytes)

    def _pause_accepting(self) -> None:
        """Leave the connections in the backlog until there may be file descriptors again."""
        loop = asyncio.get_running_loop()
        for sock in self._listening:
            loop.remove_reader(sock.fileno())
        if self._listening and self._resume is None:
            self._resume = loop.call_later(ACCEPT_PAUSE, self._resume_accepting)

    def _resume_accepting(self) -> None:
        self._resume = None
        self._accept_on(self._listening)

    async def _take(self, sock: socket.socket) -> None:
        """Shake hands, if with TLS, and start the protocol."""
        loop = asyncio.get_running_loop()
        context = self._context
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            if self._ssl_context is None:
                await loop.connect_accepted_socket(lambda: Http1Connection(context), sock)
            else:
                await loop.connect_accepted_socket(
                    lambda: _Negotiation(context),
                    sock,
                    ssl=self._ssl_context,
                    ssl_handshake_timeout=context.limits.handshake_timeout,
                )
            return
        sock.close()


class _Negotiation(asyncio.Protocol):
    """Lives from the end of the TLS handshake to the choice of the protocol, which is no time at all."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Choose by ALPN."""
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        transport = cast(asyncio.Transport, transport)
        if chosen == "h2":
            connection = Http2Connection(self._context, transport)
            connection.start()
        else:
            protocol = Http1Connection(self._context)
            transport.set_protocol(protocol)
            protocol.connection_made(transport)


def _too_many() -> Refusal:
    detail = "There are too many connections, in all or from this address."
    return Refusal(503, "too_many_connections", detail, fields=[(b"retry-after", b"1")])


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

"""The public port: accepting connections, choosing their protocol, and stopping without losing any.

A connection beyond the limits, of all or of its address, is accepted and closed in the same breath, without TLS with a
503 that costs no more than the bytes of it. A handshake counts as a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from functools import partial
from os import PathLike
from typing import Any, cast

import structlog

from edge.complaints import Complaints
from edge.listener import Listener
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

ACCEPTS_PER_TURN = 64
"""Connections accepted before others have their turn."""
IDLE_CHANCE = 1.0
"""Seconds that a draining ingress leaves idle connections for a request already on its way."""
DRAIN_POLL = 0.05


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
        self._listener = Listener(self._accept, per_turn=ACCEPTS_PER_TURN)
        self._handshakes: set[asyncio.Task[None]] = set()
        self._turned_away = Complaints(log, "warning", "public connections turned away")

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each listening socket."""
        return self._listener.addresses

    @property
    def connections(self) -> int:
        """How many connections are open, handshakes included."""
        return len(self._context.connections) + len(self._handshakes)

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> tuple[str, int]:
        """Listen on every address that `host` resolves to; port 0 picks a free one. Raises OSError.

        Returns the first address bound; `addresses` has all. May be called again for others. `reuse_port` shares the
        port with other processes (SO_REUSEPORT).
        """
        return await self._listener.start(host, port, reuse_port=reuse_port)

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

    def _stop_listening(self) -> None:
        self._listener.stop(take_backlog=True)
        self._turned_away.close()

    def _accept(self, sock: socket.socket, address: str) -> None:
        if not self._has_room(address):
            self._turn_away(sock, address)
            return
        bound_unsent(sock)
        self._context.connections.census.enter(address)
        task = asyncio.get_running_loop().create_task(self._take(sock))
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
        self._turned_away.tell(peer=address)
        with contextlib.suppress(OSError), sock:
            if self._ssl_context is None:
                sock.send(encode_refusal(_too_many(), self._context.date()))
                sock.shutdown(socket.SHUT_WR)
                # What the client has sent by now has to be read, or closing would reset the connection.
                sock.recv(self._context.limits.header_bytes)

    async def _take(self, sock: socket.socket) -> None:
        """Shake hands, if with TLS, and start the protocol."""
        loop = asyncio.get_running_loop()
        context = self._context
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            if self._ssl_context is None:
                await loop.connect_accepted_socket(
                    lambda: cast(asyncio.BaseProtocol, Http1Connection(context)), sock
                )
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
            transport.set_protocol(cast(asyncio.BaseProtocol, protocol))
            protocol.connection_made(transport)


def _too_many() -> Refusal:
    detail = "There are too many connections, in all or from this address."
    return Refusal(503, "too_many_connections", detail, fields=[(b"retry-after", b"1")])

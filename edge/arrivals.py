"""Connections to the tunnel port from their first moment to the tunnel, or to their end.

Anybody may dial the port, so what a stranger can take is bounded: places and turns (`edge.lobby`), time (`h2s.tunnel`),
and lines in the log (`edge.complaints`). A place is free as soon as its connection is gone, in whatever state that was.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from h2s.errors import HandshakeError
from h2s.tunnel import HANDSHAKE_TIMEOUT, Acceptor

from .complaints import Complaints
from .listener import Listener
from .lobby import Lobby, LobbyLimits

__all__ = ["Arrivals"]

log: Any = structlog.get_logger("edge.tunnels")

ACCEPTS_PER_TURN = 128
"""More than can be served: the kernel's queue knows no addresses, so an agent must not wait in it."""
HANDSHAKES_PER_TURN = 32
"""TLS handshakes begun before others have their turn."""

OnOver = Callable[[Acceptor, Exception | None], None]


class Arrivals:
    """Accepts connections and has an `Acceptor` register each, as long as there is a place for it."""

    def __init__(
        self,
        *,
        make_acceptor: Callable[[OnOver], Acceptor],
        context: ssl.SSLContext,
        limits: LobbyLimits,
    ) -> None:
        """`make_acceptor` is given what the acceptor has to call when it is over."""
        self._make_acceptor = make_acceptor
        self.context = context
        """With what the next TLS handshake begins; those under way keep theirs."""
        self._lobby: Lobby[Acceptor] = Lobby(limits)
        self._sockets: dict[Acceptor, socket.socket] = {}
        """Of those whose handshake has not begun."""
        self._handshakes: dict[Acceptor, asyncio.Task[object]] = {}
        self._begins = False
        self._listener = Listener(self._take, per_turn=ACCEPTS_PER_TURN)
        self._failed = Complaints(log, "info", "no tunnel")
        self._crowded = Complaints(log, "warning", "too many unregistered connections: the oldest was closed")

    def __len__(self) -> int:
        return len(self._lobby)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return the bound address. Raises OSError."""
        return await self._listener.start(host, port)

    def stop(self) -> None:
        """Accept no more. Agents in the backlog are reset, and dial again or elsewhere; those that wait go on."""
        self._listener.stop(take_backlog=False)

    def abort(self) -> None:
        """Accept no more and cut all who wait."""
        self.stop()
        for acceptor in self._lobby.empty():
            acceptor.abort()
        self._failed.close()
        self._crowded.close()

    # -- one connection ----------------------------------------------------------------------------------------------

    def _take(self, sock: socket.socket, address: str) -> None:
        """Give a connection a place, if need be another's."""
        acceptor = self._make_acceptor(self._on_over)
        acceptor.peer = address
        self._sockets[acceptor] = sock
        goes = self._lobby.enter(acceptor, address)
        if goes is not None:
            self._crowded.tell(peer=goes.peer, unregistered=len(self._lobby))
            goes.abort()
        if not self._begins:
            self._begins = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Begin the handshakes of those whose turn it is."""
        loop = asyncio.get_running_loop()
        for _ in range(HANDSHAKES_PER_TURN):
            acceptor = self._lobby.call()
            if acceptor is None:
                self._begins = False
                return
            self._begin_handshake(acceptor, self._sockets.pop(acceptor))
        loop.call_soon(self._begin)

    def _begin_handshake(self, acceptor: Acceptor, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        handshake = loop.create_task(
            loop.connect_accepted_socket(
                lambda: acceptor, sock, ssl=self.context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
            )
        )
        self._handshakes[acceptor] = handshake
        handshake.add_done_callback(partial(self._on_handshake, acceptor, sock))

    def _on_handshake(self, acceptor: Acceptor, sock: socket.socket, handshake: asyncio.Task[object]) -> None:
        """TLS stands, or the connection is over: it broke, or it was cut, perhaps before the task had begun."""
        del self._handshakes[acceptor]
        if handshake.cancelled():
            sock.close()
        elif (error := handshake.exception()) is not None:
            sock.close()
            acceptor.abort(_translated(error))

    def _on_over(self, acceptor: Acceptor, error: Exception | None) -> None:
        """It is a tunnel, or it has failed at any point of its way."""
        waited = self._lobby.leave(acceptor)
        if error is None:
            return
        if (sock := self._sockets.pop(acceptor, None)) is not None:
            sock.close()
        if (handshake := self._handshakes.get(acceptor)) is not None:
            handshake.cancel()
        if waited and not isinstance(error, ConnectionError):
            self._failed.tell(peer=acceptor.peer, reason=str(error))


def _translated(error: BaseException) -> Exception:
    if isinstance(error, ssl.SSLError):
        return HandshakeError(f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}")
    if isinstance(error, ConnectionError):
        return error
    return HandshakeError(f"TLS failed: {error!r}")

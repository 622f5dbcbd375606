"""The port of the management API: uvicorn behind a listener that strangers cannot wear out.

Uvicorn bounds neither the time that a head takes nor the number of connections, and sees one only when its TLS
handshake is done. So the listening is the data plane's (`edge.listener`): a connection counts from its first moment, in
all and of each address. One that is too many of its address is closed at once; where there are too many in all, the
oldest that has not shown a good token makes room, so that no crowd of strangers keeps an operator out. A head has 10 s
to come, a handshake too, and a client that reads nothing of its answer for a minute is let go.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from typing import Any

import h11
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.census import Census
from edge.complaints import Complaints
from edge.listener import Listener
from h2s.unsent import bound_unsent

from .management.problem import Malformed, problem_response

__all__ = ["ApiServer"]

log: Any = structlog.get_logger("api")

STOP_TIMEOUT = 2
HANDSHAKE_TIMEOUT = 10.0
HEAD_TIMEOUT = 10.0
STALL_TIMEOUT = 60.0
IDLE_TIMEOUT = 20
"""Seconds that a connection is kept between two requests."""
MAX_CONNECTIONS = 512
MAX_CONNECTIONS_PER_ADDRESS = 64
"""Of one client's address. This machine's own programs share one, and are counted in all only."""
ACCEPTS_PER_TURN = 16


class ApiServer(uvicorn.Server):
    """Uvicorn as one task of this process: the signals are ours, and so is the listening."""

    def __init__(self, app: Any, sock: socket.socket, *, context: ssl.SSLContext | None = None) -> None:
        """Serve `app` on a socket that listens; `context` None means without TLS."""
        super().__init__(
            uvicorn.Config(
                app,
                http=_Connection,
                ws="none",
                log_config=None,
                log_level="error",
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,  # nobody stands before it, so anybody could say them
                timeout_keep_alive=IDLE_TIMEOUT,
                timeout_graceful_shutdown=STOP_TIMEOUT,
            )
        )
        self._socket = sock
        self._context = context
        self._census = Census()
        self._listener = Listener(self._accept, per_turn=ACCEPTS_PER_TURN)
        self._turned_away = Complaints(log, "warning", "connections to the API turned away")
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        """Each with the task of its arrival, the oldest first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept (uvicorn calls this)."""
        self.servers = []
        self._listener.adopt(self._socket)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and wait for what runs (uvicorn calls this)."""
        self._listener.stop(take_backlog=True)
        self._turned_away.close()
        for task in self._connections.values():
            task.cancel()
        await super().shutdown()

    # -- accepting ------------------------------------------------------------------------------------------------

    def _accept(self, sock: socket.socket, address: str) -> None:
        census = self._census
        is_crowded = census.of(address) >= MAX_CONNECTIONS_PER_ADDRESS and not ip_address(address).is_loopback
        if is_crowded or not (census.total < MAX_CONNECTIONS or self._make_room()):
            self._turned_away.tell(peer=address)
            sock.close()
            return
        bound_unsent(sock)
        census.enter(address)
        connection = _Connection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        connection.on_lost = partial(self._forget, connection, address)
        task = asyncio.get_running_loop().create_task(self._arrive(connection, sock))
        self._connections[connection] = task
        task.add_done_callback(partial(self._on_arrived, connection, sock))

    def _make_room(self) -> bool:
        """End the oldest connection whose client has not shown a good token. Returns whether there was one."""
        for connection, arrival in self._connections.items():
            if not connection.is_trusted and not connection.is_given_up:
                connection.is_given_up = True
                if connection.is_made:
                    connection.transport.abort()
                else:
                    arrival.cancel()
                return True
        return False

    def _forget(self, connection: _Connection, address: str) -> None:
        del self._connections[connection]
        self._census.leave(address)

    async def _arrive(self, connection: _Connection, sock: socket.socket) -> None:
        """Shake hands, if with TLS, and start the protocol, which from then on says when it ends."""
        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=None if self._context is None else HANDSHAKE_TIMEOUT,
            )

    def _on_arrived(self, connection: _Connection, sock: socket.socket, _: asyncio.Task[None]) -> None:
        """Forget one that has not come to be; the task may have been cancelled before its first step."""
        if not connection.is_made:
            connection.on_lost()
            sock.close()


class _Connection(H11Protocol):
    """A connection whose client has to get on with it."""

    is_made = False
    is_trusted = False
    """Whether its client has shown a good token."""
    is_given_up = False
    on_lost: Any = None

    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and wait for the first head."""
        self.is_made = True
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget_timers()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Take bytes. Bytes of a head, and of a body that nobody reads any more, buy no more time."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_response_complete(self) -> None:
        """Wait for the next head. A connection that says nothing at all is kept for longer."""
        self.is_trusted = self.is_trusted or "principal" in self.scope["state"]
        super().on_response_complete()
        is_idle = self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE
        if not is_idle and not self.transport.is_closing() and self.cycle.response_complete:
            self._wait_for_head()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(STALL_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, with a problem as everything else."""
        request_id = secrets.token_hex(8)
        problem = Malformed("This is not a request of HTTP/1.1.", code="bad_request", hint="Speak HTTP/1.1.")
        answer = problem_response(problem, request_id)
        headers = [*answer.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)

    def _forget_timers(self) -> None:
        for timer in (self._head_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._stall_timer = None

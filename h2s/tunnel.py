"""The asyncio driver of the handshake: from a dialled or accepted TLS connection to a swapped `Connection`.

`dial` is the agent's side, `Acceptor` the edge's. Both run a `Handshake` under one deadline and then give the
transport to a fresh `Connection`, whose session knows nothing of phase 1.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from .connection import Connection, Owner
from .engine import Limits, Role, create_session
from .errors import ConnectionLost, H2SError, HandshakeError, Untrusted
from .handshake import Handshake, HelloReceived
from .liveness import Liveness
from .messages import Hello, Refusal, Welcome
from .wire import ALPN, EDGE_NAME

__all__ = [
    "AGENT_LIMITS",
    "EDGE_LIMITS",
    "HANDSHAKE_TIMEOUT",
    "Acceptor",
    "Registration",
    "agent_ssl_context",
    "dial",
    "edge_ssl_context",
]

HANDSHAKE_TIMEOUT = 5.0
"""Seconds that an unregistered connection lives at the most, counted from accept or dial, TLS included."""
CLOSE_TIMEOUT = 1.0
"""Seconds that the last words of a failed handshake have to leave, and then the closing of TLS."""

TUNNEL_HEAD = 96 * 1024
"""Largest head in a tunnel: the largest that the public or an app may send, and what edge and agent add to it."""
AGENT_LIMITS = Limits(
    max_concurrent_streams=1024,
    max_header_list_size=TUNNEL_HEAD,
    connect_protocol=True,
    queue_high=64 * 1024,
    queue_low=16 * 1024,
    resets=None,
)
"""What the agent allows the edge on a tunnel; resets without limit, for each stands for a client that has left."""
EDGE_LIMITS = Limits(max_concurrent_streams=0, max_header_list_size=TUNNEL_HEAD, resets=None)
"""What the edge allows the agent: no streams of its own; resets as the apps behind it make them."""


def agent_ssl_context(ca_pem: str) -> ssl.SSLContext:
    """Return a client context that trusts this CA and nothing else, TLS 1.3 only, ALPN h2s."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=ca_pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols([ALPN])
    return context


def edge_ssl_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return a server context for the tunnel port from two PEM files, TLS 1.3 only, ALPN h2s."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols([ALPN])
    return context


class _HandshakeProtocol(asyncio.Protocol):
    """What both sides share: feed, write, one deadline, and the change of protocol at the end.

    It is over once: by `_become`, by `_fail`, or by the end of the connection. One timer runs at a time, first the
    deadline, then that of closing; the end of the connection stops it.
    """

    def __init__(self, handshake: Handshake, peer: str) -> None:
        self.peer = peer
        """Who the other end is, for texts."""
        self._handshake = handshake
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._over = False
        self._timer = self._loop.call_later(HANDSHAKE_TIMEOUT, self._on_timeout)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._over:
            self._transport.abort()
            return
        selected = self._transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if selected != ALPN:
            self._fail(Untrusted(f"{self.peer} does not speak {ALPN}: ALPN selected {selected or 'nothing'}"))
            return
        self._write()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        try:
            for event in self._handshake.receive(data):
                if isinstance(event, HelloReceived):
                    self._on_hello(event.hello)
                else:
                    self._become(event.data)
                    return
        except H2SError as error:
            self._fail(error)
            return
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(ConnectionLost(f"the connection ended in the handshake ({exc or 'closed'})"))
        self._timer.cancel()

    def _write(self) -> None:
        if not self._over and (data := self._handshake.pull()):
            assert self._transport is not None
            self._transport.write(data)

    def _become(self, data: bytes) -> None:
        """Phase 2: hand the transport to a fresh connection."""
        assert self._transport is not None
        connection = self._make_connection()
        self._over = True
        self._timer.cancel()
        self._transport.set_protocol(cast(asyncio.BaseProtocol, connection))
        connection.connection_made(self._transport)
        self._on_tunnel(connection)
        if data:
            connection.data_received(data)

    def _fail(self, error: Exception) -> None:
        """Say what is left to be said, and close."""
        if not self._over:
            if not isinstance(error, Untrusted):
                self._write()
            self._end(error)
            self._close()

    def _end(self, error: Exception) -> None:
        if not self._over:
            self._over = True
            self._timer.cancel()
            self._on_failed(error)

    def _close(self) -> None:
        assert self._transport is not None
        self._transport.close()
        self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)

    def _on_timeout(self) -> None:
        self._end(HandshakeError(f"the handshake took more than {HANDSHAKE_TIMEOUT:g} s"))
        if self._transport is not None:
            self._transport.abort()

    def _on_hello(self, hello: Hello) -> None:
        raise NotImplementedError

    def _make_connection(self) -> Connection:
        raise NotImplementedError

    def _on_tunnel(self, connection: Connection) -> None:
        raise NotImplementedError

    def _on_failed(self, error: Exception) -> None:
        raise NotImplementedError


# -- the agent's side --------------------------------------------------------------------------------------------------


class _Dialer(_HandshakeProtocol):
    def __init__(self, peer: str, handshake: Handshake, owner: Owner, liveness: Liveness) -> None:
        super().__init__(handshake, peer)
        self._owner = owner
        self._liveness = liveness
        self.result: asyncio.Future[tuple[Connection, Welcome]] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()

    def _make_connection(self) -> Connection:
        session = create_session(Role.SERVER, AGENT_LIMITS)
        return Connection(session, self._owner, liveness=self._liveness, brief=True)

    def _on_tunnel(self, connection: Connection) -> None:
        welcome = self._handshake.welcome
        assert welcome is not None
        self.result.set_result((connection, welcome))

    def _on_failed(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self._gone.done():
            self._gone.set_result(None)

    async def give_up(self) -> None:
        """Nobody waits for the result: close, at once unless that is under way, and wait until it is done."""
        if not self._over:
            self._over = True
            self._timer.cancel()
            if self._transport is not None:
                self._transport.abort()
        if self.result.done() and self.result.exception() is None:
            self.result.result()[0].abort()
        elif self._transport is not None:
            await self._gone


async def dial(
    host: str,
    port: int,
    *,
    context: ssl.SSLContext,
    hello: Hello,
    make_owner: Callable[[Callable[[], Welcome]], Owner],
    liveness: Liveness,
    timeout: float = HANDSHAKE_TIMEOUT,
) -> tuple[Connection, Welcome]:
    """Dial an edge, register and swap; return the connection on which this side is the server.

    `make_owner` is called before the connection exists, with a function that gives the Welcome once it is there:
    the first request may come in the same turn as the swap. `timeout` (seconds) covers everything from the look-up of
    the name to the swap; from the moment TCP stands, `HANDSHAKE_TIMEOUT` holds too. Raises Untrusted, Refused,
    VersionMismatch, HandshakeError, RemoteProtocolError, ConnectionLost or OSError, when the connection is gone.
    Cancelling closes it.
    """
    loop = asyncio.get_running_loop()
    peer = f"{host}:{port}"
    handshake = Handshake(Role.CLIENT, hello=hello)
    owner = make_owner(lambda: cast(Welcome, handshake.welcome))
    made: list[_Dialer] = []

    def factory() -> _Dialer:
        made.append(_Dialer(peer, handshake, owner, liveness))
        return made[-1]

    try:
        async with asyncio.timeout(timeout) as limit:
            await loop.create_connection(factory, host, port, ssl=context, server_hostname=EDGE_NAME)
            return await asyncio.shield(made[-1].result)
    except BaseException as error:
        for dialer in made:
            await dialer.give_up()
        if isinstance(error, ssl.SSLError):
            raise _tls_error(peer, error) from None
        if isinstance(error, TimeoutError) and limit.expired():
            raise HandshakeError(f"no tunnel to {peer} within {timeout:g} s") from None
        raise


def _tls_error(peer: str, error: ssl.SSLError) -> HandshakeError:
    """Tell a peer that is no edge of ours from a TLS handshake that merely broke, for which trying again may help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate is not one that the token's CA made ({error.verify_message})"
        return Untrusted(f"{peer} is not an edge of this token: {why}")
    why = NOT_AN_EDGE.get(error.reason or "", "")
    if why:
        return Untrusted(f"{peer} is not an edge of this token: {why}")
    return HandshakeError(f"TLS with {peer} failed: {error.reason or error}")


NO_TLS = "it does not speak TLS"
NO_TLS_13 = "it does not speak TLS 1.3"
NOT_AN_EDGE = {
    "WRONG_VERSION_NUMBER": NO_TLS,
    "HTTP_REQUEST": NO_TLS,
    "RECORD_LAYER_FAILURE": NO_TLS,
    "UNSUPPORTED_PROTOCOL": NO_TLS_13,
    "TLSV1_ALERT_PROTOCOL_VERSION": NO_TLS_13,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": f"it does not speak {ALPN} (ALPN)",
}
"""OpenSSL's reasons by which a peer shows that it is no edge at all."""


# -- the edge's side ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registration:
    """An agent that was let in."""

    hello: Hello
    welcome: Welcome
    peer: str
    """The agent's address, without port."""


class Acceptor(_HandshakeProtocol):
    """The edge's side of one connection to the tunnel port.

    `decide` answers a Hello with a Welcome or a Refusal, or with None if `answer` does so later; `make_owner` gives
    the owner of the swapped connection and `on_tunnel` is told when it stands. `on_over` is called once: without an
    error just before `on_tunnel`, else with the reason, when the connection is gone; until then it counts as
    unregistered.
    """

    def __init__(
        self,
        *,
        decide: Callable[[Hello, str], Welcome | Refusal | None],
        make_owner: Callable[[Registration], Owner],
        make_liveness: Callable[[], Liveness],
        on_tunnel: Callable[[Connection], None],
        on_over: Callable[[Acceptor, Exception | None], None],
    ) -> None:
        super().__init__(Handshake(Role.SERVER), "?")
        self._decide = decide
        self._make_owner = make_owner
        self._make_liveness = make_liveness
        self._tell_tunnel = on_tunnel
        self._tell_over = on_over
        self._undecided: Hello | None = None
        self._registration: Registration | None = None
        self._failure: Exception | None = None
        self._told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        if name:
            self.peer = name[0]
        super().connection_made(transport)

    def abort(self, error: Exception | None = None) -> None:
        """Give the connection up, for this reason; one that is not made yet is given up as soon as it is."""
        self._end(error or HandshakeError("given up"))
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._tell(self._failure)

    def _close(self) -> None:
        """Let the agent read why and close first: closing on unread bytes would reset the refusal away."""
        self._timer = self._loop.call_later(CLOSE_TIMEOUT, super()._close)

    def answer(self, answer: Welcome | Refusal) -> None:
        """Answer a Hello that `decide` has not answered; nothing happens if the connection is over meanwhile."""
        hello, self._undecided = self._undecided, None
        if self._over or hello is None:
            return
        try:
            self._answer(hello, answer)
        except H2SError as error:
            self._fail(error)
            return
        self._write()

    def _on_hello(self, hello: Hello) -> None:
        answer = self._decide(hello, self.peer)
        if answer is None:
            self._undecided = hello
        else:
            self._answer(hello, answer)

    def _answer(self, hello: Hello, answer: Welcome | Refusal) -> None:
        if isinstance(answer, Welcome):
            self._registration = Registration(hello, answer, self.peer)
            self._handshake.accept(answer)
            return
        self._handshake.refuse(answer)
        self._fail(HandshakeError(f"refused: {answer.code}", permanent=answer.permanent))

    def _make_connection(self) -> Connection:
        assert self._registration is not None
        session = create_session(Role.CLIENT, EDGE_LIMITS)
        owner = self._make_owner(self._registration)
        return Connection(session, owner, liveness=self._make_liveness(), brief=True)

    def _on_tunnel(self, connection: Connection) -> None:
        self._tell(None)
        self._tell_tunnel(connection)

    def _on_failed(self, error: Exception) -> None:
        self._failure = error
        if self._transport is None:
            self._tell(error)

    def _tell(self, error: Exception | None) -> None:
        if not self._told:
            self._told = True
            self._tell_over(self, error)

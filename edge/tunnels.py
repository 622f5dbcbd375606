"""The tunnel port: agents come in, register, swap roles and stay.

`TunnelListener` decides who may register; `edge.arrivals` runs the handshakes. Each that succeeds becomes an
`EdgeTunnel`, which owns the swapped connection: with its `AgentControl` it opens the Sync call, feeds reports to the
registry, and answers an agent that is draining.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import structlog

from h2s.connection import Connection, Stream
from h2s.control import MAX_MESSAGE, Code, ControlError
from h2s.engine.session import Fields, Goaway
from h2s.errors import ErrorCode, H2SError, NoFreeStream, RemoteProtocolError
from h2s.liveness import EDGE_JITTER, Liveness, LivenessTimes
from h2s.messages import (
    Drain,
    Hello,
    Inspection,
    Refusal,
    Report,
    TunnelLimits,
    Welcome,
)
from h2s.tunnel import Acceptor, Registration

from .admission import Uncounted, admit, uncounted
from .arrivals import Arrivals, OnOver
from .complaints import Complaints
from .control import POLL_INTERVAL, AgentControl
from .lobby import LobbyLimits
from .newcomers import Newcomers
from .registry import Agent, Change, Conflict, Offer, Registry, Superseded
from .slack import Slack
from .snapshot import Snapshot

__all__ = ["EdgeTunnel", "TunnelListener"]

log: Any = structlog.get_logger("edge.tunnels")

RETIREMENT = 30.0
"""Seconds that requests on a superseded tunnel may still take."""
REVOKED = "its join token was revoked"
CLOSE_TIMEOUT = 1.0
"""Seconds that tunnels may take to close at the end."""
CONTROL_STREAMS = 2
"""Streams of a tunnel that are kept free of requests, so that an agent can be asked even when it has all it takes."""


class EdgeTunnel:
    """One swapped connection to an agent; an `h2s.connection.Owner` and an `edge.registry.Tunnel`."""

    def __init__(self, listener: TunnelListener, registration: Registration, offers: list[Offer]) -> None:
        self.tunnel_id = registration.welcome.tunnel_id
        self.registration = registration
        self.peer = registration.peer
        self.opened = time.time()
        self.in_flight = 0
        self.connection: Connection
        self.agent: Agent | None = None
        self._listener = listener
        self.offers = offers
        """The services its token lets it serve."""
        self._control: AgentControl
        self._draining = False
        self._ready = False
        self._retirement: asyncio.TimerHandle | None = None
        self._reason = ""
        """Why it is retired."""

    @property
    def free_streams(self) -> int:
        """How many more requests may be opened now; 0 until the agent's SETTINGS, and when it drains."""
        if self._draining or not self._ready:
            return 0
        return max(0, self.connection.free_streams - CONTROL_STREAMS)

    def release(self) -> None:
        """A request on this tunnel is over."""
        self.in_flight -= 1
        if not self.in_flight:
            self._listener.on_idle()
            if self._retirement is not None:
                self._retire()

    def send_drain(self, drain: Drain) -> None:
        """Tell the agent that this edge is stopping."""
        self._control.send_drain(drain)

    def inspect(self, on_done: Callable[[Inspection | ControlError], None], *, timeout: float) -> None:
        """Ask the agent how it is, within `timeout` seconds; `on_done` is called once."""
        try:
            self._control.inspect(on_done, timeout=timeout)
        except NoFreeStream as error:
            on_done(ControlError(Code.UNAVAILABLE, str(error)))

    def supersede(self) -> None:
        """A newer process of the agent has taken over: finish what runs, then close."""
        self.retire("superseded by a newer process of this agent id", RETIREMENT)

    def retire(self, reason: str, grace: float) -> None:
        """Take nothing new, and close when nothing runs any more, or after `grace` seconds."""
        self._reason = reason
        self._drain()
        if self._retirement is not None:
            self._retirement.cancel()
        if self.in_flight and grace > 0:
            self._retirement = asyncio.get_running_loop().call_later(grace, self._retire)
        else:
            self._retire()

    def _retire(self) -> None:
        self.close(reason=self._reason)

    def close(self, code: int = ErrorCode.NO_ERROR, reason: str = "") -> None:
        """Close the tunnel with GOAWAY."""
        self.connection.close(code, reason.encode())

    def start(self, connection: Connection) -> None:
        """The swap is done; the agent is counted as soon as its SETTINGS are here."""
        self.connection = connection
        self._control = AgentControl(
            connection,
            nonce=self.registration.welcome.control_nonce,
            poll_interval=self._listener.poll_interval,
            is_first=self._is_first,
            on_report=self._on_report,
            on_draining=self._drain,
            on_oddity=self._on_oddity,
        )

    # -- h2s.connection.Owner ----------------------------------------------------------------------------------------

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        """Agents open no streams: the edge is the client."""
        connection.fail(RemoteProtocolError("an agent may not open streams"))
        return None

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        """The agent's first SETTINGS allow streams: open Sync before anything else."""
        if self._ready:
            return
        self._ready = True
        try:
            self._control.open()
            self._listener.on_ready(self)
        except NoFreeStream:
            connection.fail(RemoteProtocolError("the agent's SETTINGS allow no stream"))
        except (Superseded, Conflict) as error:
            connection.fail(RemoteProtocolError(str(error), ErrorCode.NO_ERROR))

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        """The agent takes no more streams."""
        self._drain()

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        """The tunnel is gone."""
        self._control.close()
        if self._retirement is not None:
            self._retirement.cancel()
        self._listener.on_tunnel_closed(self, error)

    # -- what the agent says -----------------------------------------------------------------------------------------

    def _is_first(self) -> bool:
        """Whether this is the tunnel on which the agent is polled."""
        return self.agent is not None and self.agent.tunnels[:1] == [self]

    def _on_report(self, report: Report) -> int:
        """Act on how the agent is; return how much of that is new."""
        if self.agent is None:
            return 0
        strange = [item.service for item in report.instances if item.service not in self.agent.instances]
        if strange:
            self._control.complain(f"it reports a service that it does not serve: {strange[0]}")
        return self._listener.on_report(self.agent, report)

    def _on_oddity(self, what: str) -> None:
        self._listener.on_oddity(self, what)

    def _drain(self) -> None:
        self._draining = True
        if self.agent is not None:
            self._listener.registry.drain_tunnel(self.agent, self)
            self._listener.on_change(())


class TunnelListener:
    """Accepts agents. `on_change` is called with what changed in the registry (perhaps only a number of tunnels)."""

    def __init__(
        self,
        *,
        registry: Registry,
        snapshot: Callable[[], Snapshot],
        context: ssl.SSLContext,
        liveness: LivenessTimes,
        on_change: Callable[[tuple[Change, ...]], None],
        on_newcomer: Callable[[str, str], None] = lambda token_id, agent_id: None,
        limits: LobbyLimits | None = None,
        poll_interval: float = POLL_INTERVAL,
    ) -> None:
        """`on_newcomer` is called with a token and an agent that is to be counted: see `Newcomers.counted`."""
        self.registry = registry
        self.on_change = on_change
        self.draining = False
        self.tunnels: set[EdgeTunnel] = set()
        self.opened = 0
        self.refused = 0
        self.poll_interval = poll_interval
        self._snapshot = snapshot
        self._times = liveness
        self._arrivals = Arrivals(
            make_acceptor=self._make_acceptor, context=context, limits=limits or LobbyLimits()
        )
        self.newcomers = Newcomers(on_newcomer)
        self._refusals = Complaints(log, "warning", "agent refused")
        self._oddities = Complaints(log, "warning", "agent misbehaves")
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.Event = asyncio.Event()
        self._slack = Slack()

    @property
    def context(self) -> ssl.SSLContext:
        """With what TLS handshakes begin from now on."""
        return self._arrivals.context

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        self._arrivals.context = context

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return the bound address. Raises OSError."""
        return await self._arrivals.start(host, port)

    async def drain(self, timeout: float) -> None:
        """Tell agents that this edge stops; they have tunnels elsewhere first. Existing tunnels go on."""
        self.draining = True
        for tunnel in self.tunnels:
            tunnel.send_drain(Drain(reason="the edge is stopping", deadline=timeout))

    def disconnect(self, agents: Collection[str], grace: float) -> None:
        """Close the tunnels of these agents when nothing runs on them any more, or after `grace` seconds."""
        for tunnel in list(self.tunnels):
            if tunnel.registration.hello.agent_id in agents:
                tunnel.retire("disconnected by an operator", grace)

    def close_tokens(self, token_ids: Collection[str]) -> None:
        """Close the tunnels of agents that came with these join tokens, now."""
        for tunnel in list(self.tunnels):
            if tunnel.offers[0].token_id in token_ids:
                tunnel.retire(REVOKED, 0.0)

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until no tunnel has a request, then close all. Cancelling aborts them."""
        self._arrivals.stop()
        try:
            if not await self._within(timeout, lambda: not any(tunnel.in_flight for tunnel in self.tunnels)):
                running = sum(tunnel.in_flight for tunnel in self.tunnels)
                log.warning("requests were cut", requests=running)
            for tunnel in list(self.tunnels):
                tunnel.retire("the edge is stopping", 0.0)
            await self._within(CLOSE_TIMEOUT, lambda: not self.tunnels)
        finally:
            self.abort()

    def abort(self) -> None:
        """Stop listening and cut everything."""
        self._arrivals.abort()
        self.newcomers.close()
        self._refusals.close()
        self._oddities.close()
        for tunnel in list(self.tunnels):
            tunnel.connection.abort()

    async def _within(self, timeout: float, condition: Callable[[], bool]) -> bool:
        """Wait until `condition` holds, looked at whenever something has changed; say whether it does."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            return condition()
        return True

    # -- one connection ----------------------------------------------------------------------------------------------

    @property
    def unregistered(self) -> int:
        """How many connections are in their handshake."""
        return len(self._arrivals)

    def _make_acceptor(self, on_over: OnOver) -> Acceptor:
        offers: list[Offer] = []

        def decide(hello: Hello, peer: str) -> Welcome | Refusal | None:
            answer = self._admit(hello)
            if isinstance(answer, Uncounted):
                self.newcomers.wait(answer.token_id, hello.agent_id, partial(decide_later, hello, peer))
                return None
            return conclude(hello, peer, answer)

        def decide_later(hello: Hello, peer: str, refused: str) -> None:
            answer = uncounted(refused) if refused else self._admit(hello)
            if isinstance(answer, Uncounted):  # its config is still on the way
                answer = uncounted("unknown")
            acceptor.answer(conclude(hello, peer, answer))

        def conclude(hello: Hello, peer: str, answer: list[Offer] | Refusal) -> Welcome | Refusal:
            if isinstance(answer, Refusal):
                self.refused += 1
                self._refusals.tell(agent=hello.agent_id, peer=peer, code=answer.code)
                return answer
            offers.extend(answer)
            return self._welcome()

        acceptor = Acceptor(
            decide=decide,
            make_owner=lambda registration: EdgeTunnel(self, registration, offers),
            make_liveness=self._make_liveness,
            on_tunnel=self._on_tunnel,
            on_over=on_over,
        )
        return acceptor

    def _admit(self, hello: Hello) -> list[Offer] | Uncounted | Refusal:
        return admit(
            hello, snapshot=self._snapshot(), registry=self.registry, now=time.time(), draining=self.draining
        )

    def _welcome(self) -> Welcome:
        snapshot = self._snapshot()
        return Welcome(
            edge_id=snapshot.edge_id,
            tunnel_id=f"t-{secrets.token_hex(8)}",
            control_nonce=secrets.token_hex(16),
            config_version=snapshot.version,
            edges=list(snapshot.edges),
            limits=TunnelLimits(max_message=MAX_MESSAGE),
        )

    def _make_liveness(self) -> Liveness:
        return Liveness(self._times, now=self._loop.time(), jitter=random.uniform(*EDGE_JITTER))  # noqa: S311

    def _on_tunnel(self, connection: Connection) -> None:
        tunnel = connection.owner
        assert isinstance(tunnel, EdgeTunnel)
        self.tunnels.add(tunnel)
        self.opened += 1
        tunnel.start(connection)

    # -- what tunnels tell -------------------------------------------------------------------------------------------

    def on_ready(self, tunnel: EdgeTunnel) -> None:
        """A tunnel can take streams: count it. Raises Superseded or Conflict."""
        registration = tunnel.registration
        hello = registration.hello
        agent = Agent(
            agent_id=hello.agent_id,
            generation=hello.generation,
            version=hello.version,
            zone=hello.zone,
            peer=registration.peer,
            token_id=tunnel.offers[0].token_id,
            connected=tunnel.opened,
        )
        if agent.token_id in self._snapshot().closed_tokens:
            raise Conflict(REVOKED)
        tunnel.agent, outdated = self.registry.add_tunnel(agent, tunnel.offers, tunnel)
        log.info(
            "tunnel up",
            agent=hello.agent_id,
            peer=registration.peer,
            tunnel=tunnel.tunnel_id,
            services=[offer.service for offer in tunnel.offers],
            zone=hello.zone,
        )
        for other in outdated:
            assert isinstance(other, EdgeTunnel)
            other.supersede()
        self.on_change(())

    def on_report(self, agent: Agent, report: Report) -> int:
        """An agent said how it is; return how much of that is new."""
        changes = self.registry.report(agent, report, time.time())
        if changes:
            self.on_change(tuple(changes))
        return len(changes)

    def on_oddity(self, tunnel: EdgeTunnel, what: str) -> None:
        """An agent said something that makes no sense; it was ignored."""
        self._oddities.tell(agent=tunnel.registration.hello.agent_id, tunnel=tunnel.tunnel_id, what=what)

    def inspect(
        self, agent_id: str, on_done: Callable[[Inspection | ControlError], None], *, timeout: float
    ) -> None:
        """Ask an agent how it is, within `timeout` seconds; `on_done` is called once."""
        agent = self.registry.agents.get(agent_id)
        tunnels = [*agent.tunnels, *agent.draining] if agent is not None else []
        if not tunnels:
            on_done(ControlError(Code.NOT_FOUND, "no such agent is connected to this edge"))
            return
        assert isinstance(tunnels[0], EdgeTunnel)
        tunnels[0].inspect(on_done, timeout=timeout)

    def on_tunnel_closed(self, tunnel: EdgeTunnel, error: Exception | None) -> None:
        """Take a tunnel out of the count."""
        self.tunnels.discard(tunnel)
        self._slack.lost()
        changes: list[Change] = []
        if tunnel.agent is not None:
            changes = self.registry.remove_tunnel(tunnel.agent, tunnel)
        level = log.warning if isinstance(error, H2SError) and not self.draining else log.info
        level(
            "tunnel down",
            agent=tunnel.registration.hello.agent_id,
            tunnel=tunnel.tunnel_id,
            reason=str(error) if error else "closed",
        )
        self.on_idle()
        self.on_change(tuple(changes))

    def on_idle(self) -> None:
        """Something that `close` may be waiting for has changed."""
        self._idle.set()

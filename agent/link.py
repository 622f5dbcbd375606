"""One tunnel to one edge, kept up: dial, register, serve, and after a loss dial again."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from typing import Any

import structlog

from backplane.cli.address import Address
from h2s.errors import H2SError, HandshakeError, Untrusted
from h2s.liveness import AGENT_JITTER, Liveness, LivenessTimes
from h2s.messages import Hello, Welcome
from h2s.tunnel import dial

from .backoff import Backoff, ReconnectTimes
from .tunnel import AgentTunnel

__all__ = ["Link"]

log: Any = structlog.get_logger("agent.link")


class Link:
    """Keeps one tunnel."""

    def __init__(
        self,
        edge: Address,
        *,
        context: ssl.SSLContext,
        hello: Hello,
        make_tunnel: Callable[[Callable[[], Welcome]], AgentTunnel],
        on_change: Callable[[], None],
        connect_timeout: float,
        liveness: LivenessTimes,
        reconnect: ReconnectTimes,
    ) -> None:
        self.edge = edge
        self.tunnel: AgentTunnel | None = None
        """The tunnel while it stands."""
        self._context = context
        self._hello = hello
        self._make_tunnel = make_tunnel
        self._on_change = on_change
        self._connect_timeout = connect_timeout
        self._times = liveness
        self._stable = reconnect.stable
        self._backoff = Backoff(reconnect, random=random.random)
        self._wake = asyncio.Event()
        self._registered_before = False
        self._stopping = False

    def stop(self) -> None:
        """Dial no more once the tunnel that stands is gone: `run` returns then, or now if there is none."""
        self._stopping = True
        self._wake.set()

    def hurry(self) -> None:
        """Dial now instead of after the wait: another edge is going away."""
        self._wake.set()

    async def run(self) -> None:
        """Keep the tunnel until `stop`. Raises HandshakeError when it is of no use to go on."""
        while not self._stopping:
            at_least = 0.0
            try:
                reason = await self._serve_once()
            except HandshakeError as error:
                if error.permanent and not (isinstance(error, Untrusted) and self._registered_before):
                    if str(self.edge) not in str(error):
                        error.args = (f"edge {self.edge}: {error}",)
                    raise
                reason, at_least = error, error.retry_after or 0.0
            except (H2SError, OSError) as error:
                reason = error
            if self._stopping:
                return
            wait = self._backoff.next(at_least=at_least)
            log.warning("no tunnel", edge=str(self.edge), reason=_text(reason), retry_in=round(wait, 2))
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _serve_once(self) -> Exception:
        """Have a tunnel from dialling to its end; return why it ended."""
        loop = asyncio.get_running_loop()
        liveness = Liveness(self._times, now=loop.time(), jitter=random.uniform(*AGENT_JITTER))  # noqa: S311
        tunnels: list[AgentTunnel] = []

        def make_owner(welcome: Callable[[], Welcome]) -> AgentTunnel:
            tunnels.append(self._make_tunnel(welcome))
            return tunnels[-1]

        connection, welcome = await dial(
            self.edge.host,
            self.edge.port,
            context=self._context,
            hello=self._hello,
            make_owner=make_owner,
            liveness=liveness,
            timeout=self._connect_timeout,
        )
        tunnel = tunnels[-1]
        tunnel.start(connection)
        self.tunnel = tunnel
        self._registered_before = True
        up_at = loop.time()
        log.info("tunnel up", edge=str(self.edge), edge_id=welcome.edge_id, tunnel=welcome.tunnel_id)
        self._on_change()
        try:
            return await asyncio.shield(tunnel.closed)
        finally:
            self.tunnel = None
            if loop.time() - up_at >= self._stable:
                self._backoff.reset()
            self._on_change()
            if not tunnel.closed.done():
                connection.abort()


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__

"""The agent as a whole: its services, the links to its edges, and how it stops."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import structlog

from h2s.budget import Budget
from h2s.errors import HandshakeError
from h2s.liveness import LivenessTimes
from h2s.messages import (
    Credentials,
    Drain,
    Failure,
    HealthCheck,
    Hello,
    Inspection,
    InstanceReport,
    Load,
    Report,
    ServiceOffer,
    Welcome,
)
from h2s.token import JoinToken
from h2s.tunnel import agent_ssl_context

from .backoff import ReconnectTimes
from .config import AgentSettings
from .health import HealthWatch
from .inspection import inspect
from .link import Link
from .load import LoadMeter
from .tunnel import AgentTunnel
from .upstream import Service, UpstreamTimes

__all__ = ["Agent"]

log: Any = structlog.get_logger("agent")

LOAD_LOOK = 5.0
"""Seconds between two looks at the load, of which each that shows a noticeable change is reported."""
LOAD_INTERVAL = 120.0
"""Seconds after which it is reported anyway."""


class Agent:
    """Serves local apps at edges until told to stop."""

    def __init__(
        self,
        settings: AgentSettings,
        token: JoinToken,
        *,
        tls: ssl.SSLContext | None = None,
        failures: Callable[[], Sequence[Failure]] = tuple,
    ) -> None:
        """`tls` is what https upstreams are checked with, which alone need it; `failures` gives the log's warnings."""
        self._settings = settings
        self._began_at = time.monotonic()
        self._failures = failures
        times = UpstreamTimes(
            connect=settings.upstream_connect_timeout, head=settings.upstream_response_timeout
        )
        budget = Budget()
        self._services = {
            name.encode(): Service(name, upstreams, times, budget, tls)
            for name, upstreams in settings.services.items()
        }
        self._health = HealthWatch(self._services.values(), self._on_health, settings.checks)
        self._hello = hello = Hello(
            agent_id=settings.agent_id,
            generation=time.time_ns(),
            version=version("backplane-server"),
            services=[
                ServiceOffer(name=name, labels=dict(settings.labels), capacity=settings.capacity)
                for name in settings.services
            ],
            zone=settings.zone,
            credentials=Credentials(join_secret=token.secret.hex()),
        )
        context = agent_ssl_context(token.ca_pem)
        reconnect = ReconnectTimes(
            delay=settings.reconnect_delay,
            max_delay=settings.reconnect_max_delay,
            stable=settings.reconnect_stable,
        )
        self.links = [
            Link(
                edge,
                context=context,
                hello=hello,
                make_tunnel=self._tunnel_factory(edge_index),
                on_change=self._on_tunnels,
                connect_timeout=settings.connect_timeout,
                liveness=LivenessTimes(idle=settings.ping_interval, timeout=settings.ping_timeout),
                reconnect=reconnect,
            )
            for edge_index, edge in enumerate(settings.edges)
            for _ in range(settings.tunnels)
        ]
        self._stopping = False
        self._meter = LoadMeter()
        self._load: Load | None = None

    @property
    def tunnels(self) -> list[AgentTunnel]:
        """Those that stand."""
        return [link.tunnel for link in self.links if link.tunnel is not None]

    @property
    def ready(self) -> bool:
        """Whether public requests can reach an app: a tunnel stands and some upstream is healthy."""
        healthy = any(pool.healthy for service in self._services.values() for pool in service.pools)
        return healthy and bool(self.tunnels) and not self._stopping

    async def run(self, stop: asyncio.Event) -> HandshakeError | None:
        """Serve until `stop` is set, then drain. Returns the error when every edge has refused for good."""
        observers = [asyncio.create_task(self._health.run()), asyncio.create_task(self._watch_load())]
        await self._health.first()
        links = [asyncio.create_task(link.run()) for link in self.links]
        stopped = asyncio.create_task(stop.wait())
        try:
            error = await self._watch(links, stopped, observers)
            if error is None:
                await self._drain(links)
            return error
        finally:
            for task in (*observers, stopped, *links):
                task.cancel()
            await asyncio.gather(*observers, stopped, *links, return_exceptions=True)
            await asyncio.gather(*(service.close() for service in self._services.values()))

    async def _watch(
        self,
        links: list[asyncio.Task[None]],
        stopped: asyncio.Task[bool],
        observers: list[asyncio.Task[None]],
    ) -> HandshakeError | None:
        """Wait for the stop, or until no link is left; a link ends only by an error that is for good.

        Observers do not end at all; should one, its error is the agent's.
        """
        error: HandshakeError | None = None
        edges = {task: link.edge for task, link in zip(links, self.links, strict=True)}
        running = set(links)
        while running:
            done, _ = await asyncio.wait((*running, stopped, *observers), return_when=asyncio.FIRST_COMPLETED)
            if stopped in done:
                return None
            for observer in observers:
                if observer in done:
                    observer.result()
            for link in [task for task in running if task in done]:
                running.discard(link)
                failure = link.exception()
                if not isinstance(failure, HandshakeError):
                    assert failure is not None
                    raise failure
                error = error or failure
                edge = edges[link]
                if running and edge not in {edges[other] for other in running}:
                    log.error("an edge is given up", edge=str(edge), reason=str(failure))
        return error

    async def _drain(self, links: list[asyncio.Task[None]]) -> None:
        """Let what runs finish, for at most the drain timeout."""
        self._stopping = True
        tunnels = self.tunnels
        for link, task in zip(self.links, links, strict=True):
            link.stop()
            if link.tunnel is None:
                task.cancel()
        log.info("draining", tunnels=len(tunnels), in_flight=sum(tunnel.in_flight for tunnel in tunnels))
        drains = [asyncio.create_task(tunnel.drain("the agent is stopping")) for tunnel in tunnels]
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                await asyncio.gather(*drains)
                await asyncio.gather(*(asyncio.shield(tunnel.closed) for tunnel in tunnels))
        except TimeoutError:
            left = sum(tunnel.in_flight for tunnel in tunnels)
            log.warning("stopped with requests still running", in_flight=left)

    def _tunnel_factory(self, edge_index: int) -> Callable[[Callable[[], Welcome]], AgentTunnel]:
        edge = self._settings.edges[edge_index]

        def on_drain(drain: Drain) -> None:
            log.info("an edge is stopping", edge=str(edge), reason=drain.reason)
            for link in self.links:
                if link.edge != edge:
                    link.hurry()

        return lambda welcome: AgentTunnel(
            welcome,
            services=self._services,
            report=self.report,
            inspect=self.inspect,
            on_drain=on_drain,
        )

    def report(self) -> Report:
        """Say how every instance is."""
        return Report(
            instances=[
                InstanceReport(
                    service=service.name,
                    healthy=sum(pool.healthy for pool in service.pools),
                    total=len(service.pools),
                    in_flight=service.in_flight,
                    capacity=self._settings.capacity,
                )
                for service in self._services.values()
            ],
            load=self._load,
        )

    async def _watch_load(self) -> None:
        while True:
            # Not in step with others, of which an edge has thousands.
            await asyncio.sleep(LOAD_LOOK * random.uniform(0.9, 1.1))  # noqa: S311
            self._load = self._meter.look()
            report = self.report()
            for tunnel in self._one_tunnel_an_edge():
                tunnel.refresh_report(report, LOAD_INTERVAL)

    def _one_tunnel_an_edge(self) -> list[AgentTunnel]:
        return list({link.edge: link.tunnel for link in self.links if link.tunnel is not None}.values())

    def apply_checks(self, checks: Mapping[str, HealthCheck]) -> None:
        """Check upstreams as an edge says from now on, by service; what the agent's own settings say goes before."""
        self._health.configure({**checks, **self._settings.checks})

    def inspect(self) -> Inspection:
        """Say what an operator wants to see of the agent."""
        return inspect(
            self._hello,
            began_at=self._began_at,
            services=list(self._services.values()),
            links=self.links,
            failures=self._failures(),
        )

    def _on_health(self) -> None:
        for tunnel in self.tunnels:
            tunnel.send_report()

    def _on_tunnels(self) -> None:
        log.debug("tunnels changed", tunnels=len(self.tunnels))

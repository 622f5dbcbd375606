"""The data plane: both listeners, the registry and the gateway, driven through the port and nothing else.

Life: made with its settings, started with a first snapshot, it then serves from whatever snapshot came last. On
DrainPlane it stops in this order, so that no request whose first byte it has accepted fails: agents are told and get
tunnels elsewhere; public listeners close and every next response says `Connection: close`; when the last public
connection is gone the tunnels close. Then it says PlaneStopped.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from h2s.budget import Budget
from h2s.liveness import LivenessTimes
from h2s.tunnel import edge_ssl_context

from .accesslog import AccessLog
from .explain import explain
from .gateway import EdgeGateway
from .heap import FEW, Heap
from .ingress import Ingress, IngressLimits
from .intake import ConfigRefused, Intake, VersionGap
from .lobby import LobbyLimits
from .pools import Pools
from .port import (
    ChangeConfig,
    ConfigState,
    Configure,
    Counters,
    DrainPlane,
    Explain,
    Explained,
    InstanceState,
    PlaneReady,
    PlaneStopped,
    Port,
    PortMessage,
    RegistryState,
    RenewCertificate,
    RequestCount,
)
from .registry import Change, Registry
from .routing import Router
from .snapshot import Snapshot, SnapshotChange
from .tunnels import TunnelListener

__all__ = ["CannotListen", "DataPlane", "PlaneSettings"]

log: Any = structlog.get_logger("edge")

REPORT_INTERVAL = 1.0
"""Seconds between two reports of counters."""
CHANGE_DELAY = 0.02
"""Seconds in which registry changes are gathered into one report."""
CHANGE_DELAY_PER_AGENT = 50e-6
"""Seconds more for each agent, so that reports take a bounded share of the time however many there are."""

Address = tuple[str, int]


class CannotListen(Exception):
    """An address cannot be bound. `listener` is its setting's name, `address` is HOST:PORT."""

    def __init__(self, listener: str, address: str, error: OSError) -> None:
        # Of an error of the system, asyncio and uvloop give texts of their own; one of the resolver has only its text.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        super().__init__(f"cannot listen on --{listener} {address}: {reason}")
        self.listener = listener
        self.address = address


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSettings:
    """What a data plane is made with; what can change later is in the snapshot."""

    public: Address
    tunnel: Address
    tunnel_context: ssl.SSLContext
    public_context: ssl.SSLContext | None = None
    access_log_fd: int | None = None
    access_log_human: bool = False
    ingress_limits: IngressLimits = field(default_factory=IngressLimits)
    lobby_limits: LobbyLimits = field(default_factory=LobbyLimits)
    liveness: LivenessTimes = field(default_factory=LivenessTimes)


class DataPlane:
    """Serves traffic. `run` returns when it has drained."""

    def __init__(self, settings: PlaneSettings, port: Port, snapshot: Snapshot) -> None:
        self._settings = settings
        self._port = port
        self._snapshot = snapshot
        self._registry = Registry(zone=snapshot.zone)
        self._intake = Intake(Pools(self._registry))
        self._heap = Heap()
        self._budget = Budget()
        self._access_log = (
            AccessLog(settings.access_log_fd, human=settings.access_log_human)
            if settings.access_log_fd is not None
            else None
        )
        self._gateway = EdgeGateway(
            Router(snapshot, self._registry), budget=self._budget, access_log=self._access_log
        )
        self._ingress = Ingress(self._gateway, settings.ingress_limits, settings.public_context)
        self._tunnels = TunnelListener(
            registry=self._registry,
            snapshot=lambda: self._snapshot,
            context=settings.tunnel_context,
            liveness=settings.liveness,
            on_change=self._on_change,
            limits=settings.lobby_limits,
        )
        self._loop = asyncio.get_running_loop()
        self._change_timer: asyncio.TimerHandle | None = None
        self._counter_timer: asyncio.TimerHandle | None = None
        self._drain: asyncio.Future[float] = self._loop.create_future()
        self._configured = asyncio.Event()
        port.receive = self._on_command
        self._take(snapshot)

    async def run(self) -> None:
        """Listen, serve until told to drain, drain, and return. Raises CannotListen. Cancelling cuts everything.

        A first snapshot that comes in parts is waited for.
        """
        try:
            await self._configured.wait()
            tunnel = await _listen("tunnel", self._tunnels.start, self._settings.tunnel)
            public = await _listen("public", self._ingress.start, self._settings.public)
            self._port.send(PlaneReady(public=_join(public), tunnel=_join(tunnel)))
            self._count()
            await self._stop(await self._drain)
            self._send_registry()
            self._send_counters()
            self._port.send(PlaneStopped())
        finally:
            self._tunnels.abort()
            await self._ingress.close()
            for timer in (self._change_timer, self._counter_timer):
                if timer is not None:
                    timer.cancel()
            if self._access_log is not None:
                self._access_log.close()

    async def _stop(self, timeout: float) -> None:
        deadline = self._loop.time() + timeout
        self._gateway.draining = True
        await self._tunnels.drain(timeout)
        await self._ingress.drain(timeout)
        await self._tunnels.close(max(0.0, deadline - self._loop.time()))

    def _on_command(self, message: PortMessage) -> None:
        if isinstance(message, Configure):
            self._take(message.snapshot)
        elif isinstance(message, ChangeConfig):
            self._take(message.change)
        elif isinstance(message, Explain):
            explanation = explain(self._gateway.router, message.question)
            self._port.send(Explained(id=message.id, explanation=explanation))
        elif isinstance(message, RenewCertificate):
            self._renew_certificate(message)
        elif isinstance(message, DrainPlane) and not self._drain.done():
            self._drain.set_result(message.timeout)
            self._configured.set()

    def _renew_certificate(self, message: RenewCertificate) -> None:
        try:
            self._tunnels.context = edge_ssl_context(message.certificate, message.key)
        except OSError as error:
            log.error(
                "the new certificate cannot be used", certificate=message.certificate, reason=str(error)
            )

    def _take(self, part: Snapshot | SnapshotChange) -> None:
        """Serve from a new config, if this is all of one. Whatever is wrong with it, the one in force stays."""
        refused, wants_snapshot = "", False
        before = self._intake.config
        try:
            config = self._intake.take(part)
        except VersionGap as gap:
            log.warning("config asked for anew", reason=str(gap))
            config, wants_snapshot = self._intake.config, True
        except ConfigRefused as refusal:
            log.error("config refused", version=refusal.version.n, reason=str(refusal))
            config, refused = self._intake.config, str(refusal)
        else:
            total = config.table.routes.size if config is not None else 0
            self._heap.grew(len(part.routes), total=total, more=config is None)
            if config is None:
                return
            self._snapshot = config.snapshot
            self._gateway.router = Router(config.snapshot, self._registry, config.table)
            self._configured.set()
            if (
                before is not None
                and before.table.routes.size > FEW
                and not before.table.shares_with(config.table)
            ):
                self._heap.let_go(before.table.pieces)
        version = config.snapshot.version if config is not None else None
        self._port.send(ConfigState(version=version, refused=refused, wants_snapshot=wants_snapshot))

    # -- reports to the control process ------------------------------------------------------------------------------

    def _on_change(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            log.info(
                change.kind.replace("_", " "),
                service=change.service,
                agent=change.agent_id,
                healthy=change.healthy,
                total=change.total,
            )
        if self._change_timer is None:
            delay = CHANGE_DELAY + CHANGE_DELAY_PER_AGENT * len(self._registry.agents)
            self._change_timer = self._loop.call_later(delay, self._report_change)

    def _report_change(self) -> None:
        self._change_timer = None
        self._send_registry()

    def _send_registry(self) -> None:
        instances = tuple(
            InstanceState(
                service=instance.service,
                agent_id=agent.agent_id,
                zone=agent.zone,
                labels=instance.labels,
                healthy=instance.healthy,
                total=instance.total,
                in_flight=instance.in_flight,
                tunnels=len(agent.tunnels),
                publish=instance.publish,
            )
            for agent in self._registry.agents.values()
            for instance in agent.instances.values()
        )
        self._port.send(RegistryState(instances=instances, tunnels=len(self._tunnels.tunnels)))

    def _count(self) -> None:
        self._send_counters()
        self._counter_timer = self._loop.call_later(REPORT_INTERVAL, self._count)

    def _send_counters(self) -> None:
        counters = self._gateway.counters
        requests = tuple(
            RequestCount(service=service, status_class=f"{hundreds}xx", count=count)
            for (service, hundreds), count in counters.requests.items()
        )
        self._port.send(
            Counters(
                requests=requests,
                duration_buckets=tuple(counters.duration_buckets),
                duration_sum=counters.duration_sum,
                bytes_in=counters.bytes_in,
                bytes_out=counters.bytes_out,
                retries=counters.retries,
                in_flight=self._gateway.in_flight,
                public_connections=self._ingress.connections,
                tunnels_opened=self._tunnels.opened,
                registrations_refused=self._tunnels.refused,
            )
        )


async def _listen(
    listener: str, start: Callable[[str, int], Awaitable[Address]], address: Address
) -> Address:
    """Start a listener and return the address it got; an error names what could not be bound."""
    try:
        return await start(*address)
    except OSError as error:
        raise CannotListen(listener, _join(address), error) from error


def _join(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""The data plane: both listeners, the registry and the gateway, driven through the port and nothing else.

Life: made with its settings, started with a first snapshot, it then serves from whatever snapshot came last, whether
or not there is a control process. When it is to drain it stops in this order, so that no request whose first byte it
has accepted fails: agents are told and get tunnels elsewhere; public listeners close and every next response says
`Connection: close`; when the last public connection is gone the tunnels close. Then it says PlaneStopped.

What the control process is told of are states, not events, so that one that comes late, or is slow, knows as much as
any other: all of the registry once, then the agents that something has changed about.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from h2s.budget import Budget
from h2s.liveness import LivenessTimes
from h2s.tunnel import edge_ssl_context

from .accesslog import AccessLog
from .address import Address, CannotListen, join
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
    PortMessage,
    RegistryChange,
    RegistryState,
    RenewCertificate,
    RequestCount,
    Start,
)
from .registry import Agent, Change, Registry
from .routing import Router
from .seam import Port
from .snapshot import Snapshot, SnapshotChange
from .tunnels import TunnelListener

__all__ = ["DataPlane", "PlaneSettings"]

log: Any = structlog.get_logger("edge")

REPORT_INTERVAL = 1.0
"""Seconds between two reports of counters."""
FLUSH_TIMEOUT = 1.0
"""Seconds that the control process has to take the last reports."""


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
        self._counter_timer: asyncio.TimerHandle | None = None
        self._drain: asyncio.Future[float] = self._loop.create_future()
        self._configured = asyncio.Event()
        self._ready: PlaneReady | None = None
        self._all_is_due = True
        """Whether the control process has to be told of the whole registry, and of every series of counters."""
        self._told: dict[tuple[str, int], int] = {}
        """Requests as the control process knows them."""
        port.receive = self.on_command
        port.on_attach = self._on_attach
        self._take(snapshot)

    async def run(self) -> None:
        """Listen, serve until told to drain, drain, and return. Raises CannotListen. Cancelling cuts everything.

        A first snapshot that comes in parts is waited for.
        """
        try:
            await self._configured.wait()
            tunnel = await _listen("tunnel", self._tunnels.start, self._settings.tunnel)
            public = await _listen("public", self._ingress.start, self._settings.public)
            self._ready = PlaneReady(public=join(public), tunnel=join(tunnel), pid=os.getpid())
            self._on_attach()
            self._counter_timer = self._loop.call_later(REPORT_INTERVAL, self._count)
            await self._stop(await self._drain)
            self._report()
            await self._port.flush(FLUSH_TIMEOUT)
            self._port.send(PlaneStopped())
            await self._port.flush(FLUSH_TIMEOUT)
        finally:
            self._tunnels.abort()
            await self._ingress.close()
            if self._counter_timer is not None:
                self._counter_timer.cancel()
            if self._access_log is not None:
                self._access_log.close()

    def drain(self, timeout: float) -> None:
        """Have `run` stop: take nothing new, and finish what runs within `timeout` seconds."""
        if not self._drain.done():
            self._drain.set_result(timeout)
            self._configured.set()

    async def _stop(self, timeout: float) -> None:
        log.info("draining", timeout=timeout)
        deadline = self._loop.time() + timeout
        self._gateway.draining = True
        await self._tunnels.drain(timeout)
        await self._ingress.drain(timeout)
        await self._tunnels.close(max(0.0, deadline - self._loop.time()))

    def on_command(self, message: PortMessage) -> None:
        """Obey the control process."""
        if isinstance(message, Start):
            self._renew_certificate(message.tunnel_certificate, message.tunnel_key)
            self._take(message.snapshot)
        elif isinstance(message, Configure):
            self._take(message.snapshot)
        elif isinstance(message, ChangeConfig):
            self._take(message.change)
        elif isinstance(message, Explain):
            explanation = explain(self._gateway.router, message.question)
            self._port.send(Explained(id=message.id, explanation=explanation))
        elif isinstance(message, RenewCertificate):
            self._renew_certificate(message.certificate, message.key)
        elif isinstance(message, DrainPlane):
            self.drain(message.timeout)

    def _renew_certificate(self, certificate: str, key: str) -> None:
        try:
            self._tunnels.context = edge_ssl_context(certificate, key)
        except OSError as error:
            log.error("the new certificate cannot be used", certificate=certificate, reason=str(error))

    def _take(self, part: Snapshot | SnapshotChange) -> None:
        """Serve from a new config, if this is all of one. Whatever is wrong with it, the one in force stays."""
        refused, wants_snapshot = "", False
        before = self._intake.config
        try:
            config = self._intake.take(part)
        except VersionGap as gap:
            log.warning("config asked for anew", reason=str(gap))
            wants_snapshot = True
        except ConfigRefused as refusal:
            log.error("config refused", version=refusal.version.n, reason=str(refusal))
            refused = str(refusal)
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
        self._send_config_state(refused=refused, wants_snapshot=wants_snapshot)

    def _send_config_state(self, *, refused: str = "", wants_snapshot: bool = False) -> None:
        config = self._intake.config
        version = config.snapshot.version if config is not None else None
        self._port.send(ConfigState(version=version, refused=refused, wants_snapshot=wants_snapshot))

    # -- reports to the control process ------------------------------------------------------------------------------

    def _on_attach(self) -> None:
        """Tell a control process that may know nothing."""
        if self._ready is not None:
            self._all_is_due = True
            self._port.send(self._ready)
            self._send_config_state()
            self._report()

    def _report(self) -> None:
        self._port.post(self._registry_report)
        self._port.post(self._counters_report)

    def _count(self) -> None:
        self._port.post(self._counters_report)
        self._counter_timer = self._loop.call_later(REPORT_INTERVAL, self._count)

    def _on_change(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            log.info(
                change.kind.replace("_", " "),
                service=change.service,
                agent=change.agent_id,
                healthy=change.healthy,
                total=change.total,
            )
        if self._ready is not None:
            self._port.post(self._registry_report)

    def _registry_report(self) -> RegistryState | RegistryChange:
        registry = self._registry
        changed, registry.changed = registry.changed, set()
        tunnels = len(self._tunnels.tunnels)
        if self._all_is_due:
            return RegistryState(instances=_instances(registry.agents.values()), tunnels=tunnels)
        agents = (registry.agents[agent_id] for agent_id in changed if agent_id in registry.agents)
        return RegistryChange(agents=tuple(changed), instances=_instances(agents), tunnels=tunnels)

    def _counters_report(self) -> Counters:
        counters = self._gateway.counters
        told = {} if self._all_is_due else self._told
        self._all_is_due = False
        requests = tuple(
            RequestCount(service=service, status_class=f"{hundreds}xx", count=count)
            for (service, hundreds), count in counters.requests.items()
            if told.get((service, hundreds)) != count
        )
        self._told = dict(counters.requests)
        return Counters(
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


def _instances(agents: Iterable[Agent]) -> tuple[InstanceState, ...]:
    return tuple(
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
        for agent in agents
        for instance in agent.instances.values()
    )


async def _listen(
    listener: str, start: Callable[[str, int], Awaitable[Address]], address: Address
) -> Address:
    """Start a listener and return the address it got; an error names what could not be bound."""
    try:
        return await start(*address)
    except OSError as error:
        raise CannotListen(listener, join(address), error) from error

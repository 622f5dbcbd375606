"""The data plane: both listeners, the registry and the gateway, driven through the port and nothing else.

Life: made with its settings, started with a first snapshot, it then serves from whatever snapshot came last, whether
or not there is a control process. When it is to drain it stops in this order, so that no request whose first byte it
has accepted fails: agents are told and get tunnels elsewhere; public listeners close and every next response says
`Connection: close`; when the last public connection is gone the tunnels close. Then it says PlaneStopped.

What the control process is told of it is made in `edge.reports`.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from h2s.budget import Budget
from h2s.control import ControlError
from h2s.engine.choice import engine_name
from h2s.liveness import LivenessTimes
from h2s.messages import Inspection
from h2s.tunnel import edge_ssl_context

from .accesslog import AccessLog
from .address import Address, CannotListen, join
from .balancing import Balancing
from .control import POLL_INTERVAL
from .explain import explain
from .gateway import EdgeGateway
from .heap import FEW, Heap
from .ingress import Ingress, IngressLimits
from .intake import ConfigRefused, Intake, VersionGap
from .lobby import LobbyLimits
from .pools import Pools
from .port import (
    AgentCounted,
    AskLoad,
    ChangeConfig,
    ConfigState,
    Configure,
    Disconnect,
    DrainPlane,
    Explain,
    Explained,
    Inspect,
    Inspected,
    NewAgent,
    PlaneReady,
    PlaneStopped,
    PortMessage,
    RenewCertificate,
    Start,
)
from .registry import Change, Registry
from .reports import Reports
from .routing import Router
from .seam import Port
from .snapshot import Snapshot, SnapshotChange
from .tunnels import TunnelListener
from .upkeep import Upkeep
from .waiting import WaitingRoom

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
    poll_interval: float = POLL_INTERVAL
    balancing: Balancing = field(default_factory=Balancing)


class DataPlane:
    """Serves traffic. `run` returns when it has drained."""

    def __init__(self, settings: PlaneSettings, port: Port, snapshot: Snapshot) -> None:
        self._settings = settings
        self._port = port
        self._snapshot = snapshot
        balancing = settings.balancing
        self._registry = Registry(zone=snapshot.zone, balancing=balancing)
        self._registry.tell = self._on_change
        self._room = WaitingRoom(limit=balancing.queue_size, timeout=balancing.queue_timeout)
        self._registry.listeners.append(self._room)
        self._upkeep = Upkeep((self._registry, self._room))
        self._intake = Intake(Pools(self._registry))
        self._heap = Heap()
        self._budget = Budget()
        self._access_log = (
            AccessLog(settings.access_log_fd, human=settings.access_log_human)
            if settings.access_log_fd is not None
            else None
        )
        self._gateway = EdgeGateway(
            Router(snapshot, self._registry),
            budget=self._budget,
            access_log=self._access_log,
            room=self._room,
        )
        self._gateway.on_failure = self._registry.failed
        self._ingress = Ingress(self._gateway, settings.ingress_limits, settings.public_context)
        self._tunnels = TunnelListener(
            registry=self._registry,
            snapshot=lambda: self._snapshot,
            context=settings.tunnel_context,
            liveness=settings.liveness,
            on_change=self._on_change,
            on_newcomer=lambda token_id, agent_id: port.send(NewAgent(token_id=token_id, agent_id=agent_id)),
            limits=settings.lobby_limits,
            poll_interval=settings.poll_interval,
        )
        self._loop = asyncio.get_running_loop()
        self._counter_timer: asyncio.TimerHandle | None = None
        self._drain: asyncio.Future[float] = self._loop.create_future()
        self._configured = asyncio.Event()
        self._ready: PlaneReady | None = None
        self._reports = Reports(
            port,
            registry=self._registry,
            gateway=self._gateway,
            ingress=self._ingress,
            tunnels=self._tunnels,
        )
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
            self._ready = PlaneReady(
                public=join(public),
                tunnel=join(tunnel),
                pid=os.getpid(),
                engine=engine_name(),
                started=time.time(),
            )
            self._on_attach()
            self._counter_timer = self._loop.call_later(REPORT_INTERVAL, self._count)
            await self._stop(await self._drain)
            self._reports.registry_changed()
            self._reports.count()
            await self._port.flush(FLUSH_TIMEOUT)
            self._port.send(PlaneStopped())
            await self._port.flush(FLUSH_TIMEOUT)
        finally:
            self._upkeep.close()
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
        elif isinstance(message, AskLoad):
            self._port.send(self._reports.load(message))
        elif isinstance(message, Disconnect):
            self._tunnels.disconnect(frozenset(message.agents), message.grace)
        elif isinstance(message, Inspect):
            self._inspect(message)
        elif isinstance(message, AgentCounted):
            self._tunnels.newcomers.counted(message.token_id, message.agent_id, message.refused)
        elif isinstance(message, RenewCertificate):
            self._renew_certificate(message.certificate, message.key)
        elif isinstance(message, DrainPlane):
            self.drain(message.timeout)

    def _inspect(self, question: Inspect) -> None:
        def on_done(answer: Inspection | ControlError) -> None:
            if isinstance(answer, Inspection):
                self._port.send(Inspected(id=question.id, inspection=answer))
            else:
                self._port.send(Inspected(id=question.id, status=answer.code.name, detail=str(answer)))

        self._tunnels.inspect(question.agent_id, on_done, timeout=question.timeout)

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
            closed, self._snapshot = self._snapshot.closed_tokens, config.snapshot
            self._gateway.router = Router(config.snapshot, self._registry, config.table)
            self._configured.set()
            if self._registry.drain(config.snapshot.drained):
                self._on_change(())
            if config.snapshot.closed_tokens != closed:
                self._tunnels.close_tokens(frozenset(config.snapshot.closed_tokens))
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
            self._port.send(self._ready)
            self._send_config_state()
            self._reports.begin()

    def _count(self) -> None:
        self._reports.count()
        self._counter_timer = self._loop.call_later(REPORT_INTERVAL, self._count)

    def _on_change(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            if change.kind == "agent_contested":
                log.warning(
                    "two processes fight for an id",
                    agent=change.agent_id,
                    peers=change.detail,
                )
                continue
            level = log.warning if change.kind == "instance_ejected" else log.info
            level(
                change.kind.replace("_", " "),
                service=change.service,
                agent=change.agent_id,
                healthy=change.healthy,
                total=change.total,
            )
        if self._ready is not None:
            self._reports.registry_changed()


async def _listen(
    listener: str, start: Callable[[str, int], Awaitable[Address]], address: Address
) -> Address:
    """Start a listener and return the address it got; an error names what could not be bound."""
    try:
        return await start(*address)
    except OSError as error:
        raise CannotListen(listener, join(address), error) from error

"""The data plane: both listeners, the registry and the gateway, driven through the port and nothing else.

Life: made with its settings, started with a first snapshot, it then serves from whatever snapshot came last. On
DrainPlane it stops in this order, so that no request whose first byte it has accepted fails: agents are told and get
tunnels elsewhere; public listeners close and every next response says `Connection: close`; when the last public
connection is gone the tunnels close. Then it says PlaneStopped.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any

import structlog

from h2s.liveness import LivenessTimes

from .accesslog import AccessLog
from .budget import Budget
from .gateway import EdgeGateway
from .ingress import Ingress, IngressLimits
from .port import (
    Configure,
    Counters,
    DrainPlane,
    InstanceState,
    PlaneReady,
    PlaneStopped,
    Port,
    PortMessage,
    RegistryState,
    RequestCount,
)
from .registry import Change, Registry
from .routing import Router
from .snapshot import Snapshot
from .tunnels import TunnelListener

__all__ = ["DataPlane", "PlaneSettings"]

log: Any = structlog.get_logger("edge")

REPORT_INTERVAL = 1.0
"""Seconds between two reports of counters."""
CHANGE_DELAY = 0.02
"""Seconds in which registry changes are gathered into one report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSettings:
    """What a data plane is made with; what can change later is in the snapshot."""

    public: tuple[str, int]
    tunnel: tuple[str, int]
    tunnel_context: ssl.SSLContext
    public_context: ssl.SSLContext | None = None
    access_log_fd: int | None = None
    access_log_human: bool = False
    ingress_limits: IngressLimits = field(default_factory=IngressLimits)
    liveness: LivenessTimes = field(default_factory=LivenessTimes)


class DataPlane:
    """Serves traffic. `run` returns when it has drained."""

    def __init__(self, settings: PlaneSettings, port: Port, snapshot: Snapshot) -> None:
        self._settings = settings
        self._port = port
        self._snapshot = snapshot
        self._registry = Registry(zone=snapshot.zone)
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
        )
        self._loop = asyncio.get_running_loop()
        self._change_timer: asyncio.TimerHandle | None = None
        self._counter_timer: asyncio.TimerHandle | None = None
        self._drain: asyncio.Future[float] = self._loop.create_future()
        port.receive = self._on_command

    async def run(self) -> None:
        """Listen, serve until told to drain, drain, and return. Raises OSError when an address cannot be bound."""
        try:
            tunnel = await self._tunnels.start(*self._settings.tunnel)
            public = await self._ingress.start(*self._settings.public)
            self._port.send(PlaneReady(public=_join(public), tunnel=_join(tunnel)))
            self._send_counters()
            timeout = await self._drain
            await self._stop(timeout)
        finally:
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
        self._send_counters()
        self._port.send(PlaneStopped())

    def _on_command(self, message: PortMessage) -> None:
        if isinstance(message, Configure):
            self._snapshot = message.snapshot
            self._gateway.router = Router(message.snapshot, self._registry)
        elif isinstance(message, DrainPlane) and not self._drain.done():
            self._drain.set_result(message.timeout)

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
            self._change_timer = self._loop.call_later(CHANGE_DELAY, self._send_registry)

    def _send_registry(self) -> None:
        self._change_timer = None
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
            )
            for agent in self._registry.agents.values()
            for instance in agent.instances.values()
        )
        self._port.send(RegistryState(instances=instances, tunnels=len(self._tunnels.tunnels)))

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
        self._counter_timer = self._loop.call_later(REPORT_INTERVAL, self._send_counters)


def _join(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""The edge's composition root: directories, control process, data plane, signals, exit code.

Today both processes are one: the data plane runs in the control process's event loop. They still meet only through
`edge.port`, so that moving it out changes this file and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn

from backplane.cli.address import Address
from backplane.cli.exit import CommandError, ExitCode
from backplane.cli.logs import is_human
from backplane.cli.process import run_until_stopped
from edge.ingress import public_ssl_context
from edge.plane import CannotListen, DataPlane, PlaneSettings
from edge.port import Configure, DrainPlane, PortMessage, RenewCertificate, local_ports
from h2s.engine import engine_hint
from h2s.errors import EngineUnavailable
from h2s.liveness import LivenessTimes
from h2s.tunnel import edge_ssl_context

from .api import create_api
from .config import EdgeSettings
from .config_cache import ConfigCache
from .identity import DataDirectory, DirectoryLocked, Identity, IdentityError, agent_command_line
from .manager import Manager
from .planes import whole_in_parts
from .renewal import keep_certificate
from .state import EdgeState

__all__ = ["run"]

log: Any = structlog.get_logger("edge")

API_STOP_TIMEOUT = 2


def run(settings: EdgeSettings) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code. Raises CommandError."""
    try:
        hint = engine_hint()
    except EngineUnavailable as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    if hint is not None:
        log.info(hint)
    try:
        with DataDirectory.open(settings.data_dir) as data, _access_log(settings) as access_log_fd:
            identity = Identity.load_or_create(data, settings.identity_dir)
            run_until_stopped(lambda stop: _serve(settings, data, identity, access_log_fd, stop))
    except (CannotListen, DirectoryLocked) as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from None
    except IdentityError as error:
        raise CommandError(str(error), ExitCode.TRUST) from None
    return ExitCode.OK


@contextmanager
def _access_log(settings: EdgeSettings) -> Iterator[int | None]:
    """Give the file descriptor that request lines go to."""
    if settings.access_log == "none":
        yield None
    elif settings.access_log == "-":
        yield sys.stdout.fileno()
    else:
        try:
            fd = os.open(settings.access_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise CommandError(
                f"access log {settings.access_log}: {error.strerror}", ExitCode.USAGE
            ) from None
        try:
            yield fd
        finally:
            os.close(fd)


async def _serve(
    settings: EdgeSettings,
    data: DataDirectory,
    identity: Identity,
    access_log_fd: int | None,
    stop: asyncio.Event,
) -> None:
    state = EdgeState()
    control, port = local_ports()
    human = (
        access_log_fd is not None and settings.access_log == "-" and is_human(settings.log_format, sys.stdout)
    )
    api_socket = _bind(settings.api)
    manager = Manager(settings, identity, state, send=control.send, cache=ConfigCache(data))
    control.receive = _both(state.on_notice, manager.planes.on_notice)
    try:
        await manager.start()
    except BaseException:
        api_socket.close()
        await manager.close()
        raise
    start, *rest = whole_in_parts(manager.snapshot())
    assert isinstance(start, Configure)
    plane = DataPlane(
        PlaneSettings(
            public=(settings.public.host, settings.public.port),
            tunnel=(settings.tunnel.host, settings.tunnel.port),
            tunnel_context=edge_ssl_context(str(identity.edge_certificate), str(identity.edge_key)),
            public_context=(
                public_ssl_context(str(settings.public_cert), str(settings.public_key))
                if settings.public_cert and settings.public_key
                else None
            ),
            access_log_fd=access_log_fd,
            access_log_human=human,
            ingress_limits=settings.ingress_limits,
            lobby_limits=settings.lobby_limits,
            liveness=LivenessTimes(idle=settings.ping_interval, timeout=settings.ping_timeout),
        ),
        port,
        start.snapshot,
    )
    for part in rest:
        control.send(part)
    api = _ApiServer(create_api(manager.management, open_metrics=settings.open_metrics))
    plane_task = asyncio.create_task(plane.run(), name="data plane")
    api_task = asyncio.create_task(api.serve(sockets=[api_socket]), name="management API")
    certificate_task = asyncio.create_task(
        keep_certificate(
            identity,
            data,
            settings.identity_dir,
            on_renewed=lambda: control.send(
                RenewCertificate(certificate=str(identity.edge_certificate), key=str(identity.edge_key))
            ),
        ),
        name="certificate",
    )
    listening = asyncio.create_task(state.listening.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((plane_task, api_task, listening), return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            _announce(settings, identity, state, api_socket)
        await asyncio.wait((plane_task, api_task, stopping), return_when=asyncio.FIRST_COMPLETED)
        if api_task.done():
            log.error("the management API has stopped: the edge stops too")
        if not plane_task.done():
            state.draining = True
            log.info("draining", timeout=settings.drain_timeout)
            control.send(DrainPlane(timeout=settings.drain_timeout))
        await asyncio.wait((plane_task,))
        plane_task.result()
        if api_task.done():
            api_task.result()
            raise CommandError("the management API stopped by itself")
        api.should_exit = True
        await asyncio.wait((api_task,))
        api_task.result()
    finally:
        # A second signal must not cancel uvicorn, which would leave its sockets open: hence `wait` throughout.
        api.should_exit = api.force_exit = True
        for task in (plane_task, certificate_task, listening, stopping):
            task.cancel()
        over = asyncio.gather(
            plane_task, api_task, certificate_task, listening, stopping, return_exceptions=True
        )
        await asyncio.wait((over,))
        api_socket.close()
        await manager.close()
    log.info("stopped")


def _both(
    first: Callable[[PortMessage], None], second: Callable[[PortMessage], None]
) -> Callable[[PortMessage], None]:
    def receive(notice: PortMessage) -> None:
        first(notice)
        second(notice)

    return receive


class _ApiServer(uvicorn.Server):
    """Uvicorn as one task of this process: the signals are ours."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=API_STOP_TIMEOUT,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=128)
    except OSError as error:
        raise CannotListen("api", str(address), error) from None


def _announce(
    settings: EdgeSettings, identity: Identity, state: EdgeState, api_socket: socket.socket
) -> None:
    """Say where things are, and which agent command to copy."""
    assert state.ready is not None
    scheme = "https" if settings.public_cert else "http"
    api = Address(*api_socket.getsockname()[:2])
    log.info(
        "edge is up",
        edge=identity.edge_id,
        public=f"{scheme}://{state.ready.public}",
        tunnel=state.ready.tunnel,
        api=f"http://{api}",
    )
    if identity.join_token is not None:
        advertise = settings.advertised(Address.parse(state.ready.tunnel))
        command = agent_command_line(advertise, identity.join_token)
        if is_human(settings.log_format, sys.stderr):
            print(f"\nStart an agent beside an app:\n\n    {command}\n", file=sys.stderr, flush=True)
        else:
            log.info("start an agent beside an app", command=command)

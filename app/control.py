"""The control process of an edge: the data directory with its identity, the management API, and what data planes serve.

`app.supervisor` starts it, and starts it again if it crashes. All it knows of the traffic comes over the seam; a new
control process is told everything by the data plane that has gone on without it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from pydantic import BaseModel

from backplane.cli.address import Address, AddressSetting
from backplane.cli.exit import CommandError, ExitCode
from backplane.cli.logs import configure_logs, is_human
from backplane.cli.process import exit_with, run_on_loop
from edge.address import CannotListen
from edge.leash import Leash
from edge.port import ChangeConfig, PlaneReady, PortMessage, RenewCertificate, Start
from edge.seam import Port, control_port
from edge.snapshot import Snapshot, SnapshotChange, parts
from h2s.liveness import LivenessTimes

from .api import create_api
from .api_server import ApiServer
from .api_tls import ApiTls, api_names
from .config import EdgeSettings
from .config_cache import ConfigCache
from .identity import DataDirectory, DirectoryLocked, Identity, IdentityError, agent_command_line
from .local_access import write_local_access
from .manager import Manager
from .renewal import keep_certificate
from .state import EdgeState

__all__ = ["main"]

log: Any = structlog.get_logger("edge")


class Addresses(BaseModel):
    """Where an edge listens, with the ports that it got."""

    public: AddressSetting
    tunnel: AddressSetting
    api: AddressSetting


class Begin(BaseModel):
    """What a control process begins with."""

    settings: EdgeSettings
    before: Addresses | None
    """Where the edge listens, if it has been up before."""


def main() -> int:
    """Serve until told to stop, and return the exit code. Raises CommandError."""
    with Leash(int(sys.argv[1])) as leash:
        order = leash.wait_for_begin()
        if order is None:
            return ExitCode.OK
        begin = Begin.model_validate_json(order)
        configure_logs(begin.settings.log_level, begin.settings.log_format)
        logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
        try:
            return _run(begin, leash)
        except (CannotListen, DirectoryLocked) as error:
            raise CommandError(str(error), ExitCode.UNAVAILABLE) from None
        except IdentityError as error:
            raise CommandError(str(error), ExitCode.TRUST) from None


def _run(begin: Begin, leash: Leash) -> int:
    settings = begin.settings
    with DataDirectory.open(settings.data_dir) as data:
        identity = Identity.load_or_create(data, settings.identity_dir)
        with suppress(asyncio.CancelledError):
            run_on_loop(_Control(settings, data, identity, leash, begin.before).run())
            return ExitCode.OK
    return ExitCode.FAILURE


class _Control:
    """One life of the control process."""

    def __init__(
        self,
        settings: EdgeSettings,
        data: DataDirectory,
        identity: Identity,
        leash: Leash,
        before: Addresses | None,
    ) -> None:
        self._settings = settings
        self._data = data
        self._identity = identity
        self._leash = leash
        self._before = before
        self._state = EdgeState()
        self._announced = False
        self._tls: ApiTls | None = None

    async def run(self) -> None:
        """Serve until told to stop. Cancelled by the leash."""
        task = asyncio.current_task()
        assert task is not None
        state = self._state
        stop = asyncio.Event()
        seam = _Seam()
        settings, port = self._settings, control_port()
        tls = self._tls = ApiTls(settings, self._identity, self._data) if settings.api_is_tls else None
        api_socket = _bind(self._before.api if self._before else settings.api)
        manager = Manager(settings, self._identity, state, send=port.send, cache=ConfigCache(self._data))
        port.receive = partial(self._on_notice, manager, Address(*api_socket.getsockname()[:2]))
        port.on_detach = manager.on_plane_gone
        port.on_attach = partial(self._start, port, manager)
        self._leash.attach(on_seam=seam.take, on_stop=stop.set, on_now=task.cancel)
        try:
            await manager.start()
        except BaseException:
            api_socket.close()
            seam.close()
            await manager.close()
            raise
        seam.give_to(port)
        # Where TLS is spoken the certificate says which names are right.
        hosts = api_names(settings) if tls is None else None
        app = create_api(manager.management, open_metrics=settings.open_metrics, hosts=hosts)
        api = ApiServer(app, api_socket, context=tls.context if tls else None)
        api_task = asyncio.create_task(api.serve(), name="management API")
        keeping = [asyncio.create_task(self._keep_certificate(port), name="certificate")]
        if tls is not None:
            keeping.append(asyncio.create_task(tls.keep(), name="certificate of the API"))
        listening = asyncio.create_task(state.listening.wait())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((api_task, listening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                self._announce(api_socket)
            await asyncio.wait((api_task, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not api_task.done():
                state.draining = True
                gone = asyncio.create_task(state.plane_gone.wait())
                await asyncio.wait((api_task, gone), return_when=asyncio.FIRST_COMPLETED)
                gone.cancel()
            if api_task.done():
                api_task.result()
                raise CommandError("the management API stopped by itself")
            manager.management.hub.close()
            api.should_exit = True
            await asyncio.wait((api_task,))
            api_task.result()
        finally:
            # What ends at once must not cancel uvicorn, which would leave its sockets open: hence `wait` throughout.
            api.should_exit = api.force_exit = True
            tasks: tuple[asyncio.Task[Any], ...] = (*keeping, listening, stopping)
            for one in tasks:
                one.cancel()
            over = asyncio.gather(api_task, *tasks, return_exceptions=True)
            await asyncio.wait((over,))
            api_socket.close()
            self._leash.detach()
            port.detach()
            await manager.close()
        log.info("stopped")

    async def _keep_certificate(self, port: Port) -> None:
        """Renew the edge's certificate when it is time, and have the data plane show it."""
        identity = self._identity
        renewed = RenewCertificate(certificate=str(identity.edge_certificate), key=str(identity.edge_key))
        await keep_certificate(
            identity, self._data, self._settings.identity_dir, on_renewed=lambda: port.send(renewed)
        )

    def _on_notice(self, manager: Manager, api: Address, notice: PortMessage) -> None:
        if isinstance(notice, PlaneReady):
            self._leave_word(notice, api)
            if self._announced:
                log.info("a new data plane listens")
        manager.on_notice(notice)

    def _start(self, port: Port, manager: Manager) -> None:
        """Tell a data plane that is there, or is there again, everything: where it was, it listens again."""
        first, *rest = parts(manager.snapshot())
        assert isinstance(first, Snapshot)
        port.send(self._start_with(first))
        for part in rest:
            assert isinstance(part, SnapshotChange)
            port.send(ChangeConfig(change=part))

    def _start_with(self, snapshot: Snapshot) -> Start:
        settings, identity = self._settings, self._identity
        known = self._before
        public, tunnel = (known.public, known.tunnel) if known else (settings.public, settings.tunnel)
        return Start(
            public=(settings.public.host, public.port),
            tunnel=(settings.tunnel.host, tunnel.port),
            tunnel_certificate=str(identity.edge_certificate),
            tunnel_key=str(identity.edge_key),
            public_certificate=str(settings.public_cert) if settings.public_cert else None,
            public_key=str(settings.public_key) if settings.public_key else None,
            access_log=settings.access_log,
            log_level=settings.log_level,
            log_format=settings.log_format,
            ingress_limits=settings.ingress_limits,
            lobby_limits=settings.lobby_limits,
            balancing=settings.balancing,
            liveness=LivenessTimes(idle=settings.ping_interval, timeout=settings.ping_timeout),
            poll_interval=settings.poll_interval,
            drain_timeout=settings.drain_timeout,
            snapshot=snapshot,
        )

    def _announce(self, api_socket: socket.socket) -> None:
        """Tell the supervisor that the edge is up, and a person, the first time, where and what to do next."""
        ready = self._state.ready
        if ready is None:
            return
        self._announced = True
        first = self._before is None
        api = Address(*api_socket.getsockname()[:2])
        self._before = Addresses(
            public=Address.parse(ready.public), tunnel=Address.parse(ready.tunnel), api=api
        )
        self._leash.send("up", self._before.model_dump_json())
        if first:
            _greet(self._settings, self._identity, self._before)
        else:
            log.info("the control process is back", api=f"{self._settings.api_scheme}://{api}")

    def _leave_word(self, ready: PlaneReady, api: Address) -> None:
        """Tell commands on this machine where the edge is. Without that they have to be told by flags."""
        public = f"{'https' if self._settings.public_cert else 'http'}://{ready.public}"
        try:
            write_local_access(
                self._data,
                self._identity,
                public=public,
                tunnel=Address.parse(ready.tunnel),
                api=api,
                scheme=self._settings.api_scheme,
                ca=self._tls.authority if self._tls else None,
            )
        except IdentityError as error:
            log.warning("commands on this machine will not find the edge by itself", reason=str(error))


class _Seam:
    """Keeps a socket of the seam until there is something to say on it."""

    def __init__(self) -> None:
        self._port: Port | None = None
        self._waiting: socket.socket | None = None

    def take(self, sock: socket.socket) -> None:
        """A new socket, in place of any before."""
        if self._port is not None:
            self._port.attach(sock)
            return
        self.close()
        self._waiting = sock

    def give_to(self, port: Port) -> None:
        """From now on sockets go to `port`."""
        self._port = port
        if self._waiting is not None:
            port.attach(self._waiting)
            self._waiting = None

    def close(self) -> None:
        """Let go of what waits."""
        if self._waiting is not None:
            self._waiting.close()


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=128)
    except OSError as error:
        raise CannotListen("api", str(address), error) from None


def _greet(settings: EdgeSettings, identity: Identity, addresses: Addresses) -> None:
    """Say where things are, and which agent command to copy."""
    if not settings.api.is_loopback and not settings.api_is_tls:
        log.warning(
            "the management API speaks in the clear: tokens can be read on the way", api=str(addresses.api)
        )
    scheme = "https" if settings.public_cert else "http"
    log.info(
        "edge is up",
        edge=identity.edge_id,
        public=f"{scheme}://{addresses.public}",
        tunnel=str(addresses.tunnel),
        api=f"{settings.api_scheme}://{addresses.api}",
    )
    if identity.join_token is not None:
        command = agent_command_line(settings.advertised(addresses.tunnel), identity.join_token)
        if is_human(settings.log_format, sys.stderr):
            print(f"\nStart an agent beside an app:\n\n    {command}\n", file=sys.stderr, flush=True)
        else:
            log.info("start an agent beside an app", command=command)


if __name__ == "__main__":
    exit_with(main)

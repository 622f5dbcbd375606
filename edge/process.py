"""The life of a data-plane process, from the first word of a control process to the end of the drain.

It waits for a control process to say what to be (`Start`), and from then on needs none: it serves until the leash
says to stop.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from backplane.cli.exit import CommandError, ExitCode
from backplane.cli.logs import configure_logs, is_human
from backplane.cli.process import run_on_loop
from h2s.tunnel import edge_ssl_context

from .address import CannotListen
from .ingress import public_ssl_context
from .leash import Leash
from .plane import DataPlane, PlaneSettings
from .port import PortMessage, Start
from .seam import Port, plane_port

__all__ = ["run"]

log: Any = structlog.get_logger("edge")


def run(descriptor: int) -> int:
    """Serve until the leash says to stop, and return the exit code. Raises CommandError."""
    with Leash(descriptor) as leash, suppress(asyncio.CancelledError):
        run_on_loop(_serve(leash))
        return ExitCode.OK
    return ExitCode.FAILURE


async def _serve(leash: Leash) -> None:
    """Wait for the first word of a control process and run a data plane. Cancelled by the leash."""
    task = asyncio.current_task()
    assert task is not None
    port = plane_port()
    stop = asyncio.Event()
    start: asyncio.Future[Start] = asyncio.get_running_loop().create_future()

    early: list[PortMessage] = []

    def on_message(message: PortMessage) -> None:
        if isinstance(message, Start) and not start.done():
            start.set_result(message)
        else:
            early.append(message)

    port.receive = on_message
    leash.attach(on_seam=port.attach, on_stop=stop.set, on_now=task.cancel)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((start, stopping), return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            await _run(start.result(), early, port, stopping)
    finally:
        stopping.cancel()
        leash.detach()
        port.detach()


async def _run(start: Start, early: list[PortMessage], port: Port, stopping: asyncio.Task[bool]) -> None:
    """Be what `start` says. What came right behind it is in `early`: more of the config, perhaps."""
    configure_logs(start.log_level, start.log_format)
    tunnel_context, public_context = _contexts(start)
    with _access_log(start.access_log) as descriptor:
        plane = DataPlane(
            PlaneSettings(
                public=start.public,
                tunnel=start.tunnel,
                tunnel_context=tunnel_context,
                public_context=public_context,
                access_log_fd=descriptor,
                access_log_human=start.access_log == "-" and is_human(start.log_format, sys.stdout),
                ingress_limits=start.ingress_limits,
                lobby_limits=start.lobby_limits,
                liveness=start.liveness,
                poll_interval=start.poll_interval,
                balancing=start.balancing,
            ),
            port,
            start.snapshot,
        )

        def on_message(message: PortMessage) -> None:
            if isinstance(message, Start):
                log.info("a new control process has taken over")
                if public_context is not None and message.public_certificate and message.public_key:
                    _renew(public_context, message.public_certificate, message.public_key)
            plane.on_command(message)

        def on_detach() -> None:
            if not stopping.done():
                log.warning("the control process is gone: traffic goes on")

        port.receive, port.on_detach = on_message, on_detach
        for message in early:
            on_message(message)
        stopping.add_done_callback(lambda _: plane.drain(start.drain_timeout))
        try:
            await plane.run()
        except CannotListen as error:
            raise CommandError(str(error), ExitCode.UNAVAILABLE) from None
        finally:
            port.on_detach = lambda: None


def _contexts(start: Start) -> tuple[ssl.SSLContext, ssl.SSLContext | None]:
    """Load the certificates of both listeners."""
    try:
        public = None
        if start.public_certificate and start.public_key:
            public = public_ssl_context(start.public_certificate, start.public_key)
        return edge_ssl_context(start.tunnel_certificate, start.tunnel_key), public
    except OSError as error:
        raise CommandError(f"a certificate cannot be loaded: {error}", ExitCode.TRUST) from None


def _renew(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have connections that come from now on use what is in the files now."""
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        log.error("a certificate cannot be loaded: the one before stays", path=certificate, reason=str(error))


@contextmanager
def _access_log(name: str) -> Iterator[int | None]:
    """Give the file descriptor that request lines go to."""
    if name == "none":
        yield None
    elif name == "-":
        yield sys.stdout.fileno()
    else:
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise CommandError(f"access log {name}: {error.strerror}", ExitCode.USAGE) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

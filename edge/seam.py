"""One end of the seam between the control process and a data plane: `edge.port`'s messages over a socket.

An end outlives its sockets. Either process may end and be started again; the other then gets a new socket
(`attach`), and says all that the newcomer has to know (`on_attach`). While there is none, whatever is sent is lost.

What goes out is gathered for one turn of the loop and written at once. A process that does not read must not fill
the other's memory: a *state* is not sent but due (`post`), and is put into words when there is room for it. However
often it has changed by then, it is sent once, as it then is.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from .framing import Deframer, FrameTooLong, frame
from .port import Command, Notice, PortMessage

__all__ = ["Port", "control_port", "joined_ports", "plane_port"]

log: Any = structlog.get_logger("edge")

ROOM = 256 * 1024
"""Bytes that may wait for the other process before states have to."""
READ_SIZE = 256 * 1024
TURN = 16 * 1024
"""Bytes of messages that are taken in one turn of the loop; at least one message."""

_commands: TypeAdapter[PortMessage] = TypeAdapter(Command)
_notices: TypeAdapter[PortMessage] = TypeAdapter(Notice)

Make = Callable[[], PortMessage | None]


class Port:
    """One end of the seam. Whoever listens on it sets `receive`, and `on_attach` and `on_detach` if it needs them."""

    def __init__(self, decode: Callable[[bytes], PortMessage]) -> None:
        """`decode` turns the bytes of a message from the other end into that message; ValidationError if it is none."""
        self.receive: Callable[[PortMessage], None] = lambda message: None
        self.on_attach: Callable[[], None] = lambda: None
        self.on_detach: Callable[[], None] = lambda: None
        self._decode = decode
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._deframer = Deframer()
        self._inbox: deque[bytes] = deque()
        self._due: dict[Make, None] = {}
        self._waiting = bytearray()
        self._flush_planned = False
        self._writing = False
        """Whether the loop tells when the socket takes more."""
        self._flushed = asyncio.Event()

    @property
    def attached(self) -> bool:
        """Whether there is a socket to the other process."""
        return self._socket is not None

    def attach(self, sock: socket.socket) -> None:
        """Take a socket to the other process, in place of the one there may be."""
        self.detach()
        sock.setblocking(False)
        self._socket = sock
        self._deframer = Deframer()
        self._inbox = deque()
        self._loop.add_reader(sock.fileno(), self._on_readable, sock)
        self.on_attach()

    def detach(self) -> None:
        """Let go of the socket, if there is one."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._loop.remove_reader(sock.fileno())
        if self._writing:
            self._loop.remove_writer(sock.fileno())
        self._writing = False
        self._waiting.clear()
        self._due.clear()
        self._flushed.set()
        sock.close()
        self.on_detach()

    def send(self, message: PortMessage) -> None:
        """Send a message in this turn of the loop."""
        if self._socket is not None:
            self._waiting += frame(message.model_dump_json().encode())
            self._plan_flush()

    def post(self, make: Make) -> None:
        """Have what `make` returns sent, if anything, in this turn of the loop or as soon as there is room."""
        if self._socket is not None:
            self._due[make] = None
            self._plan_flush()

    async def flush(self, timeout: float) -> None:
        """Wait until all is written that was sent and is due, or `timeout` seconds have passed."""
        try:
            async with asyncio.timeout(timeout):
                while self._socket is not None and (self._waiting or self._due):
                    self._flushed.clear()
                    await self._flushed.wait()
        except TimeoutError:
            return

    # -- out -------------------------------------------------------------------------------------------------------

    def _plan_flush(self) -> None:
        if not self._flush_planned and not self._writing:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        while self._socket is not None:
            while self._due and len(self._waiting) < ROOM:
                make = next(iter(self._due))
                del self._due[make]
                message = make()
                if message is not None:
                    self._waiting += frame(message.model_dump_json().encode())
            if not self._waiting:
                self._wait_for_room(False)
                self._flushed.set()
                return
            try:
                sent = self._socket.send(self._waiting)
            except (BlockingIOError, InterruptedError):
                self._wait_for_room(True)
                return
            except OSError:
                self.detach()
                return
            del self._waiting[:sent]

    def _wait_for_room(self, wanted: bool) -> None:
        assert self._socket is not None
        if wanted and not self._writing:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        elif self._writing and not wanted:
            self._loop.remove_writer(self._socket.fileno())
        self._writing = wanted

    # -- in --------------------------------------------------------------------------------------------------------

    def _on_readable(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.detach()
            return
        try:
            self._inbox += self._deframer.feed(data)
        except FrameTooLong as error:
            self._complain(error)
            return
        if self._inbox:
            # No more is read before this has been taken.
            self._loop.remove_reader(sock.fileno())
            self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        """Hand over what has come, but no more in one turn of the loop than others can wait for."""
        taken = 0
        while taken < TURN:
            if self._socket is not sock:
                return
            if not self._inbox:
                self._loop.add_reader(sock.fileno(), self._on_readable, sock)
                return
            message = self._inbox.popleft()
            taken += len(message)
            try:
                decoded = self._decode(message)
            except ValidationError as error:
                self._complain(error)
                return
            self.receive(decoded)
        self._loop.call_soon(self._take, sock)

    def _complain(self, error: Exception) -> None:
        reason = str(error).partition("\n")[0]
        log.error("the other process of this edge does not speak this version: restart it", reason=reason)
        self.detach()


def control_port() -> Port:
    """Return the control process's end of a seam, not attached yet."""
    return Port(_notices.validate_json)


def plane_port() -> Port:
    """Return a data plane's end of a seam, not attached yet."""
    return Port(_commands.validate_json)


def joined_ports() -> tuple[Port, Port]:
    """Return both ends of a seam inside one process, the control process's first."""
    control, plane = control_port(), plane_port()
    ours, theirs = socket.socketpair()
    control.attach(ours)
    plane.attach(theirs)
    return control, plane

"""The transport of a public HTTP/1.1 connection: collected writes, flow control, and the ways to end.

A client that does not read has its connection reset: while writing is paused it is looked, each `stall_timeout`,
whether at least `stall_bytes` have been taken meanwhile. Taken is what its end has acknowledged: the kernel alone holds
megabytes, and says nothing before it is rid of a third of them.

A connection that this side ends lingers: it sends its end and throws away what still comes until the client has closed
too. Closing at once would have the kernel reset it, and the client might never see the last response. TLS knows no
half-close; there its shutdown does as well, unless the client is still sending and has to read first.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from typing import cast

from h2s.reading import PieceProtocol

from .context import Context
from .deadline import Deadline

__all__ = ["Wire"]

FLUSH_SIZE = 64 * 1024
"""Bytes collected for one write; less is written when the turn of the loop ends."""
_INT = struct.Struct("i")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Wire(PieceProtocol):
    """Bytes out, and a stop to bytes in. `on_deadline` of the heir is called when its deadline has come."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._limits = context.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._scheme = b"http"
        self.peer = ""
        """The client's address."""
        self._out: list[bytes] = []
        self._out_size = 0
        self._flush_scheduled = False
        self._holding = False
        self._writable = True
        self._reading_paused = False
        self._left_unread = 0
        self._budget = 0
        self._received = 0
        self._written = 0
        self._seen = 0
        self._taken = 0
        self._stall_timer: asyncio.TimerHandle | None = None
        self._deadline = Deadline(self._loop, self.on_deadline)

    def on_deadline(self) -> None:
        """Do what the deadline was set for."""
        raise NotImplementedError

    def abort(self) -> None:
        """End the connection at once."""
        raise NotImplementedError

    def write(self, data: bytes) -> bool:
        """Write in this turn of the loop, together with what else is written in it. False: wait for resume."""
        self._out.append(data)
        self._out_size += len(data)
        if self._out_size >= FLUSH_SIZE:
            self._flush()
        elif not self._flush_scheduled and not self._holding:
            self._flush_scheduled = True
            self.context.turn.flush_soon(self)
        return self._writable

    def pause_writing(self) -> None:
        """Note that the client does not read fast enough, and see to it that it reads at all."""
        self._writable = False
        if self._stall_timer is None:
            self._await_stall()

    def _await_stall(self) -> None:
        self._taken = self._written - self._unread()
        self._stall_timer = self._loop.call_later(self._limits.stall_timeout, self._look_for_stall)

    def _look_for_stall(self) -> None:
        self._stall_timer = None
        if self._writable:
            return
        if self._written - self._unread() - self._taken < self._limits.stall_bytes:
            self.abort()
        else:
            self._await_stall()

    def _start(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if transport.get_extra_info("ssl_object") is not None:
            self._scheme = b"https"
        peername = transport.get_extra_info("peername")
        if isinstance(peername, tuple):
            self.peer = str(peername[0])

    def flush(self) -> None:
        """Write what was collected; called at the end of the turn."""
        self._flush_scheduled = False
        self._flush()

    def _flush(self) -> None:
        out = self._out
        if out:
            if not self._transport.is_closing():
                self._written += self._out_size
                self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            self._out_size = 0

    @property
    def _moved(self) -> int:
        """Bytes that came or went since `_watch` was called."""
        return self._received + self._written - self._seen

    def _watch(self, timeout: float, *, unread: int = 0) -> None:
        """Have `on_deadline` called in `timeout` seconds; `unread` bytes that have come already count as moved."""
        self._seen = self._received + self._written - unread
        self._deadline.set(self._loop.time() + timeout)

    def _unread(self) -> int:
        """Return how many bytes have been written and not yet been acknowledged by the client's end."""
        transport = self._transport
        sock = transport.get_extra_info("socket")
        in_kernel = 0
        if sock is not None and sock.fileno() >= 0:
            with contextlib.suppress(OSError):
                (in_kernel,) = _INT.unpack(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(_INT.size)))
        return transport.get_write_buffer_size() + in_kernel

    def _stop_timers(self) -> None:
        self._deadline.cancel()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _pause_reading(self, paused: bool) -> None:
        """Have the transport read, or not."""
        if paused is not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _reset(self) -> None:
        """Reset the connection, so that even a response that lasts until its end is seen to be cut."""
        self._out.clear()
        self._out_size = 0
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _say_goodbye(self, *, unread: bool) -> None:
        """End our direction and begin to linger; `unread`: the client is probably sending."""
        self._flush()
        self._budget = self._limits.discard
        transport = self._transport
        if transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        elif not unread:
            transport.close()
        self._pause_reading(False)
        self._left_unread = self._unread()
        self._deadline.set(self._loop.time() + self._limits.linger_timeout)

    def _throw_away(self, size: int) -> None:
        """Count what came while lingering; above the bound it is left in the kernel."""
        self._budget -= size
        self._pause_reading(self._budget < 0)

    def _end_lingering(self) -> None:
        """Give up on a client that does not close, but not while it still reads."""
        unread = self._unread()
        if 0 < unread < self._left_unread:
            self._left_unread = unread
            self._deadline.set(self._loop.time() + self._limits.linger_timeout)
        else:
            self._reset()

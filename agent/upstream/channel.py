"""One HTTP/1.1 connection to an upstream.

A `Channel` is the asyncio protocol of that connection. At any time it carries at most one `Exchange`, which writes to
it and takes the events of the response; between two exchanges it lies idle in its `Pool`. An exchange leaves it in one
of three ways:

* `release`, by an exchange that is complete: back to the pool if the response allows it, else closed;
* `drop`, by an exchange that is over before its time, or by the pool: aborted, nothing is reported;
* by the upstream, or because of what it sent: the exchange hears `on_upstream_error`, the last it hears of a channel.

An idle channel expects nothing: whatever arrives, bytes or the end, takes it out of the pool at once. Before it is lent
again the kernel is asked, too: what it holds but the loop has not delivered yet would otherwise be read as the next
response, or make the next request fail.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from h2s.reading import PieceProtocol
from h2s.unsent import bound_unsent

from .errors import UpstreamClosed, UpstreamError, UpstreamInvalid, UpstreamTimeout
from .response import Event, ResponseReader

if TYPE_CHECKING:
    from .pool import Pool

__all__ = ["Channel", "Exchange"]

WRITE_HIGH = 64 * 1024
"""Bytes that wait in the transport before the exchange is asked to pause."""


class Exchange(Protocol):
    """Takes what happens to one request at its upstream."""

    def on_channel(self, channel: Channel) -> None:
        """A connection is there: `Channel.begin` on it, or `Channel.release` it."""

    def on_upstream_events(self, events: list[Event]) -> None:
        """Something of the response came."""

    def on_upstream_writable(self) -> None:
        """The transport takes more again."""

    def on_upstream_error(self, error: UpstreamError) -> None:
        """No connection came about, or it ended too early; nothing follows on this channel."""


class Channel(PieceProtocol):
    """A connection to an upstream, owned by a pool, lent to one exchange at a time."""

    __slots__ = ("_exchange", "_poll", "_reading", "pool", "reader", "transport", "used", "write_paused")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.used = False
        """It has carried a request before the present one."""
        self.write_paused = False
        self.reader: ResponseReader | None = None
        self.transport: asyncio.Transport
        self._exchange: Exchange | None = None
        self._poll = select.poll()
        self._reading = True

    # -- for the pool ----------------------------------------------------------------------------------------------

    @property
    def fit(self) -> bool:
        """Whether the idle connection is open and nothing has come on it, read or not."""
        return not self.transport.is_closing() and not self._poll.poll(0)

    # -- for exchanges ---------------------------------------------------------------------------------------------

    def begin(self, exchange: Exchange, reader: ResponseReader) -> None:
        """Carry `exchange` from now on; `reader` reads its response."""
        self._exchange = exchange
        self.reader = reader

    def write(self, pieces: Sequence[bytes]) -> None:
        """Write to the upstream; look at `write_paused` afterwards."""
        if len(pieces) == 1:
            self.transport.write(pieces[0])
        else:
            self.transport.writelines(pieces)

    def write_eof(self) -> None:
        """End this direction. TLS cannot end but one of them here: the upstream has a while to end the other."""
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.pool.half_closed.add(self)

    def await_head(self) -> None:
        """Start the time within which the response's head must come."""
        self.pool.awaiting_head.add(self)

    def head_came(self) -> None:
        """Stop that time."""
        self.pool.awaiting_head.discard(self)

    def pause(self) -> None:
        """Read no more of the response for now."""
        if self._reading and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()

    def release(self) -> None:
        """End a complete exchange: keep the connection for another if it is fit for one."""
        fit = self.reader is None or self.reader.reusable
        self._detach()
        if fit and not self.write_paused and not self.transport.is_closing():
            self.used = True
            self.resume()
            self.pool.keep(self)
        else:
            self.transport.close()

    def drop(self) -> None:
        """Abort the connection; its exchange hears nothing more."""
        self._detach()
        self.transport.abort()

    def cut(self) -> None:
        """Give up: the other direction did not end in time."""
        self._fail(UpstreamClosed("the request has ended, and the upstream did not end its part in time"))

    def expire(self) -> None:
        """Give up: the response's head did not come in time."""
        self._fail(UpstreamTimeout("the upstream sent no response head in time"))

    # -- transport callbacks ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the transport up; the pool takes the channel once it is told so."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)
        if not self.pool.upstream.path:
            bound_unsent(transport.get_extra_info("socket"))
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read the response; on an idle connection nothing may come."""
        if self._exchange is None or self.reader is None:
            self.drop()
            return
        try:
            events = self.reader.feed(data)
        except UpstreamInvalid as error:
            self._fail(error)
            return
        if events:
            self._exchange.on_upstream_events(events)

    def eof_received(self) -> bool:
        """Take the end of what the upstream sends; only an upgraded connection stays open for the other direction."""
        exchange, reader = self._exchange, self.reader
        self.pool.idle.discard(self)
        if exchange is None or reader is None:
            return False
        try:
            events = reader.eof()
        except UpstreamError as error:
            self._fail(error)
            return False
        exchange.on_upstream_events(events)
        return reader.upgraded and not self.transport.is_closing() and self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the pool; an exchange that still ran has failed."""
        self.pool.lost(self)
        self._fail(UpstreamClosed(f"the connection to the upstream broke: {exc or 'closed'}"))

    def pause_writing(self) -> None:
        """Tell writers to wait (they look at `write_paused`)."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Tell the exchange to go on."""
        self.write_paused = False
        if self._exchange is not None:
            self._exchange.on_upstream_writable()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _fail(self, error: UpstreamError) -> None:
        exchange = self._exchange
        self._detach()
        self.transport.abort()
        if exchange is not None:
            exchange.on_upstream_error(error)

    def _detach(self) -> None:
        pool = self.pool
        pool.awaiting_head.discard(self)
        pool.half_closed.discard(self)
        pool.idle.discard(self)
        self._exchange = None

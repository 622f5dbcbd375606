"""A public HTTP/1.1 connection: requests in, one at a time, and responses out in the same order.

What is read goes through one loop, `advance`, which takes things from the unread input for as long as it can. What
it may take is the state of reading:

    HEAD ──head──▶ BODY ──end of body──▶ HELD ──end of response──▶ HEAD
                     └──end of response──▶ DISCARD ──end of body──▶ HEAD
    HELD ──101──▶ TUNNEL
    any ──close──▶ LINGER ──client closes, or time is up──▶ CLOSED

A pipelined request waits unparsed until the response before it has ended, and above `max_pipeline` unread bytes reading
stops. Apart from that, reading never stops during a response, so a client that leaves is noticed at once.

There is one deadline a connection: for the head, the next request, or the client's goodbye. In a body and in a tunnel
it is a look at what has moved since the last one: a body has to keep to `body_rate`, a tunnel must not lie still.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from typing import Final

from edge.problem import Refusal
from h2s.engine.session import Fields
from h2s.http1 import ChunkedDecoder, LengthDecoder, MalformedMessage

from . import response
from .context import Context
from .head import HeadParser, RequestHead, bad_body, check_unfinished
from .http1_exchange import Http1Exchange
from .refused import LOGGED_LINE, guess_request
from .wire import Wire

__all__ = ["Http1Connection"]


class Reading(Enum):
    """What the next byte from the client is."""

    HEAD = "head"
    BODY = "body"
    HELD = "held"
    TUNNEL = "tunnel"
    DISCARD = "discard"
    LINGER = "linger"
    CLOSED = "closed"


# In compiled code a constant is found faster than an attribute of an Enum.
_HEAD: Final = Reading.HEAD
_BODY: Final = Reading.BODY
_HELD: Final = Reading.HELD
_TUNNEL: Final = Reading.TUNNEL
_DISCARD: Final = Reading.DISCARD
_LINGER: Final = Reading.LINGER
_CLOSED: Final = Reading.CLOSED


class Http1Connection(Wire):
    """One public connection that speaks HTTP/1.1 or HTTP/1.0."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._parser = HeadParser(context.limits)
        self._reading = _HEAD
        self._input = b""
        self._at = 0
        self._scanned = 0
        self._head_started = 0.0
        self._exchange: Http1Exchange | None = None
        self._decoder: LengthDecoder | ChunkedDecoder | None = None
        self._paused = False
        self._client_ended = False
        self._end_passed = False
        self._end_sent = False

    # -- transport callbacks --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start on a transport; the client has `head_timeout` to begin."""
        self._start(transport)
        self.context.connections.add(self)
        self._deadline.set(self._loop.time() + self._limits.head_timeout)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._received += len(data)
        reading = self._reading
        if reading is _LINGER or reading is _CLOSED:
            self._throw_away(len(data))
            return
        if self._at < len(self._input):
            data = self._input[self._at :] + data
        self._input = data
        self._at = 0
        self.advance()

    def eof_received(self) -> bool:
        """Take the client's end: of its direction in a tunnel, else of the connection."""
        if self._reading is _TUNNEL:
            self._client_ended = True
            self.advance()
            return self._scheme == b"http"
        self._client_gone()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the connection's end, whoever caused it."""
        self._client_gone()
        self._stop_timers()
        self.context.connections.discard(self)

    def resume_writing(self) -> None:
        """Let the gateway go on."""
        self._writable = True
        exchange = self._exchange
        if exchange is not None and exchange.waiting and not exchange.ended:
            exchange.waiting = False
            exchange.inbound.on_downstream_drained()

    # -- what the listener uses -----------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """No request is being read or answered."""
        return self._reading is _HEAD and self._at == len(self._input)

    def begin_drain(self) -> None:
        """Do nothing yet: the response in flight, or the next one, says `Connection: close`."""

    def close_idle(self) -> None:
        """Close if no request is under way."""
        if self.idle:
            self._linger()

    def abort(self) -> None:
        """Reset the connection whatever is under way."""
        self._client_gone()
        self._reset()

    # -- what the exchange uses -----------------------------------------------------------------------------------

    @property
    def request_done(self) -> bool:
        """The request in hand has been read to its end."""
        return self._reading is _HELD

    def cut(self) -> None:
        """Reset the connection at the wish of the gateway, which hears nothing more."""
        self._exchange = None
        self._reading = _CLOSED
        self._reset()

    def start_tunnel(self) -> None:
        """Pass on what follows the upgrade as it comes."""
        self._reading = _TUNNEL
        self._watch(self._limits.tunnel_timeout)
        self.advance()

    def pause_request(self, exchange: Http1Exchange) -> None:
        """Keep what comes of the request until `resume_request`."""
        if exchange is self._exchange and not self._paused:
            self._paused = True
            if self._reading is _BODY:
                self._deadline.clear()
            self._adjust_reading()

    def resume_request(self, exchange: Http1Exchange) -> None:
        """Go on passing on the request."""
        if exchange is self._exchange and self._paused:
            self._paused = False
            if self._reading is _BODY:
                self._watch(self._limits.body_timeout)
            self.advance()

    # -- reading --------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Take what can be taken of the input, then write what came of it. Calls from within are left to the loop."""
        if self._holding:
            return
        self._holding = True
        try:
            while self._settle() or self._step():
                pass
        finally:
            self._holding = False
        if self._at == len(self._input):
            self._input = b""
            self._at = 0
        self._adjust_reading()
        self._flush()

    def _step(self) -> bool:
        """Take one thing from the input. False: there is nothing that could be taken now."""
        reading = self._reading
        if reading is _HEAD:
            return self._read_head()
        if reading is _BODY or reading is _DISCARD:
            return self._read_body()
        if reading is _TUNNEL:
            return self._read_tunnel()
        return False

    def _read_head(self) -> bool:
        data = self._input
        while data.startswith(b"\r\n", self._at):
            self._at += 2
        at = self._at
        if at == len(data):
            return False
        end = data.find(b"\r\n\r\n", at + max(self._scanned - 3, 0)) + 4
        try:
            if end < 4:
                check_unfinished(data, at, self._limits, checked=self._scanned)
                self._wait_for_head(len(data) - at)
                return False
            self._at = end
            self._scanned = 0
            head = self._parser.parse(data if at == 0 and end == len(data) else data[at:end])
            if head.chunked:
                self._parser.check_chunks(data, end)
        except Refusal as refusal:
            self._refuse(refusal, data[at : at + LOGGED_LINE])
            return False
        self._begin(head)
        return True

    def _wait_for_head(self, size: int) -> None:
        self._scanned = size
        if not self._head_started:
            self._head_started = time.monotonic()
            self._deadline.set(self._loop.time() + self._limits.head_timeout)

    def _begin(self, head: RequestHead) -> None:
        """Hand a request to the gateway."""
        started = self._head_started or time.monotonic()
        self._head_started = 0.0
        self._deadline.clear()
        if head.chunked or head.length:
            most = self._limits.header_bytes
            self._decoder = ChunkedDecoder(most) if head.chunked else LengthDecoder(head.length)
            self._reading = _BODY
            self._watch(self._limits.body_timeout, unread=len(self._input) - self._at)
        else:
            self._reading = _HELD
        self._exchange = exchange = Http1Exchange(self, head)
        request = head.request(scheme=self._scheme, peer=self.peer, started=started)
        exchange.inbound = self.context.gateway.begin(request, exchange)

    def _read_body(self) -> bool:
        if self._at == len(self._input) or (self._paused and self._reading is _BODY):
            return False
        decoder = self._decoder
        assert decoder is not None
        before = self._at
        trailers: Fields = []
        try:
            content, self._at = decoder.decode(self._input, before)
            if decoder.trailers:
                trailers = self._parser.parse_trailers(decoder.trailers)
        except MalformedMessage as error:
            self._refuse(bad_body(error))
            return False
        except Refusal as refusal:
            self._refuse(refusal)
            return False
        if self._at == before:
            return False
        if self._reading is _BODY:
            self._pass_on(content, trailers, ended=decoder.done)
            return True
        self._budget -= self._at - before
        if decoder.done:
            self._next()
        elif self._budget < 0:
            self._linger()
        return True

    def _pass_on(self, content: bytes, trailers: Fields, *, ended: bool) -> None:
        exchange = self._exchange
        assert exchange is not None
        if ended:
            self._reading = _HELD
            self._deadline.clear()
        if content or (ended and not trailers):
            exchange.inbound.on_request_data(content, end_stream=ended and not trailers)
        if trailers and not exchange.ended:
            exchange.inbound.on_request_trailers(trailers)

    def _read_tunnel(self) -> bool:
        exchange = self._exchange
        assert exchange is not None
        if self._paused:
            return False
        data = self._input[self._at :] if self._at else self._input
        self._input = b""
        self._at = 0
        if data:
            exchange.inbound.on_request_data(data, end_stream=False)
            return True
        if self._client_ended and not self._end_passed:
            self._end_passed = True
            exchange.inbound.on_request_data(b"", end_stream=True)
            return True
        return False

    def _adjust_reading(self) -> None:
        """Have the transport read, or not."""
        reading = self._reading
        if reading is _BODY or reading is _TUNNEL:
            paused = self._paused
        elif reading is _HELD:
            paused = len(self._input) - self._at > self._limits.max_pipeline
        else:
            paused = reading is _LINGER and self._budget < 0
        self._pause_reading(paused)

    # -- endings --------------------------------------------------------------------------------------------------

    def _settle(self) -> bool:
        """Do what follows the end of a response. False: no response has ended."""
        exchange = self._exchange
        if exchange is None or not exchange.ended:
            return False
        if self._reading is _TUNNEL:
            return self._settle_tunnel()
        self._exchange = None
        del exchange.inbound  # the two name each other: nothing is left for the garbage collector
        self._paused = False
        if exchange.close:
            self._linger()
        elif self._reading is _HELD:
            self._next()
        else:
            self._reading = _DISCARD
            self._budget = self._limits.discard
            self._deadline.set(self._loop.time() + self._limits.linger_timeout)
        return True

    def _settle_tunnel(self) -> bool:
        """End our direction, and the connection once both have ended or TLS leaves no choice."""
        if not self._end_sent:
            self._end_sent = True
            self._flush()
            if self._transport.can_write_eof() and not self._end_passed:
                self._transport.write_eof()
                self._watch(self._limits.idle_timeout)
                return True
        elif not self._end_passed:
            return False
        if self._end_passed:
            self._exchange = None
            self._reading = _CLOSED
        self._transport.close()
        return True

    def _next(self) -> None:
        """Wait for the next request."""
        self._reading = _HEAD
        self._deadline.set(self._loop.time() + self._limits.idle_timeout)

    def _refuse(self, refusal: Refusal, head: bytes = b"") -> None:
        """Answer with a problem, or cut the response that has begun, and end the connection.

        `head` is what has come of a request that the gateway has not heard of.
        """
        exchange = self._exchange
        if self._reading is _DISCARD:
            self._linger()
            return
        self._client_gone(refusal)
        if exchange is not None and exchange.head_sent:
            self.abort()
            return
        request_id = b""
        if head:
            started = self._head_started or time.monotonic()
            request = guess_request(head, scheme=self._scheme, peer=self.peer, started=started)
            request_id = self.context.gateway.refused(request, refusal.status, refusal.code)
        self.write(response.encode_refusal(refusal, self.context.date(), request_id))
        self._linger()

    def _linger(self) -> None:
        """End the connection once the client has read what was sent."""
        unread = self._at < len(self._input) or self._reading not in (_HEAD, _HELD)
        self._reading = _LINGER
        self._input = b""
        self._at = 0
        self._say_goodbye(unread=unread)

    def _client_gone(self, refused: Refusal | None = None) -> None:
        """Tell the gateway, unless both are done with the exchange."""
        exchange, self._exchange = self._exchange, None
        tunnel = self._reading is _TUNNEL
        self._reading = _CLOSED
        if exchange is not None and (tunnel or not exchange.ended):
            exchange.ended = True
            exchange.inbound.on_client_gone(refused)

    def on_deadline(self) -> None:
        """Let go of a client that took too long."""
        reading = self._reading
        limits = self._limits
        if reading is _DISCARD or (reading is _HEAD and not self._head_started):
            self._linger()
        elif reading is _BODY and self._moved >= self._least_of_body():
            self._watch(limits.body_timeout)
        elif reading is _HEAD or reading is _BODY:
            head = self._input[self._at : self._at + LOGGED_LINE] if self._reading is _HEAD else b""
            self._refuse(Refusal(408, "timeout", "The request did not come in time."), head)
        elif reading is _LINGER:
            self._end_lingering()
        elif reading is _TUNNEL and self._moved:
            self._watch(limits.idle_timeout if self._end_sent else limits.tunnel_timeout)
        else:
            self.abort()

    def _least_of_body(self) -> float:
        """Return how many bytes have to move in `body_timeout`; a client that is answered already has more time."""
        if self._exchange is not None and self._exchange.head_sent:
            return 1
        return max(1, self._limits.body_rate * self._limits.body_timeout)

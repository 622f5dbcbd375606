"""One public request and its answer: the hot path of the edge.

Theory of operation. An `Exchange` joins two streams. On one side stands the `Downstream`, the public client's half,
which calls the `on_request_*` methods; on the other a stream in a tunnel, which calls the `Stream` methods. Nothing
here waits: each call moves bytes or a state and returns.

    begin ─▶ attempt ─▶ open a stream in a tunnel ─▶ head ─▶ body ─▶ end ─▶ finished (logged once)
              ▲ │ ▲                              │
        admit │ │ └────── retry, if it is safe ◀─┘  the tunnel refused it, or died before an answer
              │ ▼
              wait, if all instances are full (`edge.waiting`)

A request is tried again only when that cannot run it twice: the agent surely did not act on it, or the method is
idempotent; and in either case only while none of the request's body has gone out, since the edge keeps no copy.

Backpressure. A body that `Downstream.send_data` will take no more of is not credited: the stream's window in the
tunnel closes, and what is owed is counted in the budget. One that queues towards the agent pauses the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from h2s.engine.session import Fields
from h2s.errors import ErrorCode, NoFreeStream
from h2s.window import WindowGrowth
from h2s.wire import ERROR_FIELD, INTERNAL_PREFIX

from .accesslog import Entry
from .balance import pick_tunnel, way_to
from .failure import BROKEN_OFF, NEVER_SENT, REFUSED, TUNNEL_LOST, agent_failure, client_answer
from .forwarded import tunnel_fields, tunnel_trailers, without_internal
from .message import Downstream, Request
from .policies import Chain
from .problem import Refusal, problem
from .registry import Instance, Tunnel

if TYPE_CHECKING:
    from .gateway import EdgeGateway
    from .routing import Destination

__all__ = ["Exchange"]

MAX_RETRIES: Final = 2

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""RFC 9110 §9.2.2."""

CLIENT_GONE_STATUS = 499
"""Logged when the client left before its answer was complete (nginx's number for it)."""


class Exchange(Entry):
    """One request in flight; an `edge.message.Inbound` and an `h2s.connection.Stream`."""

    __slots__ = (
        "_body_sent",
        "_destination",
        "_downstream",
        "_edits",
        "_finished",
        "_gateway",
        "_growth",
        "_head_sent",
        "_held",
        "_held_trailers",
        "_is_upgrade",
        "_owed",
        "_queued",
        "_request_ended",
        "_request_paused",
        "_response_ended",
        "_stream_id",
        "_tried",
        "_tunnel",
        "opened_at",
    )

    def __init__(
        self, gateway: EdgeGateway, request: Request, downstream: Downstream, request_id: bytes
    ) -> None:
        super().__init__(request, request_id)
        self.opened_at = 0.0
        self._gateway = gateway
        self._downstream = downstream
        self._destination: Destination | None = None
        self._edits: Chain | None = None
        """Policies that have something to change in the response's head."""
        self._tunnel: Tunnel | None = None
        self._stream_id = 0
        self._tried: tuple[Instance, ...] = ()
        self._held: list[bytes] | None = None
        """What has come of the request's body while it waits; None: it does not."""
        self._held_trailers: Fields | None = None
        self._growth: WindowGrowth | None = None
        self._owed = 0
        """Bytes that the client has not taken, and the stream's window has not been given back for."""
        self._queued = 0
        """Bytes that the agent had not taken when the client was last told to wait."""
        self._is_upgrade = request.upgrade is not None
        self._request_ended = request.end_stream
        self._request_paused = False
        self._body_sent = False
        self._head_sent = False
        self._response_ended = False
        self._finished = False

    # -- starting ----------------------------------------------------------------------------------------------------

    def start(self, destination: Destination | None, policies: Chain | None) -> None:
        """Send the request to an instance of `destination` under its policies, or answer why not."""
        if destination is None:
            self._answer(404, "no_route", "No route and no service matches this host.")
            return
        self._destination = destination
        self.service_name = destination.service_name
        if policies is not None:
            if policies.edits_response:
                self._edits = policies
            try:
                policies.enter(self.request)
            except Refusal as refusal:
                self.refuse(refusal)
                return
        room = self._gateway.room
        if room.size and room.has_line(destination) and destination.has_others(()):
            if not self._wait():
                self._answer_full()
        elif not self._attempt() and not self._wait():
            if destination.has_others(self._tried):
                self._answer_full()
            else:
                self._answer(
                    503, "no_healthy_instance", f"No healthy instance of {destination} can take the request."
                )

    def refuse(self, refusal: Refusal) -> None:
        """Answer that the request goes no further."""
        self._answer(refusal.status, refusal.code, refusal.detail)

    def _attempt(self, lost: Tunnel | None = None) -> bool:
        """Send the request to an instance not tried yet, else through another tunnel of the one that `lost` led to."""
        destination = self._destination
        assert destination is not None
        while (picked := destination.pick(tried=self._tried, random=self._gateway.random)) is not None:
            if self._open(*picked):
                return True
        if lost is None or self.instance is None:
            return False
        instance = self.instance
        if instance.in_flight >= instance.limit:
            return False
        other = pick_tunnel([tunnel for tunnel in instance.agent.tunnels if tunnel is not lost])
        return other is not None and self._open(instance, other)

    def _open(self, instance: Instance, tunnel: Tunnel) -> bool:
        request = self.request
        self._tried = (*self._tried, instance)
        fields = tunnel_fields(request, service=instance.service.encode(), request_id=self.request_id)
        try:
            self._stream_id = tunnel.connection.open(fields, self, end_stream=request.end_stream)
        except NoFreeStream:
            return False
        instance.in_flight += 1
        tunnel.in_flight += 1
        self.instance = instance
        self.service_name = instance.service
        self._tunnel = tunnel
        self.opened_at = self._gateway.time()
        return True

    # -- waiting (edge.waiting) --------------------------------------------------------------------------------------

    def _wait(self) -> bool:
        """Wait for an instance that is full now; False if there is none, or no place to wait."""
        destination = self._destination
        assert destination is not None
        if not destination.has_others(self._tried) or not self._gateway.room.enter(self, destination):
            return False
        self._held = []
        if not self._request_ended:
            self._request_paused = True
            self._downstream.pause_request()
        return True

    def admit(self, instance: Instance) -> bool:
        """Take the place that an instance has; False if it is not for this request, which then waits on."""
        if instance in self._tried:
            return False
        tunnel = way_to(instance)
        if tunnel is None or not self._open(instance, tunnel):
            return False
        held, self._held = self._held, None
        self._gateway.room.leave(self)
        self._queued = 0
        self._send_held(tunnel, held or [])
        self._hold()
        if self._request_paused and not self._queued and not self._finished:
            self._request_paused = False
            self._downstream.resume_request()
        return True

    def _send_held(self, tunnel: Tunnel, held: list[bytes]) -> None:
        """Send what has come of the request meanwhile."""
        trailers, self._held_trailers = self._held_trailers, None
        while held and not self._finished:
            data = held.pop(0)
            self._body_sent = True
            last = self._request_ended and trailers is None and not held
            if not tunnel.connection.send_data(self._stream_id, data, end_stream=last):
                self._wait_for_agent(tunnel)
        if trailers is not None and not self._finished:
            self._body_sent = True
            tunnel.connection.send_trailers(self._stream_id, trailers)

    def give_up(self) -> None:
        """It has waited long enough."""
        self._answer(
            503, "queue_timeout", f"All instances of {self._destination} had as much to do as they take."
        )

    def _answer_full(self) -> None:
        self._answer(
            503, "at_capacity", f"All instances of {self._destination} have as much to do as they take."
        )

    def _stop_waiting(self) -> None:
        self._held = self._held_trailers = None
        self._gateway.room.leave(self)
        self._queued = 0
        self._hold()

    # -- from the client (edge.message.Inbound) ----------------------------------------------------------------------

    def on_request_data(self, data: bytes, *, end_stream: bool) -> None:
        """Pass a piece of the request's body on."""
        tunnel = self._tunnel
        if tunnel is None:
            if self._held is not None:
                self.bytes_in += len(data)
                self._request_ended = end_stream
                self._held.append(data)
                self._queued += len(data)
                self._hold()
            return
        self.bytes_in += len(data)
        self._body_sent = True
        self._request_ended = end_stream
        if not tunnel.connection.send_data(self._stream_id, data, end_stream=end_stream):
            self._wait_for_agent(tunnel)
        if end_stream and self._response_ended:
            self._finish()

    def on_request_trailers(self, fields: Fields) -> None:
        """Pass the request's trailer section on."""
        tunnel = self._tunnel
        if tunnel is None:
            if self._held is not None:
                self._request_ended = True
                self._held_trailers = tunnel_trailers(fields)
            return
        self._body_sent = self._request_ended = True
        tunnel.connection.send_trailers(self._stream_id, tunnel_trailers(fields))
        if self._response_ended:
            self._finish()

    def on_downstream_drained(self) -> None:
        """The client has taken what it would not: open the tunnel's window again."""
        if self._owed and self._tunnel is not None:
            owed, self._owed = self._owed, 0
            self._hold()
            self._tunnel.connection.credit(self._stream_id, owed)

    def on_client_gone(self, refused: Refusal | None = None) -> None:
        """Stop the agent's work for a client that is not there any more, or was refused the rest of its request."""
        if self._finished:
            return
        self._reset(ErrorCode.CANCEL)
        if not self._response_ended:
            self.error = self.error or (refused.code if refused is not None else "client_gone")
        if not self._head_sent:
            self.status = refused.status if refused is not None else CLIENT_GONE_STATUS
        self._finish()

    # -- from the agent (h2s.connection.Stream) ----------------------------------------------------------------------

    def on_informational(self, fields: Fields) -> None:
        """Pass a 1xx head on."""
        self._downstream.send_informational(status_of(fields), without_internal(fields[1:]))

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Pass the response's head on, or act on the agent's word that there is none."""
        self.upstream_time = self._gateway.time() - self.opened_at
        status = status_of(fields)
        kept = []
        for field in fields[1:]:
            name = field[0]
            if name[:4] == INTERNAL_PREFIX:
                if name == ERROR_FIELD:
                    self._on_agent_error(fields, is_over=end_stream and self._request_ended)
                    return
            else:
                kept.append(field)
        self.status = status
        instance = self.instance
        if 502 <= status <= 504:
            self._gateway.failed(instance)
        elif instance is not None and instance.failures:
            instance.failures = 0
        self._head_sent = True
        if self._edits is not None:
            kept = self._edits.edit_response(kept)
        self._downstream.send_head(status, kept, end_stream=end_stream)
        if self._is_upgrade and not 200 <= status < 300:
            self._is_upgrade = False
        if end_stream:
            self._end_response()

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """Pass a piece of the response's body on; credit it when the client has room."""
        self.bytes_out += len(data)
        taken = self._downstream.send_data(data, end_stream=end_stream)
        if end_stream:
            self._end_response()
        elif taken:
            self._credit(flow)
        else:
            self._wait_for_client(flow)

    def on_trailers(self, fields: Fields) -> None:
        """Pass the response's trailer section on; it ends the response."""
        self._downstream.send_trailers(without_internal(fields))
        self._end_response()

    def on_reset(self, code: int, processed: bool) -> None:
        """The stream is gone: try elsewhere if that is safe, or tell the client."""
        if self._finished:
            return
        if self._response_ended:
            self._finish()
            return
        lost = self._tunnel
        self._detach()
        if self._head_sent:
            self.error = self.error or "tunnel_reset"
            self._cut()
            return
        self.error = TUNNEL_LOST if processed else REFUSED
        if processed and lost is not None and not lost.connection.closed:
            self._gateway.failed(self.instance)
        if not (self._may_retry(processed) and self._retry(lost)):
            self._answer(*client_answer(self.error))

    def on_drained(self) -> None:
        """The tunnel has taken the request's body: let the client go on."""
        self._queued = 0
        self._hold()
        if self._request_paused:
            self._request_paused = False
            self._downstream.resume_request()

    # -- h2s.budget.Holder -------------------------------------------------------------------------------------------

    def shed(self) -> None:
        """Cut this exchange: it holds the most while memory is short."""
        if self._finished:
            return
        self.error = "memory_limit"
        self._reset(ErrorCode.CANCEL)
        if self._response_ended:
            self._finish()
        elif self._head_sent:
            self._cut()
        else:
            self._answer(503, "memory_limit", "The edge is short of memory.")

    # -- inside ------------------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Tell the budget what this exchange holds in both directions. It may answer with `shed`."""
        ahead = self._owed and self._downstream.write_ahead
        self._gateway.budget.update(self, self._queued + self._owed + ahead)

    def _wait_for_agent(self, tunnel: Tunnel) -> None:
        """The tunnel's session queues what the agent does not take: have the client wait."""
        self._queued = tunnel.connection.session.queued(self._stream_id)
        if not self._request_paused and not self._request_ended:
            self._request_paused = True
            self._downstream.pause_request()
        self._hold()

    def _wait_for_client(self, flow: int) -> None:
        """The client does not take what comes: have the agent wait, by owing it the window."""
        self._owed += flow
        self._window_growth().stalled()
        self._hold()

    def _credit(self, flow: int) -> None:
        tunnel = self._tunnel
        if tunnel is None:
            return
        connection = tunnel.connection
        connection.credit(self._stream_id, flow)
        wider = self._window_growth().passed(flow)
        if wider and self._gateway.budget.has_room:
            connection.session.widen(self._stream_id, wider)

    def _window_growth(self) -> WindowGrowth:
        growth = self._growth
        if growth is None:
            assert self._tunnel is not None
            limits = self._tunnel.connection.session.limits
            growth = self._growth = WindowGrowth(limits.stream_window)
        return growth

    def _on_agent_error(self, fields: Fields, *, is_over: bool) -> None:
        """The agent answers in the app's stead; `is_over` says that the stream has ended both ways."""
        code, self.error = agent_failure(fields)
        self._gateway.failed(self.instance)
        if is_over:
            self._detach()
        else:
            self._reset(ErrorCode.NO_ERROR)
        never_sent = code in NEVER_SENT
        may_help = never_sent or code in BROKEN_OFF
        if not (may_help and self._may_retry(processed=not never_sent) and self._retry()):
            self._answer(*client_answer(self.error))

    def _may_retry(self, processed: bool) -> bool:
        return (
            not self._body_sent
            and self.retries < MAX_RETRIES
            and (not processed or (self.request.method in IDEMPOTENT and not self._is_upgrade))
        )

    def _retry(self, lost: Tunnel | None = None) -> bool:
        if not self._attempt(lost) and not self._wait():
            return False
        self.retries += 1
        self._gateway.counters.retries += 1
        self.error = ""
        return True

    def _answer(self, status: int, code: str, detail: str) -> None:
        """Answer in the edge's own name."""
        self.status = status
        self.error = self.error or code
        fields, body = problem(status, code, detail, self.request_id)
        if status == 503:
            fields = [*fields, (b"retry-after", b"1")]
        if self._edits is not None:
            fields = self._edits.edit_response(fields)
        self._head_sent = self._response_ended = True
        is_head = self.request.method == b"HEAD"
        self._downstream.send_head(status, fields, end_stream=is_head)
        if not is_head:
            self.bytes_out += len(body)
            self._downstream.send_data(body, end_stream=True)
        self._finish()

    def _cut(self) -> None:
        """The response cannot be completed: the client must see that."""
        self._downstream.abort()
        self._finish()

    def _end_response(self) -> None:
        self._response_ended = True
        if self._request_ended:
            self._finish()
        elif not self._is_upgrade:
            self._reset(ErrorCode.NO_ERROR)
            self._finish()

    def _reset(self, code: ErrorCode) -> None:
        """End the tunnel's stream, if there is one."""
        if self._tunnel is not None:
            self._tunnel.connection.reset(self._stream_id, code)
            self._detach()

    def _detach(self) -> None:
        """Let go of the tunnel's stream and of what is counted for it.

        A client that was told to wait stays so: what follows is the end of its exchange, since a request with a body
        under way is never tried again.
        """
        tunnel = self._tunnel
        if tunnel is None:
            return
        self._tunnel = None
        tunnel.connection.forget(self._stream_id)
        tunnel.release()
        instance = self.instance
        assert instance is not None
        instance.in_flight -= 1
        room = self._gateway.room
        if room.size:
            room.freed(instance)
        self._queued = self._owed = 0
        self._hold()

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        if self._held is not None:
            self._stop_waiting()
        self._detach()
        self._gateway.finished(self)


_STATUSES: Final = {b"%d" % status: status for status in range(100, 600)}


def status_of(fields: Fields) -> int:
    """Return the status of a response's head."""
    value = fields[0][1]
    return _STATUSES.get(value) or int(value)

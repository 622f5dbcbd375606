"""One public request and its answer: the hot path of the edge.

Theory of operation. An `Exchange` joins two streams. On one side stands the `Downstream`, the public client's half,
which calls the `on_request_*` methods; on the other a stream in a tunnel, which calls the `Stream` methods. Nothing
here waits: each call moves bytes or a state and returns.

    begin ─▶ attempt ─▶ open a stream in a tunnel ─▶ head ─▶ body ─▶ end ─▶ finished (logged once)
               ▲                                 │
               └───────── retry, if it is safe ◀─┘  the tunnel refused it, or died before an answer

A request is tried again only when that cannot run it twice: the agent surely did not act on it, or the method is
idempotent; and in either case only while none of the request's body has gone out, since the edge keeps no copy.

Backpressure. A body towards the client that `Downstream.send_data` will not take more of is not credited: the
stream's window in the tunnel closes, and what is owed is counted in the budget. A body towards the agent that queues
up in the tunnel's session pauses the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2s.engine.session import Fields
from h2s.errors import ErrorCode, NoFreeStream
from h2s.window import WindowGrowth
from h2s.wire import ERROR_DETAIL_FIELD, ERROR_FIELD, INTERNAL_PREFIX, SERVICE_FIELD

from .balance import pick
from .message import Downstream, Request
from .problem import problem
from .registry import Instance, Service, Tunnel

if TYPE_CHECKING:
    from .gateway import EdgeGateway

__all__ = ["Exchange"]

MAX_ATTEMPTS = 3

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""RFC 9110 §9.2.2."""

EDGE_FIELDS = frozenset(
    (
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-forwarded-port",
        b"x-real-ip",
        b"x-request-id",
    )
)
"""Fields that say who the client is; whatever the client sent in them is deleted."""

UPSTREAM_ERRORS = {
    "upstream-refused": (502, "The app refused the connection."),
    "upstream-connect-timeout": (504, "The app could not be connected to in time."),
    "upstream-timeout": (504, "The app did not answer in time."),
    "upstream-closed": (502, "The app closed the connection before it answered."),
    "upstream-invalid": (502, "The app's answer is not valid HTTP."),
}
NEVER_SENT = frozenset(("upstream-refused", "upstream-connect-timeout", "no-such-service"))
"""Errors of an agent after which the app surely has not seen the request."""

CLIENT_GONE_STATUS = 499
"""Logged when the client left before its answer was complete (nginx's number for it)."""


class Exchange:
    """One request in flight; an `edge.message.Inbound` and an `h2s.connection.Stream`."""

    __slots__ = (
        "_body_sent",
        "_downstream",
        "_finished",
        "_gateway",
        "_growth",
        "_head_sent",
        "_is_upgrade",
        "_owed",
        "_request_ended",
        "_request_paused",
        "_response_ended",
        "_service",
        "_stream_id",
        "_tried",
        "_tunnel",
        "bytes_in",
        "bytes_out",
        "error",
        "instance",
        "opened_at",
        "request",
        "request_id",
        "retries",
        "service_name",
        "status",
        "upstream_time",
    )

    def __init__(self, gateway: EdgeGateway, request: Request, downstream: Downstream, request_id: bytes) -> None:
        self.request = request
        self.request_id = request_id
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.error = ""
        self.retries = 0
        self.service_name = ""
        self.instance: Instance | None = None
        self.opened_at = 0.0
        self.upstream_time: float | None = None
        """Seconds from opening the stream to the response's head."""
        self._gateway = gateway
        self._downstream = downstream
        self._service: Service | None = None
        self._tunnel: Tunnel | None = None
        self._stream_id = 0
        self._tried: tuple[Instance, ...] = ()
        self._growth: WindowGrowth | None = None
        self._owed = 0
        self._is_upgrade = request.upgrade is not None
        self._request_ended = request.end_stream
        self._request_paused = False
        self._body_sent = False
        self._head_sent = False
        self._response_ended = False
        self._finished = False

    # -- starting ----------------------------------------------------------------------------------------------------

    def start(self, service: Service | None) -> None:
        """Send the request to an instance of `service`, or answer why not."""
        if service is None:
            self._answer(404, "no_route", "No route and no service matches this host.")
            return
        self._service = service
        self.service_name = service.name
        self._attempt()

    def _attempt(self) -> None:
        gateway = self._gateway
        service = self._service
        assert service is not None
        while (picked := pick(service, tried=self._tried, random=gateway.random)) is not None:
            instance, tunnel = picked
            self._tried = (*self._tried, instance)
            try:
                self._stream_id = tunnel.connection.open(
                    self._tunnel_fields(), self, end_stream=self.request.end_stream
                )
            except NoFreeStream:
                continue
            instance.in_flight += 1
            tunnel.in_flight += 1
            self.instance = instance
            self._tunnel = tunnel
            self.opened_at = gateway.time()
            return
        if self.error:
            self._answer_error()
            return
        self._answer(503, "no_healthy_instance", f"No healthy instance of {service.name!r} can take the request.")

    def _tunnel_fields(self) -> Fields:
        request = self.request
        fields: Fields
        if self._is_upgrade:
            fields = [(b":method", b"CONNECT"), (b":protocol", request.upgrade or b"")]
        else:
            fields = [(b":method", request.method)]
        fields.append((b":scheme", request.scheme))
        if request.authority:
            fields.append((b":authority", request.authority))
        fields.append((b":path", request.path))
        fields += [field for field in request.fields if field[0] not in EDGE_FIELDS]
        peer = request.peer.encode()
        node = b'"[' + peer + b']"' if b":" in peer else peer
        fields += (
            (b"x-forwarded-for", peer),
            (b"x-forwarded-proto", request.scheme),
            (b"x-forwarded-host", request.authority),
            (b"forwarded", b'for=%b;host="%b";proto=%b' % (node, request.authority, request.scheme)),
            (b"x-request-id", self.request_id),
            (SERVICE_FIELD, self.service_name.encode()),
        )
        return fields

    # -- from the client (edge.message.Inbound) ----------------------------------------------------------------------

    def on_request_data(self, data: bytes, *, end_stream: bool) -> None:
        """Pass a piece of the request's body on."""
        self.bytes_in += len(data)
        self._request_ended = end_stream
        tunnel = self._tunnel
        if tunnel is None:
            return
        self._body_sent = True
        connection = tunnel.connection
        if not connection.send_data(self._stream_id, data, end_stream=end_stream) and not self._request_paused:
            self._request_paused = True
            self._downstream.pause_request()
            self._hold(connection.session.queued(self._stream_id))
        if self._response_ended and end_stream:
            self._finish()

    def on_request_trailers(self, fields: Fields) -> None:
        """Pass the request's trailer section on."""
        self._request_ended = True
        if self._tunnel is not None:
            self._body_sent = True
            kept = [f for f in fields if not f[0].startswith(INTERNAL_PREFIX) and f[0] not in EDGE_FIELDS]
            self._tunnel.connection.send_trailers(self._stream_id, kept)

    def on_downstream_drained(self) -> None:
        """The client has taken what it would not: open the tunnel's window again."""
        if self._owed:
            owed, self._owed = self._owed, 0
            self._hold(0)
            if self._tunnel is not None:
                self._tunnel.connection.credit(self._stream_id, owed)

    def on_client_gone(self) -> None:
        """Stop the agent's work for a client that is not there any more."""
        if self._finished:
            return
        if self._tunnel is not None:
            self._tunnel.connection.reset(self._stream_id, ErrorCode.CANCEL)
        if not self._response_ended:
            self.error = self.error or "client_gone"
        if not self._head_sent:
            self.status = CLIENT_GONE_STATUS
        self._finish()

    # -- from the agent (h2s.connection.Stream) ----------------------------------------------------------------------

    def on_informational(self, fields: Fields) -> None:
        """Pass a 1xx head on."""
        status = int(fields[0][1])
        kept = [field for field in fields[1:] if not field[0].startswith(INTERNAL_PREFIX)]
        self._downstream.send_informational(status, kept)

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Pass the response's head on, or act on the agent's word that there is none."""
        self.upstream_time = self._gateway.time() - self.opened_at
        status = int(fields[0][1])
        kept = []
        for field in fields[1:]:
            if field[0].startswith(INTERNAL_PREFIX):
                if field[0] == ERROR_FIELD:
                    self._on_agent_error(fields)
                    return
            else:
                kept.append(field)
        self.status = status
        self._head_sent = True
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
            self._owed += flow
            if self._growth is not None:
                self._growth.stalled()
            self._hold(0)

    def on_trailers(self, fields: Fields) -> None:
        """Pass the response's trailer section on; it ends the response."""
        kept = [field for field in fields if not field[0].startswith(INTERNAL_PREFIX)]
        self._downstream.send_trailers(kept)
        self._end_response()

    def on_reset(self, code: int, processed: bool) -> None:
        """The stream is gone: try elsewhere if that is safe, or tell the client."""
        if self._finished:
            return
        if self._response_ended:
            self._finish()
            return
        self._detach()
        if not self._head_sent and self._may_retry(processed):
            self._retry("tunnel_lost" if processed else "refused")
            return
        self.error = self.error or "tunnel_reset"
        if self._head_sent:
            self._cut()
        else:
            self._answer(502, "tunnel_lost", "The tunnel to the app was lost before it answered.")

    def on_drained(self) -> None:
        """The tunnel has taken the request's body: let the client go on."""
        if self._request_paused:
            self._request_paused = False
            self._hold(0)
            self._downstream.resume_request()

    # -- edge.budget.Holder ------------------------------------------------------------------------------------------

    def shed(self) -> None:
        """Cut this exchange: it holds the most while memory is short."""
        if self._finished:
            return
        self.error = "memory_limit"
        if self._tunnel is not None:
            self._tunnel.connection.reset(self._stream_id, ErrorCode.CANCEL)
        if self._head_sent:
            self._cut()
        else:
            self._answer(503, "memory_limit", "The edge is short of memory.")

    # -- inside ------------------------------------------------------------------------------------------------------

    def _hold(self, queued: int) -> None:
        """Tell the budget what this exchange holds: `queued` towards the agent, what is owed towards the client."""
        self._gateway.budget.update(self, queued + self._owed)

    def _credit(self, flow: int) -> None:
        tunnel = self._tunnel
        if tunnel is None:
            return
        tunnel.connection.credit(self._stream_id, flow)
        growth = self._growth
        if growth is None:
            growth = self._growth = WindowGrowth(tunnel.connection.session.limits.stream_window)
        wider = growth.passed(flow)
        if wider and self._gateway.budget.has_room:
            tunnel.connection.session.widen(self._stream_id, wider)

    def _on_agent_error(self, fields: Fields) -> None:
        found = dict(fields)
        code = found[ERROR_FIELD].decode("latin-1")
        detail = found.get(ERROR_DETAIL_FIELD, b"").decode("latin-1")
        self.error = f"{code}: {detail}" if detail else code
        never_sent = code in NEVER_SENT
        if self._tunnel is not None and not self._request_ended:
            self._tunnel.connection.reset(self._stream_id, ErrorCode.NO_ERROR)
        self._detach()
        if never_sent and self._may_retry(processed=False):
            self._retry(code)
        else:
            self._answer_error()

    def _may_retry(self, processed: bool) -> bool:
        return (
            not self._body_sent
            and len(self._tried) < MAX_ATTEMPTS
            and (not processed or (self.request.method in IDEMPOTENT and not self._is_upgrade))
        )

    def _retry(self, why: str) -> None:
        self.retries += 1
        self._gateway.counters.retries += 1
        self.error = self.error or why
        previous = self.instance
        self._attempt()
        if self._tunnel is not None and self.instance is not previous:
            self.error = ""

    def _answer_error(self) -> None:
        """Answer with what the last attempt came to."""
        code = self.error.partition(":")[0]
        status, detail = UPSTREAM_ERRORS.get(code, (502, "The app could not be reached."))
        self._answer(status, code.replace("-", "_"), detail)

    def _answer(self, status: int, code: str, detail: str) -> None:
        """Answer in the edge's own name."""
        self.status = status
        self.error = self.error or code
        fields, body = problem(status, code, detail, self.request_id)
        if status == 503:
            fields = [*fields, (b"retry-after", b"1")]
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
            assert self._tunnel is not None
            self._tunnel.connection.reset(self._stream_id, ErrorCode.NO_ERROR)
            self._finish()

    def _detach(self) -> None:
        """Let go of the tunnel's stream and of what is counted for it."""
        tunnel = self._tunnel
        if tunnel is None:
            return
        self._tunnel = None
        tunnel.connection.forget(self._stream_id)
        tunnel.release()
        assert self.instance is not None
        self.instance.in_flight -= 1
        self._owed = 0
        self._hold(0)
        if self._request_paused:
            self._request_paused = False
            self._downstream.resume_request()

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        self._detach()
        self._gateway.finished(self)

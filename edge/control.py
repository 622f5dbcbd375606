"""The control calls of one tunnel, from the edge's side: Sync, Poll and Inspect.

What an agent says of its instances comes unasked on Sync and, now and again, as the answer to a Poll; both are the same
to whoever acts on them. Reports are taken one at a time with a pause after each, and of those that come in it the
last counts. An agent is polled on one of its tunnels, the first.

What an agent says that makes no sense is complained of once a tunnel, and ignored. What breaks the rules of the channel
ends the call, and with Sync the tunnel.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from h2s.connection import Connection
from h2s.control import INSPECT, POLL, SYNC, Channel, Code, ControlError, call_unary, open_call
from h2s.errors import ErrorCode, NoFreeStream, RemoteProtocolError
from h2s.messages import (
    AgentMessage,
    Drain,
    DrainAck,
    EdgeMessage,
    Inspection,
    InspectRequest,
    PollRequest,
    Report,
)

__all__ = ["POLL_INTERVAL", "REPORT_TIMEOUT", "AgentControl"]

REPORT_TIMEOUT = 10.0
"""Seconds after the swap in which the first Report must come."""
REPORT_PAUSE = 0.05
"""Seconds after a Report in which a later one waits; of those that come meanwhile the last counts."""
CHANGE_PAUSE = 0.02
"""Seconds more for each change that the Report made: each is a line of the log, and work for others."""
POLL_INTERVAL = 60.0
"""Seconds between two Polls of an agent."""
JITTER = 0.2
"""Part of the interval by which one Poll may come earlier or later."""


class AgentControl:
    """Sync, Poll and Inspect on one connection.

    `on_report` acts on a Report and returns how much of it is new; `on_draining` hears that the agent is leaving;
    `on_oddity` of what an agent says that makes no sense; `is_first` tells whether to poll on this tunnel.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        nonce: str,
        poll_interval: float,
        is_first: Callable[[], bool],
        on_report: Callable[[Report], int],
        on_draining: Callable[[], None],
        on_oddity: Callable[[str], None],
    ) -> None:
        """The first Report is due within `REPORT_TIMEOUT` from now."""
        self._connection = connection
        self._nonce = nonce
        self._poll_interval = poll_interval
        self._is_first = is_first
        self._on_report = on_report
        self._on_draining = on_draining
        self._on_oddity = on_oddity
        self._loop = asyncio.get_running_loop()
        self._sync: Channel | None = None
        self._awaiting: asyncio.TimerHandle | None = self._loop.call_later(REPORT_TIMEOUT, self._on_silence)
        self._report: Report | None = None
        """The last one, if it waits."""
        self._report_due = 0.0
        """When the next one may be taken."""
        self._pause: asyncio.TimerHandle | None = None
        self._poll_timer: asyncio.TimerHandle | None = None
        self._polling: Channel | None = None
        self._odd: set[str] = set()

    def open(self) -> None:
        """Open Sync, before any other stream. Raises NoFreeStream."""
        self._sync = open_call(
            self._connection, SYNC, nonce=self._nonce, on_message=self._on_message, on_end=self._on_sync_end
        )
        self._poll_later(random.uniform(0.5, 1))  # noqa: S311

    def close(self) -> None:
        """The connection is gone."""
        for timer in (self._awaiting, self._pause, self._poll_timer):
            if timer is not None:
                timer.cancel()

    def send_drain(self, drain: Drain) -> None:
        """Tell the agent that this edge is stopping."""
        if self._sync is not None:
            self._sync.send(EdgeMessage(drain=drain))

    def inspect(self, on_done: Callable[[Inspection | ControlError], None], *, timeout: float) -> None:
        """Ask the agent how it is; `on_done` is called once, within `timeout` seconds. Raises NoFreeStream."""
        call_unary(
            self._connection, INSPECT, InspectRequest(), nonce=self._nonce, on_done=on_done, timeout=timeout
        )

    def complain(self, what: str) -> None:
        """Tell of what makes no sense, once of a kind: an agent that is wrong is so all the time."""
        kind = what.partition(":")[0]
        if kind not in self._odd:
            self._odd.add(kind)
            self._on_oddity(what)

    # -- Sync --------------------------------------------------------------------------------------------------------

    def _on_message(self, message: AgentMessage) -> None:
        if message.report is not None:
            self._take(message.report)
        elif message.draining is not None:
            self._on_draining()
            assert self._sync is not None
            self._sync.send(EdgeMessage(drain_ack=DrainAck()))
        elif message.config_ack is not None:
            self.complain("it acknowledges a config that it was not sent")

    def _on_sync_end(self, code: Code, message: str) -> None:
        """Without Sync the tunnel is of no use."""
        if not self._connection.closed:
            too_much = code is Code.RESOURCE_EXHAUSTED
            reason = ErrorCode.ENHANCE_YOUR_CALM if too_much else ErrorCode.PROTOCOL_ERROR
            self._connection.fail(RemoteProtocolError(f"Sync ended with {code.name}: {message}", reason))

    def _on_silence(self) -> None:
        self._connection.fail(RemoteProtocolError(f"no Report within {REPORT_TIMEOUT:g} s"))

    def _take(self, report: Report) -> None:
        if self._awaiting is not None:
            self._awaiting.cancel()
            self._awaiting = None
        self._report = report
        if self._pause is None and self._report_due > self._loop.time():
            self._pause = self._loop.call_at(self._report_due, self._act)
        elif self._pause is None:
            self._act()

    def _act(self) -> None:
        """Act on the last Report, and let the next one wait a little."""
        self._pause = None
        report, self._report = self._report, None
        if report is not None:
            changes = self._on_report(report)
            self._report_due = self._loop.time() + REPORT_PAUSE + CHANGE_PAUSE * changes

    # -- Poll --------------------------------------------------------------------------------------------------------

    def _poll_later(self, part: float) -> None:
        self._poll_timer = self._loop.call_later(self._poll_interval * part, self._poll)

    def _poll(self) -> None:
        self._poll_later(random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
        if self._polling is not None or not self._is_first():
            return
        try:
            self._polling = call_unary(
                self._connection, POLL, PollRequest(), nonce=self._nonce, on_done=self._on_polled
            )
        except NoFreeStream:
            self.complain("it leaves no stream for a Poll")

    def _on_polled(self, answer: Report | ControlError) -> None:
        self._polling = None
        if isinstance(answer, Report):
            self._take(answer)
        elif self._connection.closed:
            return
        elif answer.code is Code.UNIMPLEMENTED and self._poll_timer is not None:
            self._poll_timer.cancel()
        else:
            self.complain(f"Poll ended with {answer.code.name}: {answer}")

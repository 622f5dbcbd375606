"""The data plane's decision point for public requests, and the owner of every exchange in flight."""

from __future__ import annotations

import os
import random
import time
from bisect import bisect_left
from collections.abc import Callable

from h2s.budget import Budget

from .accesslog import AccessLog, Entry
from .exchange import Exchange
from .message import Downstream, Request
from .port import DURATION_BOUNDS
from .problem import Refusal
from .registry import Instance
from .routing import Router
from .waiting import WaitingRoom

__all__ = ["EdgeGateway", "PlaneCounters"]

MAX_SERIES = 10_000
"""Pairs of service and status that are counted apart; agents name services, and those may come and go."""
OTHER_SERVICES = "*other*"
"""The service under which the rest is counted; no service can have this name."""


class PlaneCounters:
    """Totals since the start. Plain numbers, since they are counted on the hot path."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "duration_buckets",
        "duration_sum",
        "requests",
        "retries",
    )

    def __init__(self) -> None:
        self.requests: dict[tuple[str, int], int] = {}
        """By service and hundreds of the status."""
        self.duration_buckets = [0] * (len(DURATION_BOUNDS) + 1)
        self.duration_sum = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.retries = 0

    def count(self, service: str, hundreds: int) -> None:
        """Count a request that is over."""
        requests = self.requests
        key = (service, hundreds)
        if key not in requests and len(requests) >= MAX_SERIES:
            key = (OTHER_SERVICES, hundreds)
        requests[key] = requests.get(key, 0) + 1


class EdgeGateway:
    """Takes requests from every ingress; an `edge.message.Gateway`."""

    def __init__(
        self,
        router: Router,
        *,
        budget: Budget,
        access_log: AccessLog | None,
        room: WaitingRoom | None = None,
    ) -> None:
        """`room` is where requests wait for an instance; None: nowhere."""
        self.router = router
        self.budget = budget
        self.room = room or WaitingRoom()
        self.counters = PlaneCounters()
        self.draining = False
        self.in_flight = 0
        self.time: Callable[[], float] = time.monotonic
        self.random: Callable[[], float] = random.random
        self.on_failure: Callable[[Instance], None] = lambda instance: None
        """Hears of each error of a gateway that a request to an instance ends with."""
        self._access_log = access_log
        self._id_prefix = os.urandom(6).hex()
        self._id = 0

    @property
    def has_room(self) -> bool:
        """Whether windows may grow: less than half of the budget is held."""
        return self.budget.has_room

    def begin(self, request: Request, downstream: Downstream) -> Exchange:
        """Start an exchange; the answer may come before this returns."""
        self.in_flight += 1
        exchange = Exchange(self, request, downstream, self._next_id())
        try:
            destination, policies = self.router.find(request)
        except Refusal as refusal:
            exchange.refuse(refusal)
        else:
            exchange.start(destination, policies)
        return exchange

    def failed(self, instance: Instance | None) -> None:
        """A request that was sent to `instance` has ended with an error of a gateway."""
        if instance is not None:
            self.on_failure(instance)

    def finished(self, exchange: Exchange) -> None:
        """Count and log an exchange that is over."""
        self.in_flight -= 1
        self._record(exchange)

    def refused(self, request: Request, status: int, code: str) -> bytes:
        """Count and log a request that an ingress answers by itself; return its id."""
        entry = Entry(request, self._next_id())
        entry.status = status
        entry.error = code
        self._record(entry)
        return entry.request_id

    def _next_id(self) -> bytes:
        self._id += 1
        return f"{self._id_prefix}-{self._id}".encode()

    def _record(self, entry: Entry) -> None:
        duration = self.time() - entry.request.started
        counters = self.counters
        counters.count(entry.service_name, entry.status // 100)
        counters.duration_buckets[bisect_left(DURATION_BOUNDS, duration)] += 1
        counters.duration_sum += duration
        counters.bytes_in += entry.bytes_in
        counters.bytes_out += entry.bytes_out
        if self._access_log is not None:
            self._access_log.log(entry, duration)

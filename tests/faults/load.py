"""Constant load, and the account of it.

Each client is a thread with one keep-alive connection and a pace; their requests differ: small ones, longer answers,
such that take a while, before their answer or within it, so that some are under way at any moment. A client does what
HTTP asks of it and no more: it obeys `Connection: close`, sends nothing on a connection that has ended while it rested,
and goes to the next address only when a connection is refused, that is, before it has sent anything. It tries nothing
twice, so whatever goes wrong is on the account.
"""

from __future__ import annotations

import http.client
import select
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.e2e.address import Address
from tests.e2e.programs import eventually

__all__ = ["Load", "Trouble"]

SLOW = 1.0
"""Seconds above which an answer counts as delayed."""
PACE = 0.05
"""Seconds that a client rests between two requests."""
TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A request, and how many bytes of answer it takes at the least to be whole."""

    method: str
    path: str
    body: bytes | None = None
    at_least: int = 1

    @property
    def safe(self) -> bool:
        """Whether it can be sent again until its answer begins."""
        return self.method == "GET"


GET = Kind("GET", "/")
KINDS = (
    GET,
    Kind("POST", "/echo", b"x" * 2000),
    Kind("GET", "/bytes/300000", at_least=300_000),
    Kind("GET", "/later/200"),
    Kind("POST", "/later/200", b"x"),
    Kind("GET", "/trickle/200", at_least=30),
)
CLIENTS = 2 * len(KINDS)
"""As many of each kind as there can be edges."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request that failed or was delayed. Times are of `time.monotonic`."""

    kind: Kind
    began: float
    ended: float
    reason: str
    """Why it failed; empty if it was only delayed."""
    status: int = 0
    """Of the answer that should have been another; 0 if there was none, or not the whole of one."""

    def __str__(self) -> str:
        return f"{self.kind.method} {self.kind.path} after {self.ended - self.began:.3f} s: {self.reason}"


class Load:
    """Clients that request as long as the `with` block lasts."""

    def __init__(
        self, addresses: Sequence[Address], *, kinds: Sequence[Kind] = KINDS, clients: int = CLIENTS
    ) -> None:
        self.addresses = addresses
        self.clients = clients
        self.sent = 0
        self.answered = 0
        self.slowest = 0.0
        """Seconds of the longest whole answer."""
        self.troubles: list[Trouble] = []
        self._kinds = kinds
        self._lock = threading.Lock()
        self._last = [0.0] * clients
        """When each client began the request that it finished last."""
        self._stopping = threading.Event()
        self._homecoming = 0
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def failures(self) -> list[Trouble]:
        """The requests that were not answered as they should have been."""
        return [trouble for trouble in self.troubles if trouble.reason]

    def flows(self, requests: int = 100) -> None:
        """Wait until so many more requests have been answered."""
        goal = self.answered + requests
        eventually(lambda: self.answered >= goal, within=30, what=f"{requests} more answers; {self}")

    def comes_home(self) -> None:
        """Have each client connect anew, so that those who had to go elsewhere are back where they began."""
        self._homecoming += 1

    def catches_up(self) -> None:
        """Wait until each client has finished a request that it began after now."""
        now = time.monotonic()
        eventually(lambda: min(self._last) > now, within=2 * TIMEOUT, what=f"every client goes on; {self}")

    def troubled_since(self, moment: float) -> float:
        """Return for how many seconds from `moment` on requests were failing or delayed."""
        return max(
            (trouble.ended - moment for trouble in self.troubles if trouble.ended > moment), default=0.0
        )

    def __str__(self) -> str:
        failures = self.failures
        first = "; ".join(map(str, failures[:3]))
        return f"sent {self.sent}, answered {self.answered}, failed {len(failures)}: {first}"

    # -- one client ------------------------------------------------------------------------------------------------

    def _run(self, number: int) -> None:
        kind = self._kinds[number % len(self._kinds)]
        connection: http.client.HTTPConnection | None = None
        homecoming = 0
        while not self._stopping.wait(PACE):
            if connection is not None and (homecoming != self._homecoming or is_over(connection)):
                connection.close()
                connection = None
            homecoming = self._homecoming
            began = time.monotonic()
            try:
                connection = connection or self._connect(number)
                status, reason, last = request(connection, kind)
            except (OSError, http.client.HTTPException) as error:
                status, reason, last = 0, repr(error), True
            self._account(kind, began, reason, status)
            self._last[number] = began
            if last and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _connect(self, number: int) -> http.client.HTTPConnection:
        """Connect to the first address that takes a connection, each client beginning at its own."""
        for turn in range(len(self.addresses)):
            address = self.addresses[(number // len(self._kinds) + turn) % len(self.addresses)]
            connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
            try:
                connection.connect()
            except ConnectionRefusedError:
                continue
            return connection
        raise ConnectionRefusedError("no address takes a connection")

    def _account(self, kind: Kind, began: float, reason: str, status: int) -> None:
        ended = time.monotonic()
        with self._lock:
            self.sent += 1
            if not reason:
                self.answered += 1
                self.slowest = max(self.slowest, ended - began)
            if reason or ended - began > SLOW:
                self.troubles.append(Trouble(kind, began, ended, reason, status))


def is_over(connection: http.client.HTTPConnection) -> bool:
    """Return whether the server has ended a connection that rests."""
    return bool(select.select([connection.sock], [], [], 0)[0])


def request(connection: http.client.HTTPConnection, kind: Kind) -> tuple[int, str, bool]:
    """Send one request; return its status, why its answer is no good, and whether the connection ends with it."""
    connection.request(kind.method, kind.path, kind.body, {"Host": "web.localhost"})
    response = connection.getresponse()
    body = response.read()
    good = response.status == 200 and len(body) >= kind.at_least
    return response.status, "" if good else f"{response.status} {body[:300]!r}", response.will_close

"""A steady load from clients that do not forgive.

Each client is a thread with one keep-alive connection that requests without a pause. It does what HTTP asks of a client
and no more: it obeys `Connection: close`, and goes to the next address only when a connection is refused, that is,
before it has sent anything. It never tries a request twice, so whatever else goes wrong is counted as a failure.
"""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from .address import Address
from .programs import eventually

__all__ = ["Load"]


class Load:
    """Clients that request `path` as long as the `with` block lasts."""

    def __init__(
        self, *addresses: Address, path: str = "/", host: str = "web.localhost", clients: int = 8
    ) -> None:
        self.addresses: Sequence[Address] = addresses
        self.path = path
        self.host = host
        self.failures: list[str] = []
        self.served: Counter[str] = Counter()
        """Answers by the name of the origin that gave them."""
        self._stopping = threading.Event()
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

    def flows(self, requests: int = 200) -> None:
        """Wait until so many more requests have been answered."""
        goal = self.served.total() + requests
        eventually(lambda: self.served.total() >= goal, within=30, what=f"{requests} more requests; {self}")

    def __str__(self) -> str:
        return f"served {dict(self.served)}, failed {len(self.failures)}: {self.failures[:3]}"

    def _run(self, number: int) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stopping.is_set():
            try:
                connection = connection or self._connect(number)
                connection.request("GET", self.path, headers={"Host": self.host})
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                if connection is not None:
                    connection.close()
                    connection = None
                continue
            if response.status != 200 or not body:
                self.failures.append(f"{response.status} {body!r}")
            else:
                self.served[response.headers["X-Origin"]] += 1
            if response.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _connect(self, number: int) -> http.client.HTTPConnection:
        """Connect to the first address that takes a connection, each client beginning at its own."""
        for turn in range(len(self.addresses)):
            address = self.addresses[(number + turn) % len(self.addresses)]
            connection = http.client.HTTPConnection(*address, timeout=15)
            try:
                connection.connect()
            except ConnectionRefusedError:
                continue
            return connection
        raise ConnectionRefusedError("no address takes a connection")

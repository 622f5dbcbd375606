"""Which instances are ejected: taken out for a while because what they are sent goes wrong.

An error that counts is one of a gateway: the agent could not get an answer from the app, the stream to it was reset,
or the answer was 502, 503 or 504. Any other answer begins the count anew. An instance with so many in a row gets no
requests for a time that grows with each ejection, and then comes back by itself. It is still healthy by its own word:
what is decided here is of this edge only.

**Never more than half** of the healthy instances of a service are out: the last one stays whatever it does, and when
others go the first to come back does so early (`surplus`).
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .instance import Instance, Service

__all__ = ["Outliers"]

MOST_TIMES = 10
"""Ejections in a row that make the next one longer."""
FORGIVEN_AFTER = 300.0
"""Seconds back in service after which an ejection is the first again."""


class Outliers:
    """Decides; the registry keeps the lists."""

    def __init__(self, *, after: int, seconds: float) -> None:
        """Eject after so many errors in a row, 0 for never, at first for so many seconds."""
        self._after = after
        self._seconds = seconds
        self._returns: list[tuple[float, int, Instance]] = []
        """A heap; those that have come back meanwhile are among them."""
        self._numbers = itertools.count()

    @property
    def due(self) -> float | None:
        """When the next one comes back."""
        return self._returns[0][0] if self._returns else None

    def fails(self, instance: Instance, service: Service, now: float) -> bool:
        """Count an error of a gateway; say whether the instance is ejected for it, as it then is."""
        instance.failures += 1
        if not 0 < self._after <= instance.failures or not instance.fit or instance.ejected:
            return False
        if 2 * (service.ejected + 1) > service.fit:
            return False
        if now - instance.back >= FORGIVEN_AFTER:
            instance.ejections = 0
        instance.ejections = min(instance.ejections + 1, MOST_TIMES)
        instance.failures = 0
        instance.ejected = True
        service.ejected += 1
        instance.back = now + self._seconds * instance.ejections
        heapq.heappush(self._returns, (instance.back, next(self._numbers), instance))
        return True

    def returning(self, now: float) -> list[Instance]:
        """Return those whose time is over by `now`."""
        found = []
        while self._returns and self._returns[0][0] <= now:
            back, _, instance = heapq.heappop(self._returns)
            if instance.ejected and instance.back == back:
                found.append(instance)
        return found

    def surplus(self, service: Service) -> Instance | None:
        """Return one that has to come back early because others have gone, if there is one."""
        if not service.ejected or 2 * service.ejected <= service.fit:
            return None
        return min((one for one in service.instances if one.ejected), key=lambda one: one.back)

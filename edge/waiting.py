"""The waiting room: requests whose instances all have as much as they take, first in, first out.

A request waits for one destination, and who comes later for the same one gets in line behind it, room or no room. When
an instance has room again (`freed`), the one that has waited longest for a destination with this instance gets it. That
is done at the end of the loop's turn, when whatever made the room has come to rest. Of the room nothing is touched
while nobody waits.

All wait equally long at the most, so that only the first one's end has to be watched (`due`, `tend`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from .balance import way_to

if TYPE_CHECKING:
    from .exchange import Exchange
    from .instance import Instance
    from .routing import Destination

__all__ = ["WaitingRoom"]


def _at_the_end_of_the_turn(action: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(action)


class WaitingRoom:
    """Has exchanges wait; an `edge.registry.Listener`."""

    def __init__(
        self,
        *,
        limit: int = 0,
        timeout: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        soon: Callable[[Callable[[], None]], None] = _at_the_end_of_the_turn,
    ) -> None:
        """At most `limit` exchanges wait, each `timeout` seconds; `soon` calls what it is given a little later."""
        self.size = 0
        """How many wait."""
        self.on_due: Callable[[], None] = lambda: None
        """Hears that `due` is there where it was None."""
        self._limit = limit
        self._timeout = timeout
        self._clock = clock
        self._soon = soon
        self._all: OrderedDict[Exchange, tuple[float, Destination]] = OrderedDict()
        """Until when each waits, and for what."""
        self._lines: dict[Destination, OrderedDict[Exchange, int]] = {}
        """Who waits for what, and with which number they have come."""
        self._number = 0
        self._freed: list[Instance] = []

    def has_line(self, destination: Destination) -> bool:
        """Say whether anybody waits for `destination`."""
        return destination in self._lines

    def enter(self, exchange: Exchange, destination: Destination) -> bool:
        """Have an exchange wait: for `Exchange.admit`, or `give_up`. False: there is no place."""
        if self.size >= self._limit:
            return False
        self._number += 1
        self.size += 1
        self._all[exchange] = self._clock() + self._timeout, destination
        self._lines.setdefault(destination, OrderedDict())[exchange] = self._number
        if self.size == 1:
            self.on_due()
        return True

    def leave(self, exchange: Exchange) -> None:
        """It waits no more, for whatever reason."""
        _, destination = self._all.pop(exchange)
        self.size -= 1
        line = self._lines[destination]
        del line[exchange]
        if not line:
            del self._lines[destination]

    def freed(self, instance: Instance) -> None:
        """An instance has room, and perhaps others of its agent: a stream is free. Called only while somebody waits."""
        if not self._freed:
            self._soon(self._serve)
        self._freed.append(instance)

    # -- edge.registry.Listener --------------------------------------------------------------------------------------

    def on_listed(self, instance: Instance) -> None:
        """An instance takes requests from now on."""
        self.on_room(instance)

    def on_unlisted(self, instance: Instance) -> None:
        """Who waits for it waits for others, or for its return."""

    def on_room(self, instance: Instance) -> None:
        """An instance takes more requests at once than before."""
        if self.size:
            self.freed(instance)

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When the first one has waited long enough, by the clock."""
        return next(iter(self._all.values()))[0] if self.size else None

    def tend(self) -> None:
        """Send those away who have waited long enough."""
        now = self._clock()
        for exchange, (until, _) in list(self._all.items()):
            if until > now:
                break
            if exchange in self._all:
                exchange.give_up()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        freed, self._freed = self._freed, []
        for instance in freed:
            for one in instance.agent.instances.values():
                while self.size and one.listed and way_to(one) is not None and self._offer(one):
                    pass

    def _offer(self, instance: Instance) -> bool:
        """Offer an instance to those who wait for it, one after the other; say whether one has taken it."""
        lines = [line for destination, line in self._lines.items() if destination.holds(instance)]
        lines.sort(key=lambda line: next(iter(line.values())))
        for line in lines:
            for exchange in list(line):
                if exchange in self._all and exchange.admit(instance):
                    return True
        return False

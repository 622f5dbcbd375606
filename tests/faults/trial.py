"""One fault, again and again under load, and the account of it.

`trial` keeps every request that failed or was late, how long clients noticed, how long until everything was back, and
what the programs hold before, half way and after. It says what should not have been (`Trial.broken`):

* a failure that the fault's promise does not cover. `NOTHING`: no request fails. `IN_FLIGHT`: only requests fail that
  were under way when the fault was noticed, a client each at the most, and none that could have been tried again.
  `HUNG`: as `IN_FLIGHT`, and what was given to a hung app before its time was up;
* any failure while nothing was wrong;
* a request that took longer than anything here should;
* a program that holds more at the end than half way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tests.e2e.programs import eventually

from .load import CLIENTS, Load, Trouble
from .site import TUNNELS, Gauge, Needs, Site

__all__ = ["Fault", "Promise", "Trial", "broken_promises", "trial"]

FEW = 30
"""Requests that have to be answered before and after a fault."""
PATIENCE = 10.0
"""Seconds above which a request has waited for something that will not happen."""
HANGS = 3
"""Requests of one client that a hung app can cost."""
DESCRIPTORS = CLIENTS + 2 * TUNNELS
"""Idle connections to an app more or less are no leak, nor is the second descriptor of a tunnel (`h2s.ahead`)."""
MEMORY = 6_000_000
"""Bytes that a program may hold more at the end than half way through many rounds: an allocator's moods."""
FIRST_TIMES = 64_000_000
"""The same from the start to the end: what happens for the first time takes some."""
MANY = 20
"""Rounds from which on the second half says whether a program grows."""


class Promise(Enum):
    """What clients may notice."""

    NOTHING = "nothing"
    IN_FLIGHT = "in flight"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which things go wrong."""

    name: str
    happens: Callable[[Site], None]
    """Break something, mend it, and return when everything is back but for what comes back by itself."""
    promise: Promise
    needs: Needs = field(default_factory=Needs)
    rest: float = 0.0
    """Seconds that tunnels must have stood before it happens again."""
    long: bool = False
    """It takes too long for the test suite."""


@dataclass(slots=True)
class Trial:
    """The account of a fault that happened again and again."""

    fault: Fault
    rounds: int
    sent: int = 0
    retried: float = 0.0
    slowest: float = 0.0
    """Seconds of the longest whole answer."""
    failed: int = 0
    """How many requests were not answered as they should have been."""
    noticed: list[float] = field(default_factory=list)
    """Seconds of each round from the fault to the end of the last request that failed or was late."""
    whole: list[float] = field(default_factory=list)
    """Seconds of each round from the fault until every tunnel and instance was back."""
    broken: list[str] = field(default_factory=list)
    """What should not have been."""
    gauges: list[dict[str, Gauge]] = field(default_factory=list)
    """What each program held before, half way and after."""

    @property
    def survivors(self) -> dict[str, list[Gauge]]:
        """What the programs that lived through all rounds held each time."""
        named = {name: [gauges[name] for gauges in self.gauges] for name in self.gauges[0]}
        return {name: held for name, held in named.items() if len({gauge.pid for gauge in held}) == 1}

    def leaks(self) -> Iterator[str]:
        """Yield which survivors hold more than they should."""
        for name, held in self.survivors.items():
            before, half_way, after = held
            many = self.rounds >= MANY
            base = half_way if many else before
            if after.descriptors > base.descriptors + DESCRIPTORS:
                yield f"{name} has {after.descriptors} descriptors after {base.descriptors}"
            if after.memory > base.memory + (MEMORY if many else FIRST_TIMES):
                yield f"{name} holds {after.memory:,} bytes after {base.memory:,}"


def trial(fault: Fault, site: Site, *, rounds: int, warm_up: bool) -> Trial:
    """Let a fault happen `rounds` times to a site such as it needs, under constant load.

    With `warm_up` it has happened once before the programs are first measured, so that they have their usual size.
    """
    account = Trial(fault, rounds)
    if warm_up:
        _rounds(site, Trial(fault, 1), 1)
    account.gauges.append(_settled(site))
    retried = site.retries
    for part in (rounds // 2, rounds - rounds // 2):
        if part:
            _rounds(site, account, part)
        account.gauges.append(_settled(site))
    account.retried = site.retries - retried
    account.broken += account.leaks()
    return account


def _rounds(site: Site, account: Trial, rounds: int) -> None:
    """Some rounds under one load."""
    with Load(site.public) as load:
        for _ in range(rounds):
            account.broken += _round(site, load, account)
    account.sent += load.sent
    account.failed += len(load.failures)
    account.slowest = max(account.slowest, load.slowest)
    slow = [str(trouble) for trouble in load.troubles if trouble.ended - trouble.began > PATIENCE]
    account.broken += (f"{one} (took too long)" for one in slow)


def _round(site: Site, load: Load, account: Trial) -> Iterator[str]:
    """One round; yields what should not have been in it."""
    fault = account.fault
    known = len(load.failures)
    time.sleep(max(0.0, site.whole_since + fault.rest - time.monotonic()))
    load.comes_home()
    load.catches_up()
    load.flows(FEW)
    yield from (f"{failure} (nothing was wrong)" for failure in load.failures[known:])
    began = time.monotonic()
    known = len(load.failures)
    fault.happens(site)
    assert fault.promise is Promise.NOTHING or site.noticed > began, "nobody has said when it was noticed"
    site.wait_whole()
    account.whole.append(time.monotonic() - began)
    load.catches_up()
    account.noticed.append(load.troubled_since(began))
    yield from broken_promises(fault, load.failures[known:], noticed=site.noticed, clients=load.clients)
    site.note_retries()


def broken_promises(
    fault: Fault, failures: Sequence[Trouble], *, noticed: float, clients: int
) -> Iterator[str]:
    """Yield what should not have been, of the failures since a fault that was noticed at `noticed`."""
    if fault.promise is Promise.NOTHING:
        yield from map(str, failures)
        return
    hung = fault.promise is Promise.HUNG
    for failure in failures:
        if failure.began > noticed:
            yield f"{failure} (begun {failure.began - noticed:.3f} s after it was noticed)"
        elif hung and failure.status != 504:
            yield f"{failure} (not because the app hung)"
        elif not hung and failure.status and failure.kind.safe:
            yield f"{failure} (could have been tried again)"
    if len(failures) > clients * (HANGS if hung else 1):
        yield f"{len(failures)} failures of {clients} clients"


def _settled(site: Site) -> dict[str, Gauge]:
    """Read the programs once the edges have counted the last client out."""
    eventually(lambda: site.clients == 0, within=10, what="the edges have seen the clients go")
    site.note_retries()
    return site.gauges()

"""The faults: what is done to the site, and what clients may notice of it.

A fault is a function that breaks something and mends it again. `trial` runs one under load as many times as wanted and
keeps the account: every request that failed or was late, how long clients noticed, how long until everything was back,
and what the programs hold before and after.

What clients may notice is one of three things (`Promise`). `NOTHING`: no request fails. `IN_FLIGHT`: only requests
fail that were under way at the moment of the fault, a client each at the most. `HUNG`: as `IN_FLIGHT`, and what was
given to a hung app before it was found out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import psutil

from tests.e2e.programs import eventually
from tests.e2e.stage import Stage

from .load import Load, Trouble
from .site import Gauge, Site

__all__ = ["FAULTS", "Fault", "Promise", "Trial", "broken_promises", "trial"]

REACTION = 0.5
"""Seconds after a crash in which a request can still be given to what is no longer there."""
SILENCE = 1.2
"""The same for a link that goes silent: PINGs have to stay unanswered first."""
HANG_TIMEOUT = 1.0
"""Seconds that an app which is going to hang has for its answers."""
STABLE = 5.2
"""Seconds after which an agent meets the loss of a tunnel as it would the first; after less it waits longer."""
CROWD = 200
FEW = 30
"""Requests that have to be answered before and after a fault."""


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
    edges: int = 1
    upstream_timeout: float = 60.0
    reaction: float = REACTION
    """Seconds in which requests can still be given to what is no longer there."""
    rest: float = 0.0
    """Seconds that tunnels must have stood before it happens again."""
    crowd: int = 0
    """Agents besides the two."""
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
    troubles: list[Trouble] = field(default_factory=list)
    noticed: list[float] = field(default_factory=list)
    """Seconds of each round from the fault to the end of the last request that failed or was late."""
    whole: list[float] = field(default_factory=list)
    """Seconds of each round from the fault until every tunnel and instance was back."""
    broken: list[str] = field(default_factory=list)
    """What should not have been."""
    before: dict[str, Gauge] = field(default_factory=dict)
    after: dict[str, Gauge] = field(default_factory=dict)

    @property
    def survivors(self) -> dict[str, tuple[Gauge, Gauge]]:
        """What the programs that lived through all rounds held before and after."""
        pairs = {name: (before, self.after[name]) for name, before in self.before.items()}
        return {name: (before, after) for name, (before, after) in pairs.items() if before.pid == after.pid}

    @property
    def failed(self) -> int:
        """How many requests were not answered as they should have been."""
        return sum(bool(trouble.reason) for trouble in self.troubles)


def trial(fault: Fault, stage: Stage, *, rounds: int, warm_up: bool) -> Trial:
    """Let a fault happen `rounds` times under constant load.

    With `warm_up` it has happened once before the programs are first measured, so that they have their usual size.
    """
    account = Trial(fault, rounds)
    with Site.on(
        stage, edges=fault.edges, upstream_timeout=fault.upstream_timeout, crowd=fault.crowd
    ) as site:
        if warm_up:
            with Load(site.public) as load:
                _round(site, load, account)
        account.before = _settled(site)
        retries = site.retries
        with Load(site.public) as load:
            for _ in range(rounds):
                _round(site, load, account)
        account.after = _settled(site)
        account.retried = max(0.0, site.retries - retries)
        account.sent = load.sent
        account.slowest = load.slowest
        account.troubles += load.troubles
    return account


def _round(site: Site, load: Load, account: Trial) -> None:
    if account.whole:
        time.sleep(max(0.0, site.whole_since + account.fault.rest - time.monotonic()))
    load.flows(FEW)
    began = time.monotonic()
    account.fault.happens(site)
    site.wait_whole()
    account.whole.append(time.monotonic() - began)
    load.flows(FEW)
    account.noticed.append(load.troubled_since(began))
    failures = [failure for failure in load.failures if failure.ended > began]
    account.broken += broken_promises(account.fault, failures, began=began, clients=load.clients)


def broken_promises(
    fault: Fault, failures: Sequence[Trouble], *, began: float, clients: int
) -> Iterator[str]:
    """Yield what should not have been, of the failures since a fault that began at `began`."""
    if fault.promise is Promise.NOTHING:
        yield from map(str, failures)
    elif fault.promise is Promise.IN_FLIGHT:
        late = began + fault.reaction
        yield from (f"{failure} (begun late)" for failure in failures if failure.began > late)
        if len(failures) > clients:
            yield f"{len(failures)} failures of {clients} clients"


def _settled(site: Site) -> dict[str, Gauge]:
    """Read the programs once the edges have counted the last client out."""
    eventually(lambda: site.clients == 0, within=10, what="the edges have seen the clients go")
    return site.gauges()


# -- agents ------------------------------------------------------------------------------------------------------------


def agent_stops(site: Site) -> None:
    """SIGTERM: the agent drains; then another takes its place."""
    site.agents["one"].stop()
    site.see_a_loss()
    site.start_agent("one", ready=False)


def agent_crashes(site: Site) -> None:
    """SIGKILL."""
    site.agents["one"].kill()
    site.see_a_loss()
    site.start_agent("one", ready=False)


# -- apps --------------------------------------------------------------------------------------------------------------


def app_crashes(site: Site) -> None:
    """SIGKILL; its agent finds out, and again when it is back."""
    site.apps["a"].kill()
    site.see_a_loss()
    site.start_app("a")


def app_pauses(site: Site) -> None:
    """SIGSTOP for a moment that is shorter than the upstream's time to answer."""
    _freeze(site, 1.0)


def app_hangs(site: Site) -> None:
    """SIGSTOP for longer than the upstream's time to answer."""
    _freeze(site, 2 * HANG_TIMEOUT)


def _freeze(site: Site, seconds: float) -> None:
    app = psutil.Process(site.apps["a"].process.pid)
    app.suspend()
    try:
        time.sleep(seconds)
    finally:
        app.resume()


# -- edges -------------------------------------------------------------------------------------------------------------


def edge_stops(site: Site) -> None:
    """SIGTERM: the edge drains while clients go to the other; then it is started again."""
    site.first.stop()
    site.restart_first_edge()


def edge_crashes(site: Site) -> None:
    """SIGKILL."""
    site.first.kill()
    site.restart_first_edge()


# -- the network -------------------------------------------------------------------------------------------------------


def link_is_cut(site: Site) -> None:
    """Every connection is reset."""
    site.relay.cut()
    site.see_a_loss()


def link_goes_silent(site: Site) -> None:
    """Nothing passes, and nobody is told."""
    _stall(site, to_edge=True, to_agent=True)


def link_to_edge_goes_silent(site: Site) -> None:
    """What the agent sends does not arrive."""
    _stall(site, to_edge=True, to_agent=False)


def link_to_agent_goes_silent(site: Site) -> None:
    """What the edge sends does not arrive."""
    _stall(site, to_edge=False, to_agent=True)


def _stall(site: Site, *, to_edge: bool, to_agent: bool) -> None:
    seen = site.relay.accepted
    site.relay.stall(to_edge=to_edge, to_agent=to_agent)
    site.see_a_loss()
    eventually(lambda: site.relay.accepted > seen, within=10, what="the agent gives the tunnels up")
    site.relay.heal()


def link_is_slow(site: Site) -> None:
    """Bytes come late, and few at a time; then the line is as it was."""
    site.relay.shape(delay=0.05, rate=2_000_000)
    time.sleep(2.0)
    site.relay.heal()


FAULTS = (
    Fault("agent stopped, started again", agent_stops, Promise.NOTHING),
    Fault("agent killed, started again", agent_crashes, Promise.IN_FLIGHT),
    Fault("app killed, started again", app_crashes, Promise.IN_FLIGHT),
    Fault("app hung, within its time", app_pauses, Promise.NOTHING),
    Fault("app hung, beyond its time", app_hangs, Promise.HUNG, upstream_timeout=HANG_TIMEOUT),
    Fault("edge stopped, started again", edge_stops, Promise.NOTHING, edges=2, rest=STABLE),
    Fault("edge killed, started again", edge_crashes, Promise.IN_FLIGHT, edges=2, rest=STABLE),
    Fault("link cut", link_is_cut, Promise.IN_FLIGHT, rest=STABLE),
    Fault("link half-open, both ways", link_goes_silent, Promise.IN_FLIGHT, reaction=SILENCE, rest=STABLE),
    Fault(
        "link half-open, towards the edge",
        link_to_edge_goes_silent,
        Promise.IN_FLIGHT,
        reaction=SILENCE,
        rest=STABLE,
    ),
    Fault(
        "link half-open, towards the agent",
        link_to_agent_goes_silent,
        Promise.IN_FLIGHT,
        reaction=SILENCE,
        rest=STABLE,
    ),
    Fault("link slow, 50 ms and 2 MB/s", link_is_slow, Promise.NOTHING),
    Fault(f"{CROWD} agents cut off at once", link_is_cut, Promise.IN_FLIGHT, rest=STABLE, crowd=CROWD),
    Fault(
        f"{CROWD} agents, edge killed",
        edge_crashes,
        Promise.IN_FLIGHT,
        edges=2,
        rest=STABLE,
        crowd=CROWD,
        long=True,
    ),
)

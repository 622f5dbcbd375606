"""The faults: what is done to the site. Each breaks something and mends it again."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from tests.e2e.programs import eventually, is_gone

from .site import STABLE, Needs, Site
from .trial import Fault, Promise

__all__ = ["FAULTS"]

HANG_TIMEOUT = 2.0
"""Seconds that an app which is going to hang has for its answers."""
HANG = 1.5 * HANG_TIMEOUT
REST = STABLE + 0.2
"""Seconds after which an agent surely meets the loss of a tunnel as it would the first; after less it waits longer."""
STEADY = 10.0
"""Seconds after which the end of a process of an edge counts as its first."""
CROWD = 200


# -- agents ------------------------------------------------------------------------------------------------------------


def agent_stops(site: Site) -> None:
    """SIGTERM: the agent drains; then another takes its place."""
    site.agents["one"].stop()
    site.sees_a_loss()
    site.start_agent("one", ready=False)


def agent_crashes(site: Site) -> None:
    """SIGKILL."""
    site.agents["one"].kill()
    site.sees_a_loss()
    site.start_agent("one", ready=False)


# -- apps --------------------------------------------------------------------------------------------------------------


def app_stops(site: Site) -> None:
    """SIGTERM: it answers what it has, and takes nothing new; its agent finds out, and again when it is back."""
    site.apps["a"].stop()
    site.sees_a_loss()
    site.start_app("a")


def app_crashes(site: Site) -> None:
    """SIGKILL; its agent finds out, and again when it is back."""
    site.apps["a"].kill()
    site.sees_a_loss()
    site.start_app("a")


def app_pauses(site: Site) -> None:
    """SIGSTOP for a moment that is shorter than the upstream's time to answer."""
    _freeze(site, 1.0)


def app_hangs(site: Site) -> None:
    """SIGSTOP for longer than the upstream's time to answer."""
    _freeze(site, HANG)


def _freeze(site: Site, seconds: float) -> None:
    app = psutil.Process(site.apps["a"].process.pid)
    app.suspend()
    try:
        time.sleep(seconds)
    finally:
        app.resume()
    site.notice()


# -- edges -------------------------------------------------------------------------------------------------------------


def edge_stops(site: Site) -> None:
    """SIGTERM: the edge drains while clients go to the other; then it is started again."""
    site.first.stop()
    site.restart_first_edge()


def edge_crashes(site: Site) -> None:
    """SIGKILL."""
    site.first.kill()
    site.notice()
    site.restart_first_edge()


def control_process_crashes(site: Site) -> None:
    """SIGKILL to what answers the API of an edge; the edge starts another one."""
    _kill_part(site, "app.control")


def data_plane_crashes(site: Site) -> None:
    """SIGKILL to what carries the traffic of an edge; the edge starts another one."""
    _kill_part(site, "edge.main")


def _kill_part(site: Site, module: str) -> None:
    process = site.first.part(module)
    process.kill()
    eventually(lambda: is_gone(process), within=5, what="the process has ended")
    site.notice()


# -- the network -------------------------------------------------------------------------------------------------------


def link_is_cut(site: Site) -> None:
    """Every connection is reset."""
    seen = site.relay.accepted
    site.relay.cut()
    site.is_dialled_again(seen)


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
    site.sees_a_loss()
    eventually(lambda: site.relay.accepted > seen, within=10, what="the agent gives the tunnels up")
    site.relay.heal()


def link_is_slow(site: Site) -> None:
    """Bytes come late, and few at a time; then the line is as it was."""
    site.relay.shape(delay=0.05, rate=2_000_000)
    time.sleep(2.0)
    site.relay.heal()


IMPATIENT = Needs(upstream_timeout=HANG_TIMEOUT)
WATCHFUL = Needs(liveness=(1.0, 1.0))
"""A peer is dead after 3 s of silence."""
TWO_EDGES = Needs(edges=2)


def _half_open(name: str, happens: Callable[[Site], None]) -> Fault:
    return Fault(name, happens, Promise.IN_FLIGHT, WATCHFUL, rest=REST)


FAULTS = (
    Fault("agent stopped, started again", agent_stops, Promise.NOTHING),
    Fault("agent killed, started again", agent_crashes, Promise.IN_FLIGHT),
    Fault("app stopped, started again", app_stops, Promise.IN_FLIGHT),
    Fault("app killed, started again", app_crashes, Promise.IN_FLIGHT),
    Fault("app hung, within its time", app_pauses, Promise.NOTHING),
    Fault("app hung, beyond its time", app_hangs, Promise.HUNG, IMPATIENT),
    Fault("edge stopped, started again", edge_stops, Promise.NOTHING, TWO_EDGES, rest=REST),
    Fault("edge killed, started again", edge_crashes, Promise.IN_FLIGHT, TWO_EDGES, rest=REST),
    Fault("control process killed", control_process_crashes, Promise.NOTHING, rest=STEADY),
    Fault("data plane killed", data_plane_crashes, Promise.IN_FLIGHT, TWO_EDGES, rest=STEADY),
    Fault("link cut", link_is_cut, Promise.IN_FLIGHT, rest=REST),
    _half_open("link half-open, both ways", link_goes_silent),
    _half_open("link half-open, towards the edge", link_to_edge_goes_silent),
    _half_open("link half-open, towards the agent", link_to_agent_goes_silent),
    Fault("link slow, 50 ms and 2 MB/s", link_is_slow, Promise.NOTHING),
    Fault(f"{CROWD} agents cut off at once", link_is_cut, Promise.IN_FLIGHT, Needs(crowd=CROWD), rest=REST),
    Fault(
        f"{CROWD} agents, edge killed",
        edge_crashes,
        Promise.IN_FLIGHT,
        Needs(edges=2, crowd=CROWD),
        rest=REST,
        long=True,
    ),
)

"""What is measured of an edge with many routes."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection

from ..load.h2load import Target, fixed_rate
from ..load.run import Run
from ..load.wrk import RandomHosts, run_wrk
from .edge import SUFFIX, RoutedEdge, host, route

__all__ = ["applying", "cost_of", "effect"]

CONNECTIONS = 32
EFFECT_TIMEOUT = 10.0

_seeds = itertools.count(1)
_fresh = itertools.count()


def cost_of(edge: RoutedEdge, hosts: int, *, seconds: float) -> tuple[float, Run]:
    """Return microseconds of CPU a request in the data plane, of a closed loop over hosts drawn at random."""
    drawn = RandomHosts("h", SUFFIX, hosts, next(_seeds))
    before = edge.cpu
    run = run_wrk(f"http://{edge.public}/", host=drawn, connections=CONNECTIONS, seconds=seconds)
    return (edge.cpu - before) / max(run.requests, 1) * 1e6, run


def effect(edge: RoutedEdge) -> tuple[float, float]:
    """Create a route; return the seconds from sending it to the acknowledgement, and to its first effect.

    A client asks for its host all the while, one request after the other.
    """
    name = f"fresh-{next(_fresh)}"
    seen: list[float] = []
    asking, stop = threading.Event(), threading.Event()

    def ask() -> None:
        connection = HTTPConnection(edge.public.host, edge.public.port, timeout=EFFECT_TIMEOUT)
        try:
            while not stop.is_set():
                if status(connection, f"{name}.test") == 200:
                    seen.append(time.monotonic())
                    return
                asking.set()
        finally:
            connection.close()

    client = threading.Thread(target=ask)
    client.start()
    try:
        assert asking.wait(EFFECT_TIMEOUT)
        began = time.monotonic()
        edge.add(route(name, f"{name}.test"))
        acknowledged = time.monotonic()
        client.join(EFFECT_TIMEOUT)
    finally:
        stop.set()
        client.join()
    assert seen, "the route had no effect"
    edge.remove([name])
    return acknowledged - began, seen[0] - began


def applying(
    edge: RoutedEdge, change: Callable[[], None] | None, *, rate: float, seconds: float
) -> tuple[Run, int]:
    """Return what clients at a fixed rate saw while `change` was made over and over, and how often it was made."""
    done = threading.Event()
    changes = 0
    failures: list[BaseException] = []

    def go_on() -> None:
        nonlocal changes
        try:
            while change is not None and not done.is_set():
                change()
                changes += 1
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        target = Target(edge.public, host(0), "/", http2=False)
        run = fixed_rate(target, clients=CONNECTIONS, rate=rate, seconds=seconds)
    finally:
        done.set()
        thread.join()
    if failures:
        raise failures[0]
    return run, changes


def status(connection: HTTPConnection, name: str) -> int:
    """Return the status of a request for a host."""
    connection.request("GET", "/", headers={"Host": name})
    response = connection.getresponse()
    response.read()
    return response.status

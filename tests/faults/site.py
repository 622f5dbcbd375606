"""The programs that faults are tried on, and what can be read off them.

    clients ──▶ edge `first`  ◀── relay ◀── agent `one` ──▶ app `a`
            └─▶ edge `second` ◀──────────── agent `two` ──▶ app `b`

Each agent has tunnels to each edge; the relay stands between agent `one` and the first edge. Most faults need one edge
only. A crowd of agents of another service, each with one tunnel, can stand behind the relay too. Whatever is started
again takes the place of what was there before: the same addresses, the same directories.
"""

from __future__ import annotations

import re
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.e2e.address import Address, free_address
from tests.e2e.programs import Origin, Program, eventually
from tests.e2e.stage import Agent, Edge, Stage

from .relay import Relay

__all__ = ["Gauge", "Needs", "Site"]

TUNNELS = 2
"""Tunnels of an agent to each edge."""
STABLE = 0.3
"""Seconds that a tunnel must have stood for its loss to be met like the first."""
WHOLE_TIMEOUT = 60.0
LOSS_TIMEOUT = 10.0
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Gauge:
    """File descriptors and resident bytes of a program's processes."""

    pid: int
    descriptors: int
    memory: int

    @classmethod
    def of(cls, program: Program) -> Gauge:
        """Read them now."""
        descriptors = sum(one.num_fds() for one in program.tree())
        return cls(program.process.pid, descriptors, program.memory)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a site has to have."""

    edges: int = 1
    upstream_timeout: float = 60.0
    """Seconds that apps have for their answers."""
    crowd: int = 0
    """Agents besides the two."""
    liveness: tuple[float, float] = (25.0, 10.0)
    """Seconds of silence before a PING, and for each of two to be answered."""

    @property
    def flags(self) -> tuple[object, ...]:
        """The liveness as edges and agents are told it."""
        return "--ping-interval", self.liveness[0], "--ping-timeout", self.liveness[1]


class Site:
    """Edges, agents and apps under names of their own. Made by `Site.on`."""

    def __init__(self, stage: Stage, stack: ExitStack, needs: Needs) -> None:
        self.stage = stage
        self.whole_since = 0.0
        """When everything was found to be there, in the time of `time.monotonic`."""
        self.noticed = 0.0
        """When the last fault had been noticed, in the same time: what begins later has no excuse."""
        self.needs = needs
        self.edges: list[Edge] = []
        self.agents: dict[str, Agent] = {}
        self.apps: dict[str, Origin] = {}
        self._retries: dict[int, float] = {}
        for name in ("first", "second")[: needs.edges]:
            self.edges.append(self._edge(name, (free_address(), free_address(), free_address())))
        self.relay = stack.enter_context(Relay(self.first.tunnel))
        for agent, app in (("one", "a"), ("two", "b")):
            self.start_app(app)
            self.start_agent(agent)
        if needs.crowd:
            self._start_crowd()
        self.wait_whole()

    @classmethod
    @contextmanager
    def on(cls, stage: Stage, needs: Needs) -> Iterator[Site]:
        """Start everything and wait until it stands; `stage` ends the programs."""
        with ExitStack() as stack:
            yield cls(stage, stack, needs)

    @property
    def first(self) -> Edge:
        """The edge that stands behind the relay."""
        return self.edges[0]

    @property
    def public(self) -> Sequence[Address]:
        """Where clients go."""
        return [edge.public for edge in self.edges]

    # -- starting, also again --------------------------------------------------------------------------------------

    def start_app(self, name: str) -> None:
        """Start an app where it was before, if it was."""
        before = self.apps.get(name)
        self.apps[name] = self.stage.origin(
            name, address=before.address if before else None, module="tests.faults.app"
        )

    def start_agent(self, name: str, *, ready: bool = True) -> None:
        """Start agent `one`, which dials through the relay, or `two`, which does not."""
        through = [edge.tunnel for edge in self.edges]
        if name == "one":
            through[0] = self.relay.address
        dials = [part for address in through for part in ("--edge", str(address))]
        timeout = ("--upstream-response-timeout", self.needs.upstream_timeout)
        agent = Agent(
            name,
            *dials,
            *("--tunnels", TUNNELS),
            *self.needs.flags,
            *("--reconnect-stable", STABLE),
            *timeout,
            edges=(),
            services={"web": self.apps["a" if name == "one" else "b"].url},
            folder=self.stage.folder,
            token_file=self.first.token_file,
        )
        self.agents[name] = self.stage.keep(agent, ready=ready)

    def restart_first_edge(self) -> None:
        """Start the first edge again, on the addresses and the directory that it had."""
        self.edges[0] = self._edge("first", self.first.addresses)

    def _edge(self, name: str, addresses: tuple[Address, Address, Address]) -> Edge:
        identity = ("--identity-dir", self.first.data_dir) if name != "first" else ()
        return self.stage.edge(
            name, *identity, *self.needs.flags, *("--access-log", "none"), addresses=addresses
        )

    def _start_crowd(self) -> None:
        options = {
            "--edge": self.relay.address,
            "--token-file": self.first.token_file,
            "--upstream": self.apps["b"].url,
            "--size": self.needs.crowd,
            "--reconnect-stable": STABLE,
        }
        given = [str(part) for option in options.items() for part in option]
        argv = [sys.executable, "-m", "tests.faults.crowd", *given, *map(str, self.needs.flags)]
        self.stage.run("crowd", argv)

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether each edge has every tunnel, and every instance healthy."""
        return all(self._whole_at(edge) for edge in self.edges)

    def _whole_at(self, edge: Edge) -> bool:
        metrics = read_metrics(edge)
        crowd = self.needs.crowd if edge is self.first else 0
        return (
            total(metrics, "backplane_tunnels") == TUNNELS * len(self.agents) + crowd
            and healthy(metrics) == len(self.agents) + crowd
        )

    def wait_whole(self) -> None:
        """Wait until everything is back."""
        eventually(lambda: self.whole, within=WHOLE_TIMEOUT, what="every tunnel and every instance is back")
        self.whole_since = time.monotonic()

    def sees_a_loss(self) -> None:
        """Wait until the first edge has noticed that an instance is missing."""
        expected = len(self.agents) + self.needs.crowd

        def missing() -> bool:
            metrics = read_metrics(self.first)
            return bool(metrics) and healthy(metrics) < expected

        eventually(missing, within=LOSS_TIMEOUT, what="the edge misses an instance")
        self.notice()

    def is_dialled_again(self, seen: int) -> None:
        """Wait until each tunnel behind the relay is dialled anew; `seen` were accepted before the loss."""
        expected = seen + TUNNELS + self.needs.crowd
        eventually(
            lambda: self.relay.accepted >= expected, within=WHOLE_TIMEOUT, what="the tunnels are dialled anew"
        )
        self.notice()

    def notice(self) -> None:
        """Say that by now no request is given to what is not there."""
        self.noticed = time.monotonic()

    @property
    def retries(self) -> float:
        """Requests that edges have tried more than once, as far as noted."""
        return sum(self._retries.values())

    def note_retries(self) -> None:
        """Write down what the edges have counted; of one that is killed later, the last note stands."""
        for edge in self.edges:
            if metrics := read_metrics(edge):
                self._retries[edge.process.pid] = total(metrics, "backplane_retries_total")

    @property
    def clients(self) -> float:
        """Public connections as the edges last counted them."""
        return sum(total(read_metrics(edge), "backplane_public_connections") for edge in self.edges)

    def gauges(self) -> dict[str, Gauge]:
        """Read every edge and agent."""
        named: dict[str, Program] = {f"edge {edge.name}": edge for edge in self.edges}
        named |= {f"agent {name}": agent for name, agent in self.agents.items()}
        return {name: Gauge.of(program) for name, program in named.items()}


def read_metrics(edge: Edge) -> str:
    """Return an edge's metrics; none if it does not answer."""
    try:
        with urllib.request.urlopen(f"{edge.api_url}/metrics", timeout=5) as response:
            text: bytes = response.read()
    except OSError:
        return ""
    return text.decode()


def healthy(metrics: str) -> float:
    """Return how many instances are healthy."""
    return total(metrics, "backplane_instances", 'health="healthy"')


def total(metrics: str, name: str, label: str = "") -> float:
    """Return a metric's value, summed over what `label` picks."""
    found = SAMPLE.findall(metrics)
    return sum(float(value) for found_name, labels, value in found if found_name == name and label in labels)

"""Edges and agents, and the stage that a test plays them on.

`Stage` starts programs in one folder, waits until each is ready, and clears up afterwards: edges and agents that still
run have to stop as they should, everything else is killed. An agent counts as ready when every one of its services is
served by every one of its edges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil

from .address import Address, free_address
from .certificate import Certificate
from .programs import Origin, Program, answers, backplane, is_gone

__all__ = ["Agent", "Edge", "Stage"]

P = TypeVar("P", bound=Program)


class Edge(Program):
    """`backplane edge`. With a certificate its public side is TLS."""

    def __init__(
        self,
        name: str,
        *options: object,
        folder: Path,
        data_dir: Path,
        addresses: tuple[Address, Address, Address],
        certificate: Certificate | None,
        open_metrics: bool = True,
    ) -> None:
        self.public, self.tunnel, self.api = addresses
        self.data_dir = data_dir
        self.url = f"{'https' if certificate else 'http'}://{self.public}"
        self.api_url = f"http://{self.api}"
        tls = ("--public-cert", certificate.chain, "--public-key", certificate.key) if certificate else ()
        listeners = ("--public", self.public, "--tunnel", self.tunnel, "--api", self.api)
        argv = backplane("edge", "--data-dir", data_dir, *listeners, *tls, *options)
        if open_metrics:
            argv.append("--open-metrics")
        super().__init__(name, argv, folder=folder)

    def wait_ready(self) -> None:
        """Wait until the edge says so."""
        self.wait_until(lambda: answers(f"{self.api_url}/readyz"), "the edge is ready")

    def part(self, module: str) -> psutil.Process:
        """Return the one process of this edge that runs `module`: app.control or edge.main."""
        [found] = [one for one in self.tree() if not is_gone(one) and module in one.cmdline()]
        return found

    @property
    def addresses(self) -> tuple[Address, Address, Address]:
        """The public, the tunnel and the API address: what an edge started in its place needs."""
        return self.public, self.tunnel, self.api

    @property
    def token_file(self) -> Path:
        """The join token that the edge has made."""
        return self.data_dir / "join-token"

    def requests_logged(self) -> list[dict[str, Any]]:
        """Return the lines of the access log so far."""
        lines = [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == "request"]


class Agent(Program):
    """`backplane agent`, for services with one upstream each."""

    def __init__(
        self,
        name: str,
        *options: object,
        edges: Sequence[Edge],
        services: Mapping[str, str],
        folder: Path,
        token_file: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.edges = edges
        self.services = services
        self.admin = free_address()
        self.admin_url = f"http://{self.admin}"
        argv = backplane("agent", "--token-file", token_file, "--admin", self.admin, *options)
        argv += [part for edge in edges for part in ("--edge", str(edge.tunnel))]
        argv += [part for service, url in services.items() for part in ("--service", f"{service}={url}")]
        super().__init__(name, argv, folder=folder, environment=environment)

    def wait_ready(self) -> None:
        """Wait until the agent says so, and every edge serves its services."""
        self.wait_until(lambda: answers(f"{self.admin_url}/readyz"), "the agent is ready")
        for edge in self.edges:
            for service in self.services:
                host = f"{service}.localhost"
                self.wait_until(partial(answers, edge.url, host), f"{edge.name} serves {host}")


class Stage:
    """Starts programs and ends what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []

    @classmethod
    @contextmanager
    def at(cls, folder: Path) -> Iterator[Stage]:
        """Give a stage, and clear it afterwards."""
        stage = cls(folder)
        try:
            yield stage
            for program in reversed(stage.programs):
                if program.running and isinstance(program, (Edge, Agent)):
                    program.stop()
        finally:
            for program in stage.programs:
                if program.running:
                    program.kill()

    def origin(
        self, name: str = "origin", *, address: Address | None = None, module: str = "tests.e2e.origin"
    ) -> Origin:
        """Start an origin that gives its name with each answer."""
        return self.keep(Origin(name, folder=self.folder, address=address or free_address(), module=module))

    def edge(
        self,
        name: str = "edge",
        *options: object,
        data_dir: Path | None = None,
        addresses: tuple[Address, Address, Address] | None = None,
        certificate: Certificate | None = None,
        open_metrics: bool = True,
    ) -> Edge:
        """Start an edge, by default on free addresses and with a data directory of its own."""
        edge = Edge(
            name,
            *options,
            folder=self.folder,
            data_dir=data_dir or self.folder / f"{name}-data",
            addresses=addresses or (free_address(), free_address(), free_address()),
            certificate=certificate,
            open_metrics=open_metrics,
        )
        return self.keep(edge)

    def agent(
        self,
        name: str = "agent",
        *options: object,
        edges: Sequence[Edge],
        services: Mapping[str, str],
        token_file: Path | None = None,
        ready: bool = True,
    ) -> Agent:
        """Start an agent, by default with the first edge's join token; `ready` False does not wait for its services."""
        token_file = token_file or edges[0].token_file
        agent = Agent(
            name, *options, edges=edges, services=services, folder=self.folder, token_file=token_file
        )
        return self.keep(agent, ready=ready)

    def run(self, name: str, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Program:
        """Start any other program."""
        return self.keep(Program(name, argv, folder=self.folder, environment=environment))

    def keep(self, program: P, *, ready: bool = True) -> P:
        """Answer for a program's end, and wait until it is ready."""
        self.programs.append(program)
        if ready:
            program.wait_ready()
        return program

"""Backplane as an ordinary installation has it, its data path compiled, with one of its HTTP/2 engines."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from tests.e2e.address import Address, free_address
from tests.e2e.programs import Program, answers, backplane, compiled_tree

from .system import HOST, TUNNELS, Running, Site

__all__ = ["Backplane", "Edge"]

SAY_WHAT_RUNS = "from h2s import datapath, engine; print(engine.engine_name(), datapath.data_path())"


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge that runs, and where it listens."""

    program: Program
    public: Address
    tunnel: Address
    api: Address
    data: Path

    @property
    def token_file(self) -> Path:
        """What agents need to join."""
        return self.data / "join-token"


class Backplane:
    """`backplane edge` and `backplane agent`."""

    def __init__(self, engine: Literal["native", "portable"]) -> None:
        self.name = engine
        self.environment = {"BACKPLANE_H2_ENGINE": engine, **compiled_tree()}

    def version(self) -> str:
        """Return the version of the distribution."""
        return version("backplane-server")

    def missing(self) -> str | None:
        """Ask for the engine and the compiled data path, and see what comes."""
        done = subprocess.run(
            [sys.executable, "-P", "-c", SAY_WHAT_RUNS],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return f"the {self.name} engine does not load: {done.stderr.strip().rpartition(chr(10))[2]}"
        wanted, came = f"{self.name} compiled", done.stdout.strip()
        return None if came == wanted else f"asked for {wanted}, {came} came (see make compiled)"

    def start(self, site: Site) -> Running:
        """Start an edge and an agent."""
        edge = self.start_edge(site)
        agent = site.stage.run(
            f"{site.name}-agent",
            backplane(
                "agent",
                *("--token-file", edge.token_file, "--edge", edge.tunnel, "--tunnels", TUNNELS),
                *("--service", f"web=http://{site.origin.clear}"),
            ),
            self.environment,
        )
        running = Running(public=edge.public, tls=site.tls, programs={"edge": edge.program, "agent": agent})
        agent.wait_until(lambda: answers(running.url(), HOST), "the edge serves")
        return running

    def start_edge(self, site: Site, *, like: Edge | None = None) -> Edge:
        """Start an edge, or start it again where one was."""
        public, tunnel, api = (
            (like.public, like.tunnel, like.api)
            if like is not None
            else (free_address(), free_address(), free_address())
        )
        data = site.file("data")
        options: list[object] = ["--access-log", site.file("access.log")]
        if site.tls:
            options += ["--public-cert", site.certificate.chain, "--public-key", site.certificate.key]
        program = site.stage.run(
            f"{site.name}-edge",
            backplane(
                "edge",
                *("--data-dir", data, "--public", public, "--tunnel", tunnel, "--api", api),
                *options,
            ),
            self.environment,
        )
        program.wait_until(lambda: answers(f"http://{api}/readyz"), "the edge is ready")
        return Edge(program, public, tunnel, api, data)

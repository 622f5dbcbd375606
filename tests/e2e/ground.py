"""Where the grids are played: an edge, a good agent on it, and what has to be the same after each row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from .client import Client, request
from .programs import answers, eventually
from .stage import Agent, Edge, Stage

__all__ = ["PROMPT", "SLACK", "Ground"]

PROMPT = 5.0
"""Seconds within which a peer that breaks the rules is gone."""
SLACK = 2.0
"""What a busy machine may add to a timeout."""


class Ground:
    """An edge that soon finds out who is dead, and an agent with one tunnel to it."""

    def __init__(self, stage: Stage, edge: Edge, agent: Agent) -> None:
        self.stage = stage
        self.edge = edge
        self.agent = agent
        eventually(lambda: self.standing == (1, 1), within=PROMPT, what="the agent is counted")
        self._descriptors = self.descriptors

    @classmethod
    @contextmanager
    def at(cls, folder: Path) -> Iterator[Ground]:
        """Set up in a folder, with a request that waits for its answer from the first row to the last."""
        with Stage.at(folder) as stage:
            edge = stage.edge("edge", "--ping-interval", 1, "--ping-timeout", 1, "--default-service", "web")
            agent = stage.agent("agent", "--tunnels", 1, edges=[edge], services={"web": stage.origin().url})
            with Client(edge.public) as waiting:
                waiting.send(request("/hold/grid"))
                eventually(lambda: _ask(edge, "/hold/grid/report") == "1", within=PROMPT, what="one waits")
                yield cls(stage, edge, agent)
                _ask(edge, "/hold/grid/release")
                assert waiting.read_response().status == 200

    @property
    def standing(self) -> tuple[int, int]:
        """Instances and tunnels that the edge counts."""
        ready: dict[str, Any] = httpx.get(f"{self.edge.api_url}/readyz", trust_env=False).json()
        return ready["instances"], ready["tunnels"]

    @property
    def descriptors(self) -> int:
        """File descriptors of the edge."""
        return sum(process.num_fds() for process in self.edge.tree())

    def is_as_before(self) -> bool:
        """Whether nothing is left of any other peer."""
        return self.standing == (1, 1) and self.descriptors <= self._descriptors

    def check(self) -> None:
        """Check that the good agent serves on its first tunnel, and that nothing is left of others."""
        assert answers(self.edge.url, "web.localhost")
        eventually(self.is_as_before, within=PROMPT + SLACK, what="nothing is left behind")
        assert self.agent.stderr.count("tunnel up") == 1
        assert "no tunnel" not in self.agent.stderr
        assert "Traceback" not in self.edge.stderr + self.agent.stderr


def _ask(edge: Edge, path: str) -> str:
    return httpx.get(edge.url + path, headers={"Host": "web.localhost"}, trust_env=False).text

"""What the agent's driver tests share: both event loops, someone to trust, settings, and an app."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from agent.config import AgentSettings
from backplane.cli.settings import load_settings

from ..h2s.conftest import Drive, drive, trust
from ..h2s.trust import Trust

__all__ = ["Drive", "MakeSettings", "drive", "make_settings", "trust"]

MakeSettings = Callable[..., AgentSettings]


@pytest.fixture
def make_settings(trust: Trust) -> MakeSettings:
    """Make the settings of an agent that dials these ports on loopback, one tunnel each, for one app."""
    token_file = trust.token_file()

    def make(edges: Sequence[int], app: int, **more: object) -> AgentSettings:
        flags: dict[str, object] = {
            "edges": [f"127.0.0.1:{port}" for port in edges],
            "services": [f"web=http://127.0.0.1:{app}"],
            "token_file": token_file,
            "agent_id": "agent-1",
            "tunnels": 1,
        }
        return load_settings(AgentSettings, flags=flags | more, environ={}, config=None)

    return make

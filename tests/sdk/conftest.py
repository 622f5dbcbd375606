"""What the tests of the SDK and the command share: an edge that they all speak to, and a command that is like new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backplane import Client
from backplane.cli import program
from tests.e2e.stage import Edge, Stage


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """A real edge with one agent for the service `web`; tests clear up what they make."""
    with Stage.at(tmp_path_factory.mktemp("edge")) as stage:
        edge = stage.edge("edge", "--default-service", "none")
        stage.agent("agent", "--label", "release=v1", edges=[edge], services={"web": stage.origin().url})
        yield edge


@pytest.fixture
def client(edge: Edge) -> Iterator[Client]:
    """A client of the edge, on which nothing is configured before and after."""
    with Client.local(edge.data_dir) as client:
        yield client
        client.default_policies.replace([])
        for route in list(client.routes.list()):
            client.routes.delete(route.name)
        for policy in list(client.policies.list()):
            client.policies.delete(policy.name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home and working directory, with nothing in them; no variable of ours is set."""
    for name in ("BACKPLANE_API_URL", "BACKPLANE_API_TOKEN_FILE", "BACKPLANE_DATA_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `backplane` in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = program.run([str(one) for one in arguments])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return Outcome(code, told.out, told.err)

    return run

"""h2spec, in strict mode, against both HTTP/2 servers there are: an edge's public side, and an agent behind the swap.

h2spec is looked for where `H2SPEC` says, on the path, and where `go install` puts it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .address import free_address
from .certificate import Certificate
from .programs import backplane
from .stage import Stage

pytestmark = pytest.mark.e2e

TESTS = 146
"""How many tests h2spec has, so that none is left out unseen."""
PATIENCE = "10"
"""Seconds that h2spec waits for an answer; longer than an agent's first waits before it dials again."""
TUNNEL_ADDRESSES = 10
TUNNELS = 16


@pytest.fixture(scope="session")
def h2spec() -> str:
    """Find h2spec; without it the tests are skipped, and fail where CI=true and Go could have installed it."""
    folders = [os.environ.get("GOBIN"), Path.home() / "go" / "bin", Path(sys.executable).parent]
    search = os.pathsep.join([os.environ.get("PATH", ""), *(str(folder) for folder in folders if folder)])
    path = shutil.which(os.environ.get("H2SPEC", "h2spec"), path=search)
    if path is None:
        promised = os.environ.get("CI") == "true" and shutil.which("go") is not None
        missing = pytest.fail if promised else pytest.skip
        missing(
            "h2spec is not installed: go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
        )
    assert path is not None
    return path


def check(h2spec: str, *options: str) -> None:
    """Run all of h2spec and expect that each test passes."""
    argv = [h2spec, "--strict", "--timeout", PATIENCE, *options]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    found = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", run.stdout)
    failures = run.stdout[run.stdout.find("Failures:") :]
    assert found is not None, run.stdout + run.stderr
    assert [int(number) for number in found.groups()] == [TESTS, TESTS, 0, 0], failures
    assert run.returncode == 0


def test_the_public_side_of_an_edge_conforms(h2spec: str, stage: Stage) -> None:
    origin = stage.origin()
    certificate = Certificate.make(stage.folder)
    edge = stage.edge("edge", "--default-service", "web", certificate=certificate)
    stage.agent(edges=[edge], services={"web": origin.url})
    check(h2spec, "--tls", "--insecure", "--host", edge.public.host, "--port", str(edge.public.port))


def test_an_agent_conforms_as_a_server_behind_the_swap(h2spec: str, stage: Stage) -> None:
    origin = stage.origin()
    listen, *tunnels = (free_address() for _ in range(1 + TUNNEL_ADDRESSES))
    data_dir = stage.folder / "h2spec-data"
    argv = [sys.executable, "-m", "tests.tools.h2spec_tunnel", "--data-dir", str(data_dir)]
    argv += ["--service", "web", "--listen", str(listen)]
    argv += [part for address in tunnels for part in ("--tunnel", str(address))]
    bridge = stage.run("h2spec-tunnel", argv)
    bridge.wait_until(lambda: "ready" in bridge.stdout, "the bridge listens")
    options = [
        "--token-file",
        data_dir / "join-token",
        "--service",
        f"web={origin.url}",
        "--tunnels",
        TUNNELS,
    ]
    options += [part for address in tunnels for part in ("--edge", address)]
    agent = stage.run("agent", backplane("agent", *options))
    check(h2spec, "--host", listen.host, "--port", str(listen.port))
    agent.stop()

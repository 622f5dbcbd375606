"""Many agents in one process, against a real edge."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.crowd import COMPLETE
from tests.e2e.stage import Stage

pytestmark = pytest.mark.e2e


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage.at(tmp_path) as stage:
        yield stage


def test_all_tunnels_stand_and_come_back_after_a_restart_of_the_edge(stage: Stage) -> None:
    edge = stage.edge("edge")
    argv = [sys.executable, "-m", "bench.crowd", "--edge", str(edge.tunnel)]
    crowd = stage.run("crowd", [*argv, "--token-file", str(edge.token_file), "--size", "20"])
    crowd.wait_until(lambda: crowd.stdout.count(COMPLETE) == 1, "all tunnels stand")
    edge.stop()
    stage.edge("again", data_dir=edge.data_dir, addresses=edge.addresses)
    crowd.wait_until(lambda: crowd.stdout.count(COMPLETE) == 2, "all tunnels stand again")
    crowd.terminate()
    assert crowd.exit_code() == 0

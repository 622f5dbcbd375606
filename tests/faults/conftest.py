"""What the tests of faults share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.stage import Stage

from .site import Needs, Site


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage for one test, in which it can break what it likes."""
    with Stage.at(tmp_path) as stage:
        yield stage


@pytest.fixture(scope="module")
def site_for(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Needs], Site]]:
    """Gives a site that has what is needed: the one before, if it has and if everything is there, else a new one."""
    current: list[tuple[Needs, Site]] = []
    with ExitStack() as stack:

        def give(needs: Needs) -> Site:
            if current and current[0][0] == needs and current[0][1].whole:
                return current[0][1]
            current.clear()
            stack.close()
            stage = stack.enter_context(Stage.at(tmp_path_factory.mktemp("site")))
            site = stack.enter_context(Site.on(stage, needs))
            current.append((needs, site))
            return site

        yield give

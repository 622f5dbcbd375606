from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
import structlog

from backplane.cli import variables
from backplane.cli.settings import Settings
from backplane.cli.variables import strange_variables, warn_of_strangers


class Server(Settings):
    tunnels: int = 2
    drain_timeout: float = 30.0


class Other(Settings):
    access_log: str = "-"


ENGINE = "BACKPLANE_ENGINE"


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the variables of another server, one more, and those of a module that is not there."""

    class Declared:
        def __init__(self, target: object) -> None:
            self.target = target

        def load(self) -> object:
            return self.target if self.target else EntryPoint("x", "no_such_module:x", "").load()

    def entry_points(*, group: str) -> list[Declared]:
        assert group == variables.VARIABLES_GROUP
        return [Declared(Other), Declared(ENGINE), Declared(None)]

    monkeypatch.setattr(variables, "entry_points", entry_points)


@pytest.mark.parametrize("name", ["BACKPLANE_TUNNELS", "BACKPLANE_CONFIG", "BACKPLANE_ACCESS_LOG", ENGINE])
def test_what_any_server_reads_is_no_stranger(name: str) -> None:
    assert strange_variables(Server, {name: "x"}) == {}


def test_what_nobody_reads_is_named_with_the_nearest_real_one() -> None:
    given = {"BACKPLANE_TUNELS": "3", "BACKPLANE_ACCES_LOG": "x", "BACKPLANE_ZZZ": "x", "PATH": "/bin"}
    assert strange_variables(Server, given) == {
        "BACKPLANE_TUNELS": "BACKPLANE_TUNNELS",
        "BACKPLANE_ACCES_LOG": "BACKPLANE_ACCESS_LOG",
        "BACKPLANE_ZZZ": None,
    }


def test_an_empty_variable_counts_as_not_set() -> None:
    assert strange_variables(Server, {"BACKPLANE_TUNELS": " "}) == {}


def test_a_stranger_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"BACKPLANE_TUNELS": "3", "BACKPLANE_ZZZ": "x"})
    with structlog.testing.capture_logs() as lines:
        warn_of_strangers(Server)
    event = {"event": "a variable that does not exist is set", "log_level": "warning"}
    assert lines == [
        {**event, "variable": "BACKPLANE_TUNELS", "did_you_mean": "BACKPLANE_TUNNELS"},
        {**event, "variable": "BACKPLANE_ZZZ"},
    ]

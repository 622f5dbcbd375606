from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.connect import identity_of, local_edge
from backplane.cli.exit import CommandError
from backplane.cli.program import run


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("BACKPLANE_EDGES", "BACKPLANE_TOKEN_FILE", "BACKPLANE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_selector_is_service_labels_and_settings() -> None:
    found = identity_of("service=web, release=v2,zone=a,agent=one,team=x", ["http://a", "http://b"])
    assert found == {
        "services": ["web=http://a,http://b"],
        "labels": ["release=v2", "team=x"],
        "zone": "a",
        "agent_id": "one",
    }


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ("web", "'web' is not KEY=VALUE"),
        ("", "'' is not KEY=VALUE"),
        ("release=v2", "it names no service"),
        ("service=web,release!=v2", "'release!=v2' is not KEY=VALUE"),
        ("service=web,service=api", "'service' is given twice"),
        ("service=web,release in (a,b)", "'release in (a' is not KEY=VALUE"),
    ],
)
def test_selector_that_says_not_what_it_is_is_refused(selector: str, reason: str) -> None:
    with pytest.raises(CommandError, match="does not say what is connected") as caught:
        identity_of(selector, ["http://a"])
    assert reason in str(caught.value)


def test_edge_on_this_machine_is_found_by_its_directory(tmp_path: Path) -> None:
    (tmp_path / "edge-data").mkdir()
    told = {"tunnel": "127.0.0.1:9", "join_token": "/x/join-token"}
    (tmp_path / "edge-data" / "local.json").write_text(json.dumps(told))
    assert local_edge(None, None, None, None) == {
        "edges": ["127.0.0.1:9"],
        "token_file": Path("/x/join-token"),
    }
    assert local_edge(None, ["edge:1"], Path("t"), None) == {"edges": ["edge:1"], "token_file": Path("t")}
    given = local_edge(tmp_path / "edge-data", ["edge:1"], None, None)
    assert given == {"edges": ["edge:1"], "token_file": Path("/x/join-token")}


def test_variables_say_which_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKPLANE_EDGES", "edge:1")
    assert local_edge(None, None, None, None) == {"edges": [], "token_file": None}


def test_without_an_edge_it_says_how_to_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["connect", "service=web", "http://127.0.0.1:3000"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: which edge?")
    assert err.count("\n") == 1

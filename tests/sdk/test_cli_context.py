from __future__ import annotations

import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backplane.cli.exit import ExitCode
from tests.e2e.address import free_address
from tests.e2e.stage import Edge

Run = Callable[..., Any]
FILE = Path(".config/backplane/contexts.json")


def token_file(edge: Edge) -> Path:
    return edge.data_dir / "admin-token"


def test_login_makes_an_edge_the_one_that_is_meant(run: Run, edge: Edge, home: Path) -> None:
    done = run("login", edge.api_url, "--token-file", token_file(edge))
    assert (done.code, done.out) == (0, f"logged in to {edge.api_url} (context 127.0.0.1)\n")
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    assert run("route", "list").code == 0
    assert run("context", "list").out.splitlines()[1].split() == ["*", "127.0.0.1", edge.api_url]


def test_token_may_come_from_stdin(run: Run, edge: Edge, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(token_file(edge).read_text()))
    assert run("login", edge.api_url, "--token-file", "-", "--name", "one").code == 0
    assert run("route", "list", "--context", "one").code == 0


def test_wrong_token_is_not_kept(run: Run, edge: Edge, home: Path) -> None:
    (home / "wrong").write_text("wrong\n")
    done = run("login", edge.api_url, "--token-file", "wrong")
    assert done.code == ExitCode.REFUSED
    assert "The token is not known here" in done.err
    assert not (home / FILE).exists()


def test_contexts_are_chosen_and_forgotten(run: Run, edge: Edge) -> None:
    for name in ("one", "two"):
        run("login", edge.api_url, "--token-file", token_file(edge), "--name", name)
    assert run("context", "use", "one").out == "using one\n"
    assert [line[:6].split() for line in run("context", "list").out.splitlines()[1:]] == [
        ["*", "one"],
        ["two"],
    ]
    assert run("context", "delete", "one").out == "one is forgotten\n"
    missing = run("context", "use", "one")
    assert missing.code == ExitCode.USAGE
    assert missing.err == "error: there is no context 'one'; there are: two\n"
    assert "which edge?" in run("route", "list").err


def test_file_that_is_open_to_others_is_not_used(run: Run, edge: Edge, home: Path) -> None:
    run("login", edge.api_url, "--token-file", token_file(edge))
    (home / FILE).chmod(0o644)
    done = run("route", "list")
    assert done.code == ExitCode.TRUST
    assert "chmod 600" in done.err


def test_damaged_file_is_said_to_be(run: Run, edge: Edge, home: Path) -> None:
    run("login", edge.api_url, "--token-file", token_file(edge))
    (home / FILE).write_text("{")
    assert "is damaged" in run("route", "list").err


def test_data_directory_here_is_the_edge_without_a_context(run: Run, edge: Edge, home: Path) -> None:
    (home / "edge-data").symlink_to(edge.data_dir)
    assert run("route", "list").code == 0


def test_variables_say_which_edge(run: Run, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKPLANE_API_URL", str(edge.api))
    assert "there is no token for" in run("route", "list").err
    monkeypatch.setenv("BACKPLANE_API_TOKEN_FILE", str(token_file(edge)))
    assert run("route", "list").code == 0


def test_edge_that_is_not_there_is_said_to_be(run: Run, edge: Edge) -> None:
    url = f"http://{free_address()}"
    done = run("route", "get", "x", "--api", url, "--token-file", token_file(edge))
    assert done.code == ExitCode.UNAVAILABLE
    assert done.err == f"error: no answer from {url}: Connection refused: is the edge running?\n"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://198.51.100.7:7000", "in the clear"),
        ("ftp://x", "is not a URL of an edge's API"),
        ("https://x:99999", "is not a URL"),
        ("https://[::1", "Invalid IPv6 URL"),
        ("https://x\x00y", "is not a URL"),
        ("https://user:pass@x", "has no user"),
    ],
)
def test_token_is_not_sent_where_it_should_not(run: Run, edge: Edge, url: str, message: str) -> None:
    done = run("login", url, "--token-file", token_file(edge))
    assert done.code == ExitCode.USAGE
    assert message in done.err

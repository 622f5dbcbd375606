"""What the verbs are made of: how targets, times, differences and tables are written and read."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backplane import ConfigChange, ConfigResult
from backplane.cli import output
from backplane.cli.difference import difference, summary
from backplane.cli.exit import CommandError
from backplane.cli.reference import reference
from backplane.cli.targets import default_name, read_conditions, read_place, read_targets, read_weights
from backplane.cli.times import age, ago, later, moment
from tests.e2e.programs import backplane

ROOT = Path(__file__).resolve().parents[2]


def test_targets_are_read_as_they_are_written() -> None:
    texts = ["service=web", "v1:release=v1", "v2=10:release in (a,b),!old"]
    assert read_targets(texts) == [
        {"selector": "service=web"},
        {"name": "v1", "selector": "release=v1"},
        {"name": "v2", "selector": "release in (a,b),!old", "weight": 10},
    ]
    assert read_weights(["v1=90", "a=b=1"]) == {"v1": 90, "a=b": 1}
    assert read_place("shop.example/api/v1") == {"host": "shop.example", "path": "/api/v1"}
    assert read_conditions(["a", "!b", "c=d=e", "f="]) == [
        {"name": "a", "present": True},
        {"name": "b", "present": False},
        {"name": "c", "exact": "d=e"},
        {"name": "f", "exact": ""},
    ]


@pytest.mark.parametrize("text", [":a=b", "v1=:a=b", "v1=-1:a=b", "v1=1e3:a=b", "v1:", "v1=9999999999:a=b"])
def test_wrong_target_is_said_to_be(text: str) -> None:
    with pytest.raises(CommandError, match="is not"):
        read_targets([text])


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("shop.example", "shop.example"),
        ("*.example", "any.example"),
        ("shop.example/api/", "shop.example-api"),
        ("[::1]", "1"),
        ("/", "route"),
        ("x" * 200, "x" * 128),
    ],
)
def test_route_is_called_after_its_host(place: str, name: str) -> None:
    assert default_name(place) == name


def test_times_are_spans_or_dates() -> None:
    now = datetime.now(UTC)
    past, future = ago("2h"), later("30d")
    assert past is not None
    assert future is not None
    assert abs(past - (now - timedelta(hours=2))) < timedelta(minutes=1)
    assert abs(datetime.fromisoformat(future) - (now + timedelta(days=30))) < timedelta(minutes=1)
    assert ago("2031-02-03T04:05:06Z") == datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert ago("2031-02-03").tzinfo is not None  # type: ignore[union-attr]
    assert (later(None), ago(None), moment(None), age(None)) == (None, None, "", "")
    for text in ("", "x", "1y", "h", "-1h", "999999999w"):
        with pytest.raises(CommandError, match="is not a time"):
            ago(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (59, "59s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172800, "2d")]
)
def test_ages_are_short(seconds: int, text: str) -> None:
    now = datetime(2031, 1, 1, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now=now) == text


def changes(*actions: str) -> ConfigResult:
    made = [ConfigChange(action=action, kind="route", name=action) for action in actions]
    return ConfigResult(dry_run=False, version=1, changes=made, unchanged=3)


def test_difference_shows_what_is_around_a_change() -> None:
    before = {"name": "x", "methods": [], "a": 1, "b": 2, "c": 3, "d": 4, "priority": 0, "enabled": True}
    change = ConfigChange(
        action="update", kind="route", name="x", before=before, after={**before, "priority": 5}
    )
    assert list(difference(change)) == [
        "~ route x",
        "    b: 2",
        "    c: 3",
        "    d: 4",
        "  - priority: 0",
        "  + priority: 5",
        "    enabled: true",
    ]
    gone = ConfigChange(action="delete", kind="setting", name="defaults", before=["a"], after=None)
    assert list(difference(gone)) == ["- setting defaults", "  - - a"]


def test_summary_counts() -> None:
    assert summary(changes()) == "nothing changes"
    assert summary(changes("create", "create", "delete")) == "2 created, 1 deleted, 3 unchanged"
    assert (
        summary(changes("update").model_copy(update={"dry_run": True})) == "1 would be updated, 3 unchanged"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.paint("x", colour="red", stream=Terminal()) == "\x1b[31mx\x1b[0m"
    assert output.paint("x", colour="red", stream=io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.paint("x", colour="red", stream=Terminal()) == "x"


def test_what_an_edge_says_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["NAME"], [["a\x1b[2Jb\nc"]])
    output.print_details([("name", ["a\x1b]0;x\x07", "b"])])
    output.warn("a\rb")
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert "\r" not in told.err
    assert told.out.splitlines()[1] == "a?[2Jb?c"


def test_reference_is_what_the_command_is() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), "run `make reference`"


def loaded_by(*arguments: str) -> set[str]:
    """Return the modules that a call of `backplane` has loaded."""
    code = (
        "import json, sys; from backplane.cli.program import run;"
        f"run({list(arguments)!r}); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(modules)


@pytest.mark.parametrize("arguments", [("edge", "--help"), ("agent", "--help"), ("connect", "x", "y")])
def test_server_loads_nothing_of_a_client(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(*arguments)
    assert loaded & {"httpx", "yaml", "backplane.client", "backplane.cli.verbs.route"} == set()


def test_help_loads_no_client() -> None:
    assert loaded_by("--help") & {"httpx", "yaml", "pydantic", "backplane.client"} == set()


def complete(words: str, **variables: str) -> list[str]:
    """Return what bash would offer for these words."""
    environment = {
        **os.environ,
        "_BACKPLANE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        **variables,
    }
    done = subprocess.run(
        backplane(), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_shell_completes_verbs_and_names(client: Any, edge: Any) -> None:
    client.routes.create({"name": "shop", "host": "shop.example", "targets": [{"selector": "service=web"}]})
    assert {"route", "resume"} & set(complete("backplane ro")) == {"route"}
    assert "weights" in complete("backplane route w")
    assert complete(f"backplane route get --data-dir {edge.data_dir} sh") == ["shop"]
    assert complete("backplane route get sh", BACKPLANE_DATA_DIR=str(edge.data_dir)) == ["shop"]
    assert complete("backplane route get sh", BACKPLANE_DATA_DIR="/nowhere") == []


@pytest.mark.parametrize(
    ("shell", "variables"), [("zsh", {}), ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"})]
)
def test_other_shells_get_what_they_ask_for(shell: str, variables: dict[str, str]) -> None:
    asked = {"_BACKPLANE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "backplane route w"}
    done = subprocess.run(
        backplane(),
        env={**os.environ, **asked, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert "weights" in done.stdout
    assert "list" not in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_for_each_shell(shell: str) -> None:
    done = subprocess.run(
        backplane("completion", shell), capture_output=True, text=True, timeout=60, check=True
    )
    assert "_BACKPLANE_COMPLETE" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, timeout=60, check=True)


def test_token_is_typed_unseen(edge: Any, tmp_path: Path) -> None:
    token = (edge.data_dir / "admin-token").read_text().strip()
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        backplane("login", edge.api_url),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": ""},
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    while b"Token: " not in shown:  # the blank comes when nothing typed is shown any more
        shown += os.read(leader, 1000)
    os.write(leader, token.encode() + b"\n")
    try:
        while chunk := os.read(leader, 1000):
            shown += chunk
    except OSError:
        pass  # the other end is closed
    os.close(leader)
    assert process.wait(30) == 0
    assert token.encode() not in shown
    assert b"logged in" in shown


def test_reader_that_goes_is_no_bug(edge: Any, client: Any) -> None:
    for number in range(50):
        name = f"route-{number}"
        targets = [{"selector": "service=web" + f",x{number}=y" * 20}]
        client.routes.create({"name": name, "host": f"{name}.example", "targets": targets})
    process = subprocess.Popen(
        backplane("route", "list", "-o", "json", "--data-dir", edge.data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    process.stderr.close()
    process.wait(30)
    assert "Traceback" not in errors

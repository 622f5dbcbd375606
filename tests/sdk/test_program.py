from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint

import pytest
import typer

from backplane.cli import program, version
from backplane.cli.exit import CommandError, ExitCode


def greet(name: str) -> None:
    """Greet somebody."""
    typer.echo(f"hello {name}")


def refuse() -> None:
    raise CommandError("the edge said no", ExitCode.REFUSED)


def leave() -> None:
    raise typer.Exit(5)


def interrupt() -> None:
    raise KeyboardInterrupt


def engine() -> str:
    return "fast"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, object]], None]:
    """Make entry points of both groups out of objects; a text is the name of a missing module."""

    class Stub:
        def __init__(self, name: str, target: object) -> None:
            self.name = name
            self.target = target

        def load(self) -> object:
            if isinstance(self.target, str):
                return EntryPoint(self.name, f"{self.target}:x", "").load()
            return self.target

    def install(targets: Mapping[str, object]) -> None:
        def entry_points(*, group: str) -> list[Stub]:
            known = {program.COMMANDS_GROUP: "verb:", version.VERSION_GROUP: "line:"}
            prefix = known[group]
            return [Stub(key.removeprefix(prefix), t) for key, t in targets.items() if key.startswith(prefix)]

        monkeypatch.setattr(program, "entry_points", entry_points)
        monkeypatch.setattr("backplane.cli.version.entry_points", entry_points)

    return install


Install = Callable[[Mapping[str, object]], None]


def test_verb_comes_from_an_entry_point(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install({"verb:greet": greet})
    assert program.run(["greet", "Ada"]) == ExitCode.OK
    assert capsys.readouterr().out == "hello Ada\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_verbs(
    install: Install, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    install({"verb:greet": greet})
    assert program.run(arguments) == ExitCode.OK
    out = capsys.readouterr().out
    assert "Greet somebody." in out
    assert "Reach, shape and secure any application" in out


def test_command_error_is_one_line_and_its_exit_code(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install({"verb:refuse": refuse})
    assert program.run(["refuse"]) == ExitCode.REFUSED
    assert capsys.readouterr().err == "error: the edge said no\n"


def test_exit_code_of_a_verb_is_the_command_s(install: Install) -> None:
    install({"verb:leave": leave})
    assert program.run(["leave"]) == ExitCode.UNAVAILABLE


def test_interrupt_has_the_shell_s_exit_code(install: Install) -> None:
    install({"verb:interrupt": interrupt})
    assert program.run(["interrupt"]) == ExitCode.INTERRUPTED


@pytest.mark.parametrize("arguments", [["greet"], ["greet", "Ada", "--loud"], ["nothing"], ["--nothing"]])
def test_wrong_usage_is_one_line_and_code_2(
    install: Install, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    install({"verb:greet": greet})
    assert program.run(arguments) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_verb_that_cannot_be_loaded_leaves_the_others_alone(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install({"verb:broken": "no_such_module", "verb:greet": greet})
    assert program.run(["greet", "Ada"]) == ExitCode.OK
    assert program.run(["broken", "--any", "thing"]) == ExitCode.FAILURE
    assert "no_such_module" in capsys.readouterr().err


def test_version_shows_what_distributions_say(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install({"line:http2-engine": engine, "line:broken": "no_such_module"})
    assert program.run(["version"]) == ExitCode.OK
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["http2-engine"] == "fast"
    assert lines["broken"].startswith("cannot be loaded: ")
    assert lines["python"].startswith(platform.python_version())

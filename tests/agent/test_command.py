from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from agent.command import agent
from agent.config import AgentSettings
from backplane.cli.program import run
from backplane.cli.settings import Spelling, variable_name

REFERENCE = Path(__file__).parents[2] / "docs" / "agent.md"

OPTIONS = {
    name: next(item for item in hint.__metadata__)
    for name, hint in get_type_hints(agent, include_extras=True).items()
    if name != "return"
}


def flag(key: str) -> str:
    spellings = [item for item in AgentSettings.model_fields[key].metadata if isinstance(item, Spelling)]
    return spellings[0].flag or "" if spellings else "--" + key.replace("_", "-")


def test_every_setting_has_the_flag_that_errors_name() -> None:
    program = typer.Typer(add_completion=False)
    program.command()(agent)
    flags = {parameter.opts[0] for parameter in typer.main.get_command(program).params}
    assert flags == {flag(key) for key in AgentSettings.model_fields} | {"--config"}


def test_help_shows_the_real_defaults() -> None:
    for key, field in AgentSettings.model_fields.items():
        if field.is_required() or field.default_factory is not None or field.default in (None, ""):
            continue
        value = field.default
        expected = f"{value:g}" if isinstance(value, float) else str(value)
        assert OPTIONS[key].show_default == expected, key


def test_reference_has_every_setting_with_its_default() -> None:
    rows = {}
    for line in REFERENCE.read_text("utf-8").splitlines():
        if line.startswith("| `--"):
            flag_, variable, key, default = [cell.strip() for cell in line.strip("|").split(" | ")]
            rows[key.split("`")[1]] = (flag_.split("`")[1].split()[0], variable.split("`")[1], default)
    assert set(rows) == set(AgentSettings.model_fields)
    for key, (flag_, variable, default) in rows.items():
        field = AgentSettings.model_fields[key]
        assert (flag_, variable) == (flag(key), variable_name(key))
        if isinstance(field.default, float | int):
            assert default.startswith(f"`{field.default:g}`"), key


def test_no_option_has_a_default_of_its_own() -> None:
    assert {parameter.default for parameter in inspect.signature(agent).parameters.values()} == {None}


def test_missing_settings_are_one_line_and_nothing_is_started(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BACKPLANE_EDGES", raising=False)
    assert run(["agent"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: edges: is required: give --edge, ")
    assert err.count("\n") == 1

from __future__ import annotations

import inspect
from typing import get_type_hints

import pytest
import typer

from app.command import edge
from app.config import EdgeSettings
from app.limits import PublicLimits, TunnelLimits
from backplane.cli.program import run

OPTIONS = {
    name: next(item for item in hint.__metadata__)
    for name, hint in get_type_hints(edge, include_extras=True).items()
    if name != "return"
}


LIMITS_WITH_A_FLAG = {
    "public_max_connections",
    "public_max_connections_per_address",
    "public_idle_timeout",
}
LIMITS = PublicLimits.model_fields.keys() | TunnelLimits.model_fields.keys()
FLAGS = EdgeSettings.model_fields.keys() - LIMITS | LIMITS_WITH_A_FLAG


def test_every_setting_but_most_limits_has_a_flag_of_its_name() -> None:
    program = typer.Typer(add_completion=False)
    program.command()(edge)
    flags = {parameter.opts[0] for parameter in typer.main.get_command(program).params}
    expected = {"--" + key.replace("_", "-") for key in FLAGS}
    assert flags == expected | {"--config"}


def test_help_shows_the_real_defaults() -> None:
    settings = EdgeSettings()
    for key in FLAGS - {"identity_dir", "advertise", "database_url", "api_cert"}:
        shown = OPTIONS[key].show_default
        value = getattr(settings, key)
        if value in (None, "", ()):
            assert shown is True, key
        else:
            assert str(shown) == (f"{value:g}" if isinstance(value, float) else str(value)), key


def test_no_option_has_a_default_of_its_own() -> None:
    assert {parameter.default for parameter in inspect.signature(edge).parameters.values()} == {None}


def test_wrong_setting_is_one_line_and_nothing_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["edge", "--drain-timeout", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: flag --drain-timeout: 0.0 is not a number above 0")


def test_a_database_password_on_the_command_line_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["edge", "--database-url", "postgresql://u:swordfish@h/db"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: flag --database-url: a password on the command line")
    assert "swordfish" not in said


def test_a_wrong_database_url_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKPLANE_DATABASE_URL", "mysql://u:swordfish@h/db")
    assert run(["edge"]) == 2
    assert "swordfish" not in capsys.readouterr().err

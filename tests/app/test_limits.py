from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from app.config import EdgeSettings
from app.limits import (
    BALANCE_PREFIX,
    LIMIT_PREFIX,
    TUNNEL_PREFIX,
    BalanceSettings,
    PublicLimits,
    TunnelLimits,
)
from backplane.cli.settings import SettingsError, load_settings
from edge.balancing import Balancing
from edge.ingress import IngressLimits
from edge.lobby import LobbyLimits

DEFAULTS = {
    prefix + limit.name: limit.default
    for prefix, limits in (
        (LIMIT_PREFIX, IngressLimits),
        (TUNNEL_PREFIX, LobbyLimits),
        (BALANCE_PREFIX, Balancing),
    )
    for limit in fields(limits)
}
"""Every limit by the name of its setting."""
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "limits.md"


def test_every_limit_is_a_setting_with_the_same_default() -> None:
    models = (PublicLimits, TunnelLimits, BalanceSettings)
    assert {name for model in models for name in model.model_fields} == DEFAULTS.keys()
    assert EdgeSettings().ingress_limits == IngressLimits()
    assert EdgeSettings().lobby_limits == LobbyLimits()
    assert EdgeSettings().balancing == Balancing()


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_limit_can_be_set_by_file_and_by_variable(tmp_path: Path, name: str) -> None:
    value = DEFAULTS[name] - 1 if DEFAULTS[name] else 1
    path = tmp_path / "edge.toml"
    path.write_text(f"{name} = {value}")
    from_file = load_settings(EdgeSettings, flags={}, config=path, environ={})
    limits = {
        LIMIT_PREFIX: from_file.ingress_limits,
        TUNNEL_PREFIX: from_file.lobby_limits,
        BALANCE_PREFIX: from_file.balancing,
    }
    prefix, _, limit = name.partition("_")
    assert getattr(limits[f"{prefix}_"], limit) == value
    from_variable = load_settings(EdgeSettings, flags={}, environ={f"BACKPLANE_{name}".upper(): str(value)})
    assert from_variable == from_file


@pytest.mark.parametrize("name", DEFAULTS)
def test_no_limit_can_be_negative_or_without_end(name: str) -> None:
    for value in ("-1", "inf", "nan", "1e300"):
        with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')}: "):
            load_settings(EdgeSettings, flags={name: value}, environ={})


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_limit_is_documented_with_its_default(name: str) -> None:
    [row] = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    assert row.split("|")[2].strip() == f"{DEFAULTS[name]:g}"

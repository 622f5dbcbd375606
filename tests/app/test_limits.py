from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from app.config import EdgeSettings
from app.limits import LIMIT_PREFIX, PublicLimits
from backplane.cli.settings import SettingsError, load_settings
from edge.ingress import IngressLimits

LIMITS = [limit.name for limit in fields(IngressLimits)]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "limits.md"


def test_every_limit_is_a_setting_with_the_same_default() -> None:
    assert {LIMIT_PREFIX + name for name in LIMITS} == PublicLimits.model_fields.keys()
    assert EdgeSettings().ingress_limits == IngressLimits()


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_can_be_set_by_file_and_by_variable(tmp_path: Path, name: str) -> None:
    default = getattr(IngressLimits(), name)
    path = tmp_path / "edge.toml"
    path.write_text(f"{LIMIT_PREFIX}{name} = {default - 1}")
    from_file = load_settings(EdgeSettings, flags={}, config=path, environ={})
    assert getattr(from_file.ingress_limits, name) == default - 1
    variables = {f"BACKPLANE_{LIMIT_PREFIX}{name}".upper(): str(default - 1)}
    assert load_settings(EdgeSettings, flags={}, environ=variables).ingress_limits == from_file.ingress_limits


@pytest.mark.parametrize("name", LIMITS)
def test_no_limit_can_be_negative_or_without_end(name: str) -> None:
    for value in ("-1", "inf", "nan", "1e300"):
        with pytest.raises(SettingsError, match=f"--{(LIMIT_PREFIX + name).replace('_', '-')}: "):
            load_settings(EdgeSettings, flags={LIMIT_PREFIX + name: value}, environ={})


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_is_documented_with_its_default(name: str) -> None:
    [row] = [
        line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| `{LIMIT_PREFIX}{name}` |")
    ]
    assert row.split("|")[2].strip() == f"{getattr(IngressLimits(), name):g}"

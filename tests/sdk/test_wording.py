from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from backplane.cli.address import Address, AddressSetting
from backplane.cli.settings import Settings
from backplane.cli.wording import explain_value


class Sample(Settings):
    tunnels: int = Field(default=2, ge=1, le=16)
    capacity: int | None = Field(default=None, ge=1)
    patience: float = Field(default=1.0, gt=0, le=86_400, allow_inf_nan=False)
    fraction: float = Field(default=0.5, ge=0, lt=1)
    any_number: float = 1.0
    zone: str = Field(default="", max_length=5)
    log: str = Field(default="-", min_length=1)
    level: Literal["low", "high"] = "low"
    folder: Path = Path("x")
    on: bool = False
    edges: Annotated[tuple[AddressSetting, ...], Field(min_length=1)] = (Address("a", 1),)
    labels: dict[str, str] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("tunnels", 17, "17 is not a whole number from 1 to 16"),
        ("tunnels", "many", "'many' is not a whole number from 1 to 16"),
        ("tunnels", 1.5, "1.5 is not a whole number from 1 to 16"),
        ("tunnels", [], "this list is not a whole number from 1 to 16"),
        ("tunnels", "9" * 5000, "'" + "9" * 79 + "... is not a whole number from 1 to 16"),
        ("capacity", 0, "0 is not a whole number from 1"),
        ("patience", 0, "0 is not a number above 0 up to 86400"),
        ("patience", "nan", "'nan' is not a number above 0 up to 86400"),
        ("fraction", 1, "1 is not a number from 0 and below 1"),
        ("any_number", "x", "'x' is not a number"),
        ("zone", "abcdef", "'abcdef' is longer than 5 characters"),
        ("zone", 3, "3 is not a text: put it in quotes"),
        ("log", "", "may not be empty"),
        ("level", "middle", "'middle' is none of low, high"),
        ("folder", 3, "3 is not a path: put it in quotes"),
        ("on", "maybe", "'maybe' is not true or false"),
        ("edges", "a:1", "'a:1' is not a list: write [\"...\"]"),
        ("edges", [3], "3 is not HOST:PORT in quotes"),
        ("edges", [], "may not be empty"),
        ("labels", "a", "'a' is not a table: write { name = \"value\" }"),
    ],
)
def test_a_wrong_value_is_told_from_a_right_one(key: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate({key: value})
    problem = caught.value.errors()[0]
    assert explain_value(Sample.model_fields[key], problem) == words

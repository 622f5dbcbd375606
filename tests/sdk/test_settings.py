from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, model_validator

from backplane.cli.address import AddressSetting
from backplane.cli.exit import ExitCode
from backplane.cli.settings import Settings, SettingsError, Spelling, load_settings


class Sample(Settings):
    edges: Annotated[tuple[AddressSetting, ...], Spelling("--edge", ",")]
    tunnels: int = Field(default=2, ge=1, le=16)
    drain_timeout: float = 30.0

    @model_validator(mode="after")
    def _odd_tunnels_need_time(self) -> Sample:
        if self.tunnels == 13 and self.drain_timeout < 1:
            raise ValueError("thirteen tunnels need time")
        return self


def load(
    *,
    flags: dict[str, object] | None = None,
    environ: dict[str, str] | None = None,
    config: Path | None = None,
) -> Sample:
    return load_settings(
        Sample, flags={"edges": ["e:1"]} | (flags or {}), environ=environ or {}, config=config
    )


def failure(**layers: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**layers)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def test_default_is_used_when_no_layer_has_the_key() -> None:
    assert load().tunnels == 2


def test_each_layer_goes_before_the_next(file: Path) -> None:
    file.write_text("tunnels = 3\ndrain_timeout = 5\n")
    environ = {"BACKPLANE_TUNNELS": "4"}
    assert load(config=file).tunnels == 3
    assert load(config=file, environ=environ).tunnels == 4
    assert load(config=file, environ=environ, flags={"tunnels": 5}).tunnels == 5
    assert load(config=file, environ=environ).drain_timeout == 5


def test_file_named_by_the_variable_is_read(file: Path) -> None:
    file.write_text("tunnels = 3\n")
    assert load(environ={"BACKPLANE_CONFIG": str(file)}).tunnels == 3


def test_flag_for_the_file_goes_before_the_variable(file: Path) -> None:
    file.write_text("tunnels = 3\n")
    assert load(config=file, environ={"BACKPLANE_CONFIG": "/nowhere"}).tunnels == 3


def test_variable_is_split_into_a_list() -> None:
    settings = load(flags={"edges": []}, environ={"BACKPLANE_EDGES": "a:1, [::1]:2,"})
    assert [str(edge) for edge in settings.edges] == ["a:1", "[::1]:2"]


def test_empty_variable_counts_as_not_set() -> None:
    assert load(environ={"BACKPLANE_TUNNELS": " "}).tunnels == 2


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ({"flags": {"tunnels": 17}}, "flag --tunnels: "),
        ({"environ": {"BACKPLANE_TUNNELS": "17"}}, "variable BACKPLANE_TUNNELS: "),
    ],
)
def test_error_names_flag_or_variable_and_reason(layer: dict[str, object], source: str) -> None:
    message = failure(**layer)
    assert message.startswith(source)
    assert message.endswith(" is not a whole number from 1 to 16")
    assert "17" in message


def test_of_a_value_that_is_wrong_in_two_ways_one_is_said() -> None:
    assert failure(flags={"edges": ["e", "f"]}) == failure(flags={"edges": ["e"]})


def test_every_wrong_key_is_named() -> None:
    message = failure(flags={"edges": ["e"], "tunnels": 17, "drain_timeout": "x"})
    assert [part.partition(":")[0] for part in message.split("; ")] == [
        "flag --edge",
        "flag --tunnels",
        "flag --drain-timeout",
    ]


def test_error_names_file_and_key(file: Path) -> None:
    file.write_text('tunnels = "many"\n')
    message = failure(config=file)
    assert message.startswith(f"{file} key `tunnels`: ")
    assert "'many'" in message


def test_error_names_the_spelling_of_the_flag() -> None:
    assert failure(flags={"edges": ["e"]}).startswith("flag --edge: 'e' is not HOST:PORT")


def test_missing_key_says_how_to_give_it() -> None:
    message = failure(flags={"edges": None})
    assert message == "edges: is required: give --edge, BACKPLANE_EDGES or the file's key `edges`"


def test_missing_key_points_to_a_variable_that_is_misspelt() -> None:
    message = failure(flags={"edges": None}, environ={"BACKPLANE_EDGE": "e:1", "BACKPLANE_CONFIG": ""})
    assert message.endswith(" or the file's key `edges` (BACKPLANE_EDGE is set, but does not exist)")


def test_error_across_keys_has_no_source_but_a_reason() -> None:
    assert failure(flags={"tunnels": 13, "drain_timeout": 0}) == "thirteen tunnels need time"


@pytest.mark.parametrize("key", ["tunels", "drain-timeout"])
def test_unknown_key_in_the_file_is_refused_with_the_nearest_one(file: Path, key: str) -> None:
    file.write_text(f"{key} = 3\n")
    nearest = "tunnels" if key == "tunels" else "drain_timeout"
    assert failure(config=file) == f"{file}: unknown key `{key}`: did you mean `{nearest}`?"


def test_unknown_key_like_no_other_is_refused_without_a_guess(file: Path) -> None:
    file.write_text("zzz = 3\n")
    assert failure(config=file) == f"{file}: unknown key `zzz`"


def test_missing_file_and_broken_file_are_named(file: Path) -> None:
    assert failure(config=file) == f"config file {file}: No such file or directory"
    file.write_text("tunnels = \n")
    assert failure(config=file).startswith(f"config file {file}: ")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().tunnels = 3
